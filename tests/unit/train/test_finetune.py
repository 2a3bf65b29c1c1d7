import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from medglot.core.artifact import Artifact, Manifest
from medglot.core.balance import Balance
from medglot.core.config import Machine, parse
from medglot.core.errors import RecipeError, StageError
from medglot.core.records import Conversation, Turn
from medglot.core.rows import write_rows
from medglot.core.stage import StageContext
from medglot.models.chat import BEGIN, CHAT_TEMPLATE, END, PAD, SPECIAL_TOKENS
from medglot.models.weights import load_causal_lm, save_causal_lm
from medglot.train import checkpoint
from medglot.train.finetune import build
from medglot.train.lora import add_adapters
from medglot.train.rows import UNSUPERVISED
from medglot.train.samples import SampleBatches, read_samples
from medglot.train.settings import FinetuneSettings

CONTEXT = 96


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, after the special tokens."""
    vocabulary = {token: number for number, token in enumerate([*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    core = Tokenizer(models.BPE(vocabulary, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BEGIN, eos_token=END, pad_token=PAD, chat_template=CHAT_TEMPLATE)


def artifact(path: Path, makes: str, *, kept: int = 0) -> Artifact:
    manifest = Manifest(makes, makes, 1, makes, {"settings": {}}, {}, {}, {}, Balance(kept, kept).to_json(), {})
    return Artifact(path.name, path, manifest)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Artifact:
    torch.manual_seed(1)
    tokenizer = make_tokenizer()
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=128, tie_word_embeddings=True, **sizes)
    folder = tmp_path_factory.mktemp("base")
    save_causal_lm(LlamaForCausalLM(config), tokenizer, folder / "model")
    return artifact(folder, "model")


def say(number: int, prompt: str, answer: str) -> Conversation:
    return Conversation(f"made:{number}", (Turn("user", prompt), Turn("assistant", answer)), "en" if number % 2 else "fr", "made", "CC0-1.0")


def lessons(folder: Path, conversations: list[Conversation]) -> Artifact:
    folder.mkdir(parents=True)
    write_rows(folder / "conversations.jsonl", conversations)
    return artifact(folder, "conversations", kept=len(conversations))


@pytest.fixture
def thirty(tmp_path) -> Artifact:
    return lessons(tmp_path / "lessons", [say(number, f"Which letter has place {number}?", f"It is {chr(65 + number % 4)}.") for number in range(30)])


def context(out: Path, *, threads: int = 1, **inputs: Artifact) -> StageContext:
    out.mkdir(parents=True, exist_ok=True)
    return StageContext(out, {role: (node,) for role, node in inputs.items()}, Machine(threads=threads, device="cpu"), map_shards=None)  # type: ignore[arg-type]


def settings(**more) -> FinetuneSettings:
    values = {"context_length": CONTEXT, "batch_samples": 10, "learning_rate": 5e-3, "dtype": "float32", "seed": 7, "checkpoint_steps": 2}
    made = FinetuneSettings.model_validate(values | more)
    made.check()
    return made


def outputs(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --- samples and batches


def test_only_the_answer_and_its_end_are_targets(tmp_path):
    tokenizer = make_tokenizer()
    node = lessons(tmp_path / "one", [say(1, "Dose?", "5 mg")])
    row = read_samples([node], tokenizer, limit=CONTEXT).kept[0].row()
    assert tokenizer.decode(row.targets[row.targets != UNSUPERVISED].tolist()) == "5 mg<|end|>"
    places = np.flatnonzero(row.targets != UNSUPERVISED)
    assert (row.ids[places + 1] == row.targets[places]).all()
    assert row.lengths == (len(row.ids),)


def test_a_sample_that_does_not_fit_is_left_out_and_counted_and_no_answer_is_cut(tmp_path):
    tokenizer = make_tokenizer()
    conversations = [say(1, "Short?", "Yes."), say(2, "x" * CONTEXT, "No."), say(3, "Long?", "y" * CONTEXT), say(4, "Empty?", "  ")]
    samples = read_samples([lessons(tmp_path / "some", conversations)], tokenizer, limit=CONTEXT)
    assert samples.balance.to_json() == {"read": 4, "kept": 1, "dropped": {"empty answer": 1, "too long": 2}, "quarantined": {}}
    assert [tokenizer.decode(sample.ids[sample.supervised].tolist()) for sample in samples.kept] == ["Yes.<|end|>"]
    assert samples.summary()["samples"] == {"en": {"used": 1, "tokens": len(samples.kept[0].ids), "learned": 5}}


def test_a_sample_of_just_the_context_is_used(tmp_path):
    tokenizer = make_tokenizer()
    node = lessons(tmp_path / "one", [say(1, "Dose?", "5 mg")])
    length = len(read_samples([node], tokenizer, limit=CONTEXT).kept[0].ids)
    assert read_samples([node], tokenizer, limit=length).balance.kept == 1
    with pytest.raises(StageError, match=f"shortest has {length} tokens"):
        read_samples([node], tokenizer, limit=length - 1)


def test_every_epoch_sees_every_sample_once_in_another_order(thirty):
    samples = read_samples([thirty], make_tokenizer(), limit=CONTEXT).kept
    batches = SampleBatches(samples, settings(epochs=2))
    assert (batches.steps, batches.epochs) == (6, 2.0)
    seen = [sample.id for step in range(6) for sample in batches.samples(step)]
    assert sorted(seen[:30]) == sorted(seen[30:]) == sorted(sample.id for sample in samples)
    assert seen[:30] != seen[30:]
    assert batches.learned == 2 * sum(sample.learned for sample in samples)


def test_a_batch_in_tokens_is_as_full_as_it_can_be_and_no_fuller(thirty):
    samples = read_samples([thirty], make_tokenizer(), limit=CONTEXT).kept
    batches = SampleBatches(samples, settings(batch_samples=None, batch_tokens=200, steps=9))
    sizes = [sum(len(row.ids) for row in batches.rows(step)) for step in range(batches.steps)]
    assert len(sizes) == 9
    assert max(sizes) <= 200 < min(sizes) + max(len(sample.ids) for sample in samples)


# --- settings


def test_the_length_of_training_is_three_epochs_unless_told():
    assert settings().epochs == 3.0
    assert settings(steps=5).epochs is None
    with pytest.raises(RecipeError, match="exactly one"):
        settings(steps=5, epochs=1)


def test_settings_without_effect_are_refused():
    with pytest.raises(RecipeError, match="no effect on full weights"):
        settings(lora={"rank": 4})
    with pytest.raises(RecipeError, match="not one row fits"):
        settings(batch_samples=None, batch_tokens=CONTEXT - 1)
    with pytest.raises(RecipeError, match="unknown key"):
        parse(FinetuneSettings, {"lora": {"dropout": 0.1}}, where="here", root=Path())
    with pytest.raises(ValidationError):
        settings(method="prefix")


# --- training


def test_training_on_thirty_samples_lowers_the_loss_and_tells_what_it_did(tmp_path, thirty, model, capsys):
    result = build(settings(epochs=8, learning_rate=1e-2), context(tmp_path / "out", conversations=thirty, model=model))
    assert result.summary["loss"]["last"] < 0.6 * result.summary["loss"]["first"]
    assert result.summary["steps"] == len((tmp_path / "out/log.jsonl").read_text().splitlines()) == 24
    assert result.summary["samples"]["fr"]["used"] == 15
    assert result.summary["parameters"] == result.summary["trained_parameters"]
    assert result.balance is not None
    assert result.balance.kept == 30
    tuned = load_causal_lm(tmp_path / "out/model")
    assert tuned.generation_config.eos_token_id == [SPECIAL_TOKENS.index(END)]
    first = (tmp_path / "out/first_sample.txt").read_text()
    assert first in capsys.readouterr().err
    asked, learned = first.split("--- learned, ")
    assert asked.endswith("?<|assistant|>\n")
    assert learned.split(":\n")[1].startswith("It is ")


def test_lora_trains_adapters_alone_and_merging_them_gives_the_same_model(tmp_path, thirty, model):
    before = load_file(model.path / "model/model.safetensors")
    lora = {"rank": 4, "alpha": 8, "target_modules": ("q_proj", "v_proj")}
    result = build(settings(method="lora", lora=lora, learning_rate=2e-2), context(tmp_path / "out", conversations=thirty, model=model))
    assert result.summary["loss"]["last"] < result.summary["loss"]["first"]
    assert result.summary["trained_parameters"] == 2 * 4 * ((32 + 32) + (32 + 16))
    after = load_file(tmp_path / "out/model/model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"model.layers.{layer}.self_attn.{name}.weight" for layer in range(2) for name in ("q_proj", "v_proj")}
    adapted = PeftModel.from_pretrained(load_causal_lm(model.path / "model"), tmp_path / "out/adapter").eval()
    ids = torch.arange(6, 40)[None]
    with torch.no_grad():
        torch.testing.assert_close(load_causal_lm(tmp_path / "out/model")(ids).logits, adapted(ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_losses_are_those_of_a_plain_loop_over_single_samples(tmp_path, thirty, model, method):
    made = settings(method=method, learning_rate=1e-2, warmup=0, schedule="constant", clip=1e9)
    build(made, context(tmp_path / "out", conversations=thirty, model=model))
    logged = [json.loads(line)["loss"] for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]

    plain = load_causal_lm(model.path / "model")
    if method == "lora":
        add_adapters(plain, made.lora, seed=made.seed)
    optimiser = torch.optim.AdamW([weight for weight in plain.parameters() if weight.requires_grad], lr=1e-2, betas=made.betas, weight_decay=0)
    batches = SampleBatches(read_samples([thirty], make_tokenizer(), limit=CONTEXT).kept, made)
    losses = []
    for step in range(batches.steps):
        samples = batches.samples(step)
        total = torch.zeros(())
        for sample in samples:
            ids = torch.from_numpy(sample.ids.astype(np.int64))
            logits = plain(ids[None]).logits[0, :-1]
            learned = torch.from_numpy(sample.supervised[1:])
            total = total + torch.nn.functional.cross_entropy(logits[learned], ids[1:][learned], reduction="sum")
        loss = total / sum(sample.learned for sample in samples)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert logged == pytest.approx(losses, rel=1e-3)


def test_lora_takes_every_linear_layer_but_the_head_unless_told(tmp_path, thirty, model):
    build(settings(method="lora", steps=1), context(tmp_path / "out", conversations=thirty, model=model))
    config = json.loads((tmp_path / "out/adapter/adapter_config.json").read_text())
    assert config["target_modules"] == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, thirty, model, monkeypatch, method):
    made = settings(method=method, dtype="bfloat16", learning_rate=1e-2)
    build(made, context(tmp_path / "whole", threads=2, conversations=thirty, model=model))

    class Killed(BaseException):
        pass

    save = checkpoint.save

    def save_and_die(*arguments, **more):
        save(*arguments, **more)
        raise Killed

    monkeypatch.setattr(checkpoint, "save", save_and_die)
    with pytest.raises(Killed):
        build(made, context(tmp_path / "killed", conversations=thirty, model=model))
    assert not (tmp_path / "killed/model").exists()
    monkeypatch.setattr(checkpoint, "save", save)
    result = build(made, context(tmp_path / "killed", conversations=thirty, model=model))
    assert result.measured["resumed_at_step"] == 2
    assert outputs(tmp_path / "killed") == outputs(tmp_path / "whole")
    assert not any(str(tmp_path).encode() in data for data in outputs(tmp_path / "whole").values())


def test_what_cannot_be_trained_is_refused_with_the_remedy(tmp_path, thirty, model):
    with pytest.raises(RecipeError, match="give exactly one"):
        build(settings(), context(tmp_path / "none", conversations=thirty))
    with pytest.raises(RecipeError, match=r"query are no linear layers of this LlamaForCausalLM; it has .*q_proj"):
        build(settings(method="lora", lora={"target_modules": ["query"]}), context(tmp_path / "query", conversations=thirty, model=model))
    with pytest.raises(RecipeError, match="more than the model's 128 positions"):
        build(settings(context_length=129), context(tmp_path / "long", conversations=thirty, model=model))
