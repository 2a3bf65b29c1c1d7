import json

import numpy as np
import pytest
import torch

from medglot.core.errors import RecipeError, StageError
from medglot.models.weights import load_causal_lm, load_tokenizer, save_causal_lm
from medglot.train import heldout, loop, pretrain
from medglot.train.rows import UNSUPERVISED


def build(workshop, name, settings, nodes, *, threads=1, **inputs):
    context = workshop.context(name, {"tokens": nodes, **inputs}, threads=threads)
    return pretrain.build(settings, context), context.out


def test_a_model_from_scratch_is_whole_and_says_how_well_it_learned(workshop, settings):
    node = workshop.tokens("general")
    result, out = build(workshop, "model", settings(steps=40, learning_rate=0.01, evaluate_steps=20), [node])
    model = load_causal_lm(out / "model")
    tokenizer = load_tokenizer(out / "model")
    assert model.num_parameters() == result.summary["parameters"]
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id]
    assert result.summary["loss"]["last"] < result.summary["loss"]["first"] - 1
    held = result.summary["heldout"]
    assert held == json.loads((out / "heldout.json").read_text())
    assert set(held["after"]["general"]) == {"en", "ru", "zh"}
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "heldout" in row] == [20, 40]
    assert log[-1]["heldout"] == held["after"]
    assert held["after"]["general"]["en"]["bits_per_byte"] < log[19]["heldout"]["general"]["en"]["bits_per_byte"]


def test_the_heldout_loss_is_that_of_the_saved_model_on_each_document_alone(workshop, settings):
    node = workshop.tokens("general", heldout_minimum=5)
    result, out = build(workshop, "model", settings(context_length=256, batch_tokens=256, steps=2), [node])
    model = load_causal_lm(out / "model")
    texts = pretrain.read_texts(node.path, "heldout", token_bytes=2)["ru"]
    nats = count = 0
    for file, start, length in zip(texts.file, texts.start, texts.length, strict=True):
        ids = torch.from_numpy(np.array(texts.files[file][start : start + length], dtype=np.int64))[None]
        with torch.no_grad():
            nats += float(torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="sum"))
        count += length - 1
    found = result.summary["heldout"]["after"]["general"]["ru"]
    assert found["tokens"] == count
    assert found["loss"] == pytest.approx(nats / count, rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(nats / np.log(2) / texts.bytes.sum(), rel=1e-5)


def test_an_interrupted_pretraining_goes_on_to_the_same_bytes_on_any_number_of_threads(workshop, settings, contents, monkeypatch):
    node = workshop.tokens("general")
    monkeypatch.setattr("medglot.train.compute.CPU_TOKENS", 64)
    whole, out = build(workshop, "whole", settings(), [node], threads=2)
    right = contents(out)
    original = loop._step

    def dying(*arguments, step, **named):
        if step == 5:
            raise KeyboardInterrupt
        return original(*arguments, step=step, **named)

    monkeypatch.setattr(loop, "_step", dying)
    with pytest.raises(KeyboardInterrupt):
        build(workshop, "cut", settings(), [node])
    monkeypatch.setattr(loop, "_step", original)
    resumed, out = build(workshop, "cut", settings(), [node])
    assert resumed.measured["resumed_at_step"] == 4
    assert contents(out) == right
    assert resumed.summary == whole.summary


def test_training_goes_on_from_a_model_and_tells_before_from_after(workshop, settings, contents):
    node = workshop.tokens("general")
    _, first = build(workshop, "first", settings(steps=20, learning_rate=0.01), [node])
    given = type(node)("first", first, node.manifest)
    result, out = build(workshop, "second", settings(architecture=None, steps=20, learning_rate=0.01), [node], model=[given])
    before = result.summary["heldout"]["before"]["general"]
    assert before == json.loads((first / "heldout.json").read_text())["after"]["general"]
    assert all(result.summary["heldout"]["after"]["general"][language]["loss"] < cell["loss"] for language, cell in before.items())
    assert not [name for name, data in contents(out).items() if str(workshop.root).encode() in data]


def test_the_mixture_is_kept_in_rows(workshop, settings):
    general = workshop.tokens("general")
    medical = workshop.tokens("medical", documents=workshop.documents("m", seed=9), tokenizer=general)
    chosen = settings(steps=100, mixture={"general": 0.25, "medical": 0.75}, languages={"en": 2, "ru": 1, "zh": 1})
    batches = pretrain.MixedBatches(pretrain.parts([general, medical], chosen), chosen)
    names = ["general/en", "general/ru", "general/zh", "medical/en", "medical/ru", "medical/zh"]
    assert [part.rows.name for part in batches.parts] == names
    assert batches.order.shares == [50, 25, 25, 150, 75, 75]


def test_temperature_evens_the_languages_out(workshop, settings):
    node = workshop.tokens("general")
    shares = {}
    for temperature in (1.0, 1000.0):
        weighed = pretrain.parts([node], settings(language_temperature=temperature))
        total = sum(part.weight for part in weighed)
        shares[temperature] = [part.weight / total for part in weighed]
        sizes = [len(part.rows) for part in weighed]
    assert shares[1.0] == pytest.approx([size / sum(sizes) for size in sizes])
    assert shares[1000.0] == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_an_epoch_teaches_every_token_that_follows_another_exactly_once(workshop, settings):
    node = workshop.tokens("general")
    chosen = settings(steps=None, epochs=1)
    batches = pretrain.MixedBatches(pretrain.parts([node], chosen), chosen)
    rows = [row for step in range(batches.steps) for row in batches.rows(step)]
    counts = node.manifest.summary["train"].values()
    assert sum(len(row.ids) for row in rows) == sum(cell["tokens"] for cell in counts)
    learned = sum(int(np.count_nonzero(row.targets != UNSUPERVISED)) for row in rows)
    assert learned == sum(cell["tokens"] - cell["documents"] for cell in counts)


def test_heldout_documents_are_sampled_up_to_a_budget_and_no_book_speaks_for_a_language(workshop):
    texts = pretrain.read_texts(workshop.tokens("general", heldout_minimum=25).path, "heldout", token_bytes=2)["en"]
    chosen = heldout.choose(texts, node="general", language="en", tokens=200, context_length=64)
    assert 100 < chosen.rows.tokens <= 200
    assert max(chosen.rows.row(index).lengths[0] for index in range(len(chosen.rows))) <= 50
    shortest = heldout.choose(texts, node="general", language="en", tokens=4, context_length=64)
    assert shortest.rows.tokens == texts.length.min()


def test_names_that_are_no_input_are_refused(workshop, settings):
    node = workshop.tokens("general")
    with pytest.raises(RecipeError, match="`mixture` must name general"):
        build(workshop, "model", settings(mixture={"generel": 1.0}), [node])
    with pytest.raises(RecipeError, match="`languages` must name en, ru, zh"):
        build(workshop, "model", settings(languages={"en": 1.0}), [node])


def test_tokens_of_another_tokenizer_are_refused(workshop, settings):
    node = workshop.tokens("general")
    other = workshop.tokens("other", vocabulary_size=350)
    with pytest.raises(RecipeError, match="different vocabularies"):
        build(workshop, "model", settings(), [node, other])
    model = pretrain.fresh_model(settings().architecture, load_tokenizer(other.path / "tokenizer"), seed=0)
    save_causal_lm(model, load_tokenizer(other.path / "tokenizer"), workshop.root / "given" / "model")
    given = type(node)("given", workshop.root / "given", node.manifest)
    with pytest.raises(StageError, match="another tokenizer"):
        build(workshop, "second", settings(architecture=None), [node], model=[given])


def test_how_long_to_train_is_said_once_and_bases_bring_their_shape(settings):
    with pytest.raises(RecipeError, match="exactly one"):
        settings(epochs=1).check()
    with pytest.raises(RecipeError, match="exactly one"):
        settings(steps=None).check()
    with pytest.raises(RecipeError, match="not one row"):
        settings(batch_tokens=16).check()
    with pytest.raises(RecipeError, match="exclude one another"):
        settings(base={"hub": "a/b", "revision": "1"}).check()
    with pytest.raises(ValueError, match="multiple of heads"):
        settings(architecture={"hidden_size": 30, "heads": 4})


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "qwen3"])
def test_every_kind_of_architecture_is_trained(workshop, settings, kind):
    node = workshop.tokens("general")
    shape = settings().architecture.model_copy(update={"kind": kind, "rope_theta": 5000.0})
    _, out = build(workshop, kind, settings(architecture=shape, steps=1, heldout_tokens=0), [node])
    model = load_causal_lm(out / "model")
    assert model.config.model_type == kind
    assert model.config.rope_parameters["rope_theta"] == 5000.0


def test_a_fresh_model_is_a_function_of_the_seed(workshop, settings):
    tokenizer = load_tokenizer(workshop.tokens("t").path / "tokenizer")
    torch.manual_seed(123)
    one, again, other = (pretrain.fresh_model(settings().architecture, tokenizer, seed=seed) for seed in (1, 1, 2))
    weights = [model.get_input_embeddings().weight for model in (one, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
