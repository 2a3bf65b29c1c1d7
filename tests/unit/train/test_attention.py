import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from medglot.core.errors import StageError
from medglot.train.attention import Segments, use_segments
from medglot.train.loss import loss_sum
from medglot.train.rows import UNSUPERVISED

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
}
FAMILIES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SIZES)),
    "mistral": (MistralForCausalLM, MistralConfig(**SIZES, sliding_window=6)),
    "gemma": (GemmaForCausalLM, GemmaConfig(**SIZES)),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config(**SIZES, sliding_window=6)),
}
LENGTHS = (5, 17, 1, 9, 16)


def make_model(family):
    kind, config = FAMILIES[family]
    torch.manual_seed(0)
    model = kind(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return model


def make_ids():
    torch.manual_seed(1)
    return torch.randint(1, SIZES["vocab_size"], (sum(LENGTHS),))


def alone(model, ids):
    """Logits of each document by itself, with the model's own attention."""
    model.set_attn_implementation("eager")
    return torch.cat([model(input_ids=part[None], use_cache=False).logits[0] for part in ids.split(LENGTHS)])


def packed(model, ids):
    use_segments(model)
    segments = Segments(LENGTHS)
    return model(input_ids=ids[None], position_ids=segments.positions[None], use_cache=False, segments=segments).logits[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_document_has_the_logits_it_has_alone(family):
    model, ids = make_model(family), make_ids()
    with torch.no_grad():
        torch.testing.assert_close(packed(model, ids), alone(model, ids), atol=1e-5, rtol=0)


def test_the_matrix_path_of_bfloat16_agrees_with_float32():
    model, ids = make_model("llama"), make_ids()
    with torch.no_grad():
        expected = alone(model, ids)
        torch.testing.assert_close(packed(model.bfloat16(), ids).float(), expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_the_documents_alone(family):
    model, ids = make_model(family), make_ids()
    targets = torch.randint(0, SIZES["vocab_size"], ids.shape)
    targets[::3] = UNSUPERVISED
    parameters = list(model.parameters())
    expected = torch.nn.functional.cross_entropy(alone(model, ids), targets, ignore_index=UNSUPERVISED, reduction="sum") * 0.5
    wanted = torch.autograd.grad(expected, parameters)
    use_segments(model)
    loss = loss_sum(model, ids, targets, Segments(LENGTHS), scale=0.5)
    torch.testing.assert_close(loss, expected)
    for found, right in zip(torch.autograd.grad(loss, parameters), wanted, strict=True):
        torch.testing.assert_close(found, right, atol=1e-5, rtol=1e-4)


def test_a_frozen_head_gets_no_gradient_and_the_rest_is_unchanged():
    model, ids = make_model("llama"), make_ids()
    use_segments(model)
    inner = [parameter for name, parameter in model.named_parameters() if name != "lm_head.weight"]
    free = torch.autograd.grad(loss_sum(model, ids, ids, Segments(LENGTHS)), inner)
    model.lm_head.weight.requires_grad_(False)
    frozen = torch.autograd.grad(loss_sum(model, ids, ids, Segments(LENGTHS)), inner)
    assert all(torch.equal(one, other) for one, other in zip(free, frozen, strict=True))


@pytest.mark.parametrize("trap", ["no segments", "two rows", "a cache", "a mask"])
def test_whatever_could_mix_documents_is_refused(trap):
    model, ids = make_model("llama"), make_ids()
    use_segments(model)
    inputs = {"input_ids": ids[None], "segments": Segments(LENGTHS)}
    with torch.no_grad():
        past = model(**inputs, use_cache=True).past_key_values
    change = {
        "no segments": {"segments": None},
        "two rows": {"input_ids": ids[None].expand(2, -1)},
        "a cache": {"past_key_values": past},
        "a mask": {"attention_mask": torch.zeros(1, 1, len(ids), len(ids))},
    }[trap]
    with torch.no_grad(), pytest.raises(StageError, match="keep packed documents apart"):
        model(**inputs | change)


def test_an_all_ones_mask_does_not_mix_documents():
    model, ids = make_model("llama"), make_ids()
    with torch.no_grad():
        expected = alone(model, ids)
        use_segments(model)
        segments = Segments(LENGTHS)
        mask = torch.ones_like(ids)[None]
        found = model(input_ids=ids[None], attention_mask=mask, position_ids=segments.positions[None], segments=segments).logits[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_pieces_of_similar_length_are_computed_together():
    lengths = tuple([20, 21, 22, 500] * 25)
    groups, back = Segments(lengths).plan
    assert sorted(tuple(group.gather.shape) for group in groups) == [(25, 512), (75, 32)]
    assert sorted(back.tolist()) == list(range(sum(lengths)))


@pytest.mark.parametrize("kind", ["linear_attention", "chunked_attention", "conv"])
def test_a_model_whose_other_layers_would_mix_documents_is_refused(kind):
    model = make_model("qwen2")
    model.config.layer_types = ["full_attention", kind]
    with pytest.raises(StageError, match=f"layers of {kind}: packed documents would see one another"):
        use_segments(model)


def test_a_model_with_a_state_is_refused(monkeypatch):
    model = make_model("llama")
    monkeypatch.setattr(type(model), "_is_stateful", True)
    with pytest.raises(StageError, match="carries a state from token to token"):
        use_segments(model)
