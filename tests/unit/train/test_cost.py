import itertools

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from medglot.core.config import Machine
from medglot.train.attention import Segments, use_segments
from medglot.train.cost import Shape, flops_per_token, layer_activations, lora_parameters, training_cost, training_memory
from medglot.train.loss import _LinearCrossEntropy, loss_sum
from medglot.train.settings import Architecture, FinetuneSettings, LoraSettings, PretrainSettings

SIZES = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 101}
# The shape of Llama 3 8B, whose published size is 8,030,261,248 parameters.
LLAMA_3_8B = Shape(vocabulary=128256, hidden=4096, layers=32, heads=32, kv_heads=8, head_size=128, intermediate=14336)


def make_config(family: str, **more):
    return AutoConfig.for_model(family, **SIZES, head_dim=8, **more)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_counted_exactly(family, tied):
    config = make_config(family, tie_word_embeddings=tied)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    shape = Shape.from_config(config.to_dict())
    assert shape is not None
    assert shape.parameters == model.num_parameters()


def test_published_sizes_come_out():
    assert LLAMA_3_8B.parameters == 8_030_261_248
    assert lora_parameters(LLAMA_3_8B, rank=16, target_modules=("q_proj", "v_proj")) == 6_815_744


def test_an_architecture_that_is_not_known_is_not_guessed():
    assert Shape.from_config({"model_type": "mamba"}) is None
    assert Shape.from_config(make_config("llama", attention_bias=True).to_dict()) is None


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_new_model_has_the_shape_of_its_architecture(kind):
    architecture = Architecture(kind=kind, hidden_size=48, layers=3, heads=6, kv_heads=2, intermediate_size=80)
    assert Shape.from_architecture(architecture, vocabulary=101) == Shape.from_config(make_config(kind, tie_word_embeddings=True).to_dict())


def test_operations_grow_with_weights_and_with_what_a_token_looks_at():
    assert flops_per_token(LLAMA_3_8B, attended=0) == 6 * LLAMA_3_8B.multiplied
    assert flops_per_token(LLAMA_3_8B, attended=100) - flops_per_token(LLAMA_3_8B, attended=0) == 12 * 32 * 4096 * 100
    assert flops_per_token(LLAMA_3_8B, attended=0, adapters=1000) == 4 * LLAMA_3_8B.multiplied + 6000
    assert 7.8 < flops_per_token(LLAMA_3_8B, attended=0, recompute=True) / LLAMA_3_8B.multiplied < 8


def saved_bytes(shape_config, *, tokens: int) -> int:
    """What the backward pass of a real step keeps, beside the weights."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(shape_config)
    use_segments(model)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # holding the tensor keeps its address from being used again
        return tensor

    ids = torch.arange(tokens) % SIZES["vocab_size"]
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss_sum(model, ids, ids.roll(-1), Segments((tokens // 2, tokens // 2)))
    return sum(size for size, _ in kept.values())


def test_the_activations_of_a_layer_are_what_a_real_step_keeps():
    shallow, deep = ({**make_config("llama").to_dict(), "num_hidden_layers": layers} for layers in (1, 4))
    made = [saved_bytes(AutoConfig.for_model(**sizes), tokens=128) for sizes in (shallow, deep)]
    shape = Shape.from_config(deep)
    assert shape is not None
    assert (made[1] - made[0]) / 3 / 128 == pytest.approx(layer_activations(shape, dtype="float32"), rel=0.01)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("tokens", [512, 2048])  # one chunk and four
def test_the_logits_of_a_step_are_what_its_head_holds(dtype, tokens):
    shape = Shape(vocabulary=2048, hidden=8, layers=1, heads=1, kv_heads=1, head_size=8, intermediate=8)
    hidden, head = (torch.zeros(size, 8, dtype=getattr(torch, dtype), requires_grad=True) for size in (tokens, shape.vocabulary))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        _LinearCrossEntropy.apply(hidden, head, torch.zeros(tokens, dtype=torch.int64), 1.0)
    changes = [event.nbytes() for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    memory = training_memory(shape, micro_batch_tokens=tokens, dtype=dtype, device="cpu")
    assert max(itertools.accumulate(changes)) == pytest.approx(memory.logits, rel=0.05)


def test_memory_is_that_of_adamw_in_mixed_precision():
    memory = training_memory(LLAMA_3_8B, micro_batch_tokens=8192, dtype="bfloat16", recompute=True)
    held = memory.weights + memory.gradients + memory.optimiser
    assert held == 20 * LLAMA_3_8B.parameters
    assert memory.total == held + memory.activations + memory.logits
    everything = training_memory(LLAMA_3_8B, micro_batch_tokens=8192, dtype="bfloat16")
    assert everything.activations > 10 * memory.activations
    adapters = lora_parameters(LLAMA_3_8B, rank=16, target_modules=("q_proj", "v_proj"))
    small = training_memory(LLAMA_3_8B, micro_batch_tokens=8192, dtype="bfloat16", adapters=adapters)
    assert small.weights + small.gradients + small.optimiser == 2 * LLAMA_3_8B.parameters + 20 * adapters


def test_the_cost_of_a_node_follows_from_its_settings():
    machine = Machine(device="cuda", micro_batch_tokens=4096)
    pretrain = training_cost(PretrainSettings(steps=100, batch_tokens=65_536), LLAMA_3_8B, machine=machine)
    assert pretrain.tokens == 6_553_600
    assert pretrain.flops == pretrain.flops_per_token * 6_553_600
    lora = FinetuneSettings(method="lora", lora=LoraSettings(rank=16, target_modules=("q_proj", "v_proj")))
    tuned = training_cost(lora, LLAMA_3_8B, machine=machine, data_tokens=1000)
    assert (tuned.tokens, tuned.trained_parameters) == (3000, 6_815_744)
    assert training_cost(lora, LLAMA_3_8B, machine=machine).flops is None
