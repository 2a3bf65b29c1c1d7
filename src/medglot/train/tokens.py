"""The `tokens` stage: documents as token ids on disk, split into what is trained on and what is held out.

Artifact: ``tokenizer/``; for each shard ``train-NNNNN.bin`` (ids of the documents one after another, each ended by EOS, little-endian uint16 or
uint32) with ``train-NNNNN.index.parquet`` (a row a document); the same with ``heldout-``. A shard without documents of a split has no file of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from medglot.core.artifact import model_folder
from medglot.core.errors import RecipeError, StageError
from medglot.core.progress import Progress
from medglot.core.shards import Shard, add_balances
from medglot.core.stage import StageContext, StageResult
from medglot.models.weights import load_tokenizer, local_folder, save_tokenizer
from medglot.train.encode import SPLITS, TOKENIZER, encode_shard
from medglot.train.selection import cuts, row_groups
from medglot.train.settings import TokensSettings
from medglot.train.vocabulary import id_count, sample_texts, train_bpe, vocabulary_digest

_SHARD_BYTES = 32_000_000


def build(settings: TokensSettings, context: StageContext) -> StageResult:
    """Makes or takes the tokenizer, then encodes all documents, shard by shard."""
    files = [file for artifact in context.all("documents") for file in artifact.files("documents-*.parquet")]
    bounds = cuts(
        files,
        seed=settings.seed,
        heldout_share=settings.heldout_share,
        heldout_minimum=settings.heldout_minimum,
        limit_bytes=settings.limit_bytes,
    )
    if not bounds:
        raise StageError(_no_text("documents", context))
    tokenizer = _tokenizer(settings, context)
    if tokenizer.eos_token_id is None:
        raise StageError("the tokenizer has no EOS token, so documents could not be told apart; use another tokenizer")
    vocabulary = tokenizer.get_vocab()
    width = 2 if id_count(vocabulary) <= 2**16 else 4
    common = {"seed": settings.seed, "cuts": bounds, "eos": int(tokenizer.eos_token_id), "width": width}
    pieces = [(file, groups) for file in files for groups in row_groups(file, size=_SHARD_BYTES)]
    shards = [Shard(f"{number:05d}", common | {"file": file, "groups": groups}) for number, (file, groups) in enumerate(pieces)]
    rows = context.map_shards(encode_shard, shards, out=context.out, title="tokens")
    counts = _add([row.numbers for row in rows])
    if not any(counts["train"].values()):
        raise StageError(_no_text("documents", context))
    return StageResult(
        summary={
            "vocabulary": len(vocabulary),
            "vocabulary_digest": vocabulary_digest(vocabulary),
            "token_bytes": width,
            **counts,
            "bytes_per_token": {language: round(cell["bytes"] / cell["tokens"], 3) for language, cell in counts["train"].items() if cell["tokens"]},
        },
        balance=add_balances(rows),
        notes=_notes(len(vocabulary), settings),
    )


def _notes(entries: int, settings: TokensSettings) -> tuple[str, ...]:
    wanted = settings.vocabulary_size or 0
    if entries >= wanted:
        return ()
    return (f"the vocabulary has {entries:,} entries, not {wanted:,}: no more pairs occur twice in the text; add text or lower vocabulary_size",)


def _no_text(role: str, context: StageContext) -> str:
    names = ", ".join(artifact.name for artifact in context.all(role))
    return f"there is no text to train on: {names} (input {role}) kept none; `medglot report` shows what was dropped and why"


def _add(numbers: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, int]]]:
    """The shards' counts added up: split -> language -> documents, tokens, bytes; the languages sorted."""
    total: dict[str, dict[str, dict[str, int]]] = {}
    for split in SPLITS:
        languages = sorted({language for part in numbers for language in part[split]})
        cells = {language: [part[split][language] for part in numbers if language in part[split]] for language in languages}
        total[split] = {language: {key: sum(cell[key] for cell in parts) for key in parts[0]} for language, parts in cells.items()}
    return total


def _tokenizer(settings: TokensSettings, context: StageContext) -> PreTrainedTokenizerBase:
    """The stage's tokenizer, written to ``tokenizer/``; taken from there when an interrupted run has already written it."""
    folder = context.out / TOKENIZER
    if not folder.is_dir():
        unfinished = context.out / f".{TOKENIZER}"
        shutil.rmtree(unfinished, ignore_errors=True)
        save_tokenizer(_origin(settings, context), unfinished)
        unfinished.rename(folder)
    return load_tokenizer(folder)


def _origin(settings: TokensSettings, context: StageContext) -> PreTrainedTokenizerBase:
    node, model = context.optional("tokenizer"), context.optional("model")
    ways = {"vocabulary_size": settings.vocabulary_size, "base": settings.base, "input tokenizer": node, "input model": model}
    given = [way for way, value in ways.items() if value is not None]
    if len(given) != 1:
        raise RecipeError(f"a tokens node takes its tokenizer from exactly one of {', '.join(ways)}; found {' and '.join(given) or 'none'}")
    if node is not None:
        return load_tokenizer(node.path / TOKENIZER)
    if model is not None:
        return load_tokenizer(model_folder(model.path))
    if settings.base is not None:
        return load_tokenizer(local_folder(settings.base))
    role = "vocabulary" if context.all("vocabulary") else "documents"
    files = [file for artifact in context.all(role) for file in artifact.files("documents-*.parquet")]
    with Progress("vocabulary", unit="texts") as progress:
        texts = _counted(sample_texts(files, seed=settings.seed, limit_bytes=settings.vocabulary_bytes), progress)
        tokenizer = train_bpe(texts, size=settings.vocabulary_size or 0)
    if not progress.count:
        raise StageError(_no_text(role, context))
    return tokenizer


def _counted(texts: Iterator[str], progress: Progress) -> Iterator[str]:
    for text in texts:
        progress.advance()
        yield text
