"""The `pretrain` stage: a language model from tokens, from scratch or continued from another model.

Every language of every tokens node is a source of rows of its own; the mixture says how often each is drawn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from medglot.core.artifact import MODEL, Artifact, model_folder
from medglot.core.errors import RecipeError, StageError
from medglot.core.files import write_json
from medglot.core.stage import StageContext, StageResult
from medglot.models.chat import stop_ids
from medglot.models.weights import load_causal_lm, load_tokenizer, local_folder, save_causal_lm
from medglot.train import heldout
from medglot.train.compute import Compute, computing
from medglot.train.encode import TOKENIZER
from medglot.train.heldout import Heldout
from medglot.train.loop import Trained, train
from medglot.train.order import Order
from medglot.train.rows import PackedTexts, Row, read_texts
from medglot.train.settings import Architecture, PretrainSettings
from medglot.train.vocabulary import id_count, vocabulary_digest

HELDOUT = "heldout.json"


@dataclass(frozen=True, slots=True)
class Part:
    """One language of one tokens node: its rows, and how much of the training it gets (in any unit)."""

    node: str
    language: str
    rows: PackedTexts
    weight: float


class MixedBatches:
    """The batches of a run over `parts`."""

    def __init__(self, parts: Sequence[Part], settings: PretrainSettings) -> None:
        sizes = [len(part.rows) for part in parts]
        batch_rows = max(1, settings.batch_tokens // settings.context_length)
        slots = settings.steps * batch_rows if settings.steps is not None else max(1, round((settings.epochs or 0) * sum(sizes)))
        self.parts = list(parts)
        self.order = Order(sizes, [part.weight for part in parts], slots=slots, batch_rows=batch_rows, seed=settings.seed)

    @property
    def steps(self) -> int:
        """How many batches there are."""
        return self.order.steps

    def rows(self, step: int) -> list[Row]:
        """The batch of a step, counted from 0."""
        return [self.parts[place.source].rows.row(place.row) for place in self.order.batch(step)]


def build(settings: PretrainSettings, context: StageContext) -> StageResult:
    """Trains, measures the held-out loss before (of a model that has learned something) and after, and writes the model."""
    nodes = context.all("tokens")
    digests = {artifact.name: artifact.manifest.summary["vocabulary_digest"] for artifact in nodes}
    if len(set(digests.values())) != 1:
        raise RecipeError(f"the tokens inputs {', '.join(digests)} have different vocabularies; give them one tokenizer by the input `tokenizer`")
    tokenizer = load_tokenizer(nodes[0].path / TOKENIZER)
    batches = MixedBatches(parts(nodes, settings), settings)
    held = _heldout(nodes, settings)
    model, started = _model(settings, context, tokenizer, digest=next(iter(digests.values())))
    with computing(model, dtype=settings.dtype, machine=context.machine) as compute:
        before = _measure_before(compute, held, context.out) if started else {}
        trained = train(
            compute,
            batches,
            settings,
            out=context.out,
            title="pretrain",
            evaluate=lambda: heldout.measure(compute, held),
            evaluate_steps=settings.evaluate_steps or 0,
        )
        losses = {"before": before, "after": heldout.measure(compute, held)}
    save_causal_lm(model.to("cpu"), tokenizer, context.out / MODEL)
    write_json(context.out / HELDOUT, losses)
    return _result(model, trained, batches, losses)


def parts(nodes: Sequence[Artifact], settings: PretrainSettings) -> list[Part]:
    """Every language of every tokens node with its weight. Raises RecipeError for a mixture that does not name just what there is."""
    found = []
    for node in nodes:
        for language, texts in read_texts(node.path, "train", token_bytes=node.manifest.summary["token_bytes"]).items():
            found.append((node.name, language, PackedTexts(f"{node.name}/{language}", texts, context_length=settings.context_length)))
    _check_names("mixture", settings.mixture, {node.name for node in nodes})
    _check_names("languages", settings.languages, {language for _, language, _ in found})
    weighed = []
    for node in nodes:
        mine = [(language, rows) for name, language, rows in found if name == node.name]
        raw = [settings.languages.get(language, len(rows) ** (1 / settings.language_temperature)) for language, rows in mine]
        whole = settings.mixture.get(node.name, sum(len(rows) for _, rows in mine))
        weighed += [Part(node.name, language, rows, whole * share / math.fsum(raw)) for (language, rows), share in zip(mine, raw, strict=True)]
    return weighed


def _check_names(key: str, given: Any, known: set[str]) -> None:
    if given and set(given) != known:
        raise RecipeError(f"`{key}` must name {', '.join(sorted(known))}, all of them or none; it names {', '.join(sorted(given))}")


def _heldout(nodes: Sequence[Artifact], settings: PretrainSettings) -> list[Heldout]:
    if not settings.heldout_tokens:
        return []
    return [
        heldout.choose(texts, node=node.name, language=language, tokens=settings.heldout_tokens, context_length=settings.context_length)
        for node in nodes
        for language, texts in read_texts(node.path, "heldout", token_bytes=node.manifest.summary["token_bytes"]).items()
    ]


def _model(settings: PretrainSettings, context: StageContext, tokenizer: PreTrainedTokenizerBase, *, digest: str) -> tuple[PreTrainedModel, bool]:
    """The model to train, and whether it has been trained before."""
    given = context.optional("model")
    if given is not None and (settings.base is not None or settings.architecture is not None):
        raise RecipeError("a model input excludes `base` and `architecture`: it is the model that training goes on from; remove one of them")
    if given is None and settings.base is None:
        return fresh_model(settings.architecture or Architecture(), tokenizer, seed=settings.seed), False
    folder = model_folder(given.path) if given is not None else local_folder(settings.base)  # type: ignore[arg-type]
    if vocabulary_digest(load_tokenizer(folder).get_vocab()) != digest:
        raise StageError(f"{folder.name}: the tokens were made with another tokenizer than this model's; give the tokens node the same model or base")
    model = load_causal_lm(folder)
    if model.get_input_embeddings().weight.shape[0] < id_count(tokenizer.get_vocab()):
        raise StageError(f"{folder.name}: its tokenizer has more entries than the model has embeddings; the folder is not whole")
    return model, True


def fresh_model(architecture: Architecture, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> PreTrainedModel:
    """A model with random weights, a function of its shape and `seed`."""
    config = AutoConfig.for_model(
        architecture.kind,
        vocab_size=id_count(tokenizer.get_vocab()),
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        num_key_value_heads=architecture.kv_heads,
        head_dim=architecture.hidden_size // architecture.heads,
        max_position_embeddings=architecture.context_length,
        rope_theta=architecture.rope_theta,
        tie_word_embeddings=architecture.tie_embeddings,
        sliding_window=None,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=stop_ids(tokenizer), pad_token_id=tokenizer.pad_token_id
    )
    return model


def _measure_before(compute: Compute, held: list[Heldout], out: Path) -> Any:
    """The held-out loss of the model that came in; kept for a run that goes on after an interruption."""
    file = out / ".heldout-before.json"
    if not file.exists():
        write_json(file, heldout.measure(compute, held))
    return json.loads(file.read_text(encoding="utf-8"))


def _result(model: PreTrainedModel, trained: Trained, batches: MixedBatches, losses: dict[str, Any]) -> StageResult:
    first, last = trained.log[0], trained.log[-1]
    passes = {part.rows.name: round(times, 4) for part, times in zip(batches.parts, batches.order.epochs(), strict=True)}
    return StageResult(
        summary={
            "parameters": model.num_parameters(),
            "steps": batches.steps,
            "tokens": last["tokens"],
            "epochs": passes,
            "loss": {"first": first["loss"], "last": last["loss"]},
            "heldout": losses,
        },
        measured=trained.measured,
    )
