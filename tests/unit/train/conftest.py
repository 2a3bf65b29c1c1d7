"""A small corpus in three languages, tokens made from it, and contexts to run stages in."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from medglot.core.artifact import Artifact, Manifest
from medglot.core.config import Machine
from medglot.core.records import Document
from medglot.core.rows import write_documents
from medglot.core.shards import run_shard
from medglot.core.stage import StageContext
from medglot.train import tokens
from medglot.train.settings import Architecture, PretrainSettings, TokensSettings

WORDS = {
    "en": ["the", "patient", "takes", "insulin", "for", "diabetes", "and", "aspirin", "for", "the", "heart", "every", "day"],
    "ru": ["больной", "принимает", "инсулин", "при", "диабете", "и", "аспирин", "для", "сердца", "каждый", "день"],
    "zh": list("患者每天服用阿司匹林治疗心脏病并注射胰岛素"),
}


def make_documents(*, seed: int, count: int = 60) -> list[Document]:
    """Texts of 5 to 60 words, without a random generator."""
    found = []
    for number in range(count):
        for language, words in WORDS.items():
            length = 5 + (number * 17 + seed) % 56
            text = ("" if language == "zh" else " ").join(words[(number + seed + step * (number % 5 + 1)) % len(words)] for step in range(length))
            found.append(Document(f"{language}{seed}:{number}", text, language, "made", "CC0-1.0"))
    return found


def finished(path: Path, summary=None) -> Artifact:
    return Artifact(path.name, path, Manifest("x", "x", 1, "", {}, {}, {}, summary or {}, None, {}))


@dataclass
class Workshop:
    root: Path

    def map_shards(self, function, shards, *, out, title):  # noqa: ARG002
        return [run_shard(function, shard, out) for shard in shards]

    def context(self, name: str, inputs, *, threads: int = 1) -> StageContext:
        out = self.root / name
        out.mkdir(exist_ok=True)
        return StageContext(out, {role: tuple(given) for role, given in inputs.items()}, Machine(threads=threads, device="cpu"), self.map_shards)

    def documents(self, name: str, *, seed: int = 1, shards: int = 2) -> Artifact:
        folder = self.root / name
        folder.mkdir()
        rows = make_documents(seed=seed)
        for shard in range(shards):
            write_documents(folder / f"documents-{shard:05d}.parquet", rows[shard::shards])
        return finished(folder)

    def tokens(self, name: str, *, documents=None, tokenizer=None, **settings) -> Artifact:
        inputs = {"documents": [documents or self.documents(f"{name}-documents")]}
        given = {"vocabulary_size": 400} if tokenizer is None else {}
        if tokenizer is not None:
            inputs["tokenizer"] = [tokenizer]
        context = self.context(name, inputs)
        result = tokens.build(TokensSettings(**{"heldout_minimum": 4, **given, **settings}), context)
        return finished(context.out, result.summary)


TINY = Architecture(hidden_size=32, layers=2, heads=4, kv_heads=2, intermediate_size=48, context_length=64)


def tiny_settings(**changes) -> PretrainSettings:
    return PretrainSettings(
        **{"architecture": TINY, "context_length": 32, "batch_tokens": 128, "steps": 6, "dtype": "float32", "checkpoint_steps": 2, **changes}
    )


@pytest.fixture
def workshop(tmp_path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def settings():
    return tiny_settings


def read_all(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


@pytest.fixture
def contents():
    """The bytes of all files of a folder by relative name, hidden ones left out."""
    return read_all
