"""The table of stages: what each takes and makes, and where its settings and its function live.

Everything is a reference by name, so that reading the table loads no stage. Roles: ``documents+`` one or more inputs, ``*`` any number, ``?`` at most
one, no mark exactly one; after the colon the kind of artifact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Role:
    """How many inputs of which kind a stage takes under one name."""

    kind: str
    minimum: int
    maximum: int | None

    @classmethod
    def parse(cls, text: str) -> Role:
        """A role from its short form, such as ``documents+``."""
        kind, mark = (text[:-1], text[-1]) if text[-1] in "?+*" else (text, "")
        return cls(kind, 1 if mark in ("", "+") else 0, 1 if mark in ("", "?") else None)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. `version` rises when its output changes for equal settings; `settings` and `function` are ``module:name``."""

    settings: str
    function: str
    makes: str
    takes: Mapping[str, str] = field(default_factory=dict)
    version: int = 1

    def role(self, name: str) -> Role:
        """The role called `name`. Raises KeyError."""
        return Role.parse(self.takes[name])


STAGES: Mapping[str, Stage] = {
    "corpus": Stage("medglot.corpus.settings:CorpusSettings", "medglot.corpus.build:build", "documents"),
    "dedup": Stage("medglot.corpus.settings:DedupSettings", "medglot.corpus.dedup:build", "documents", {"documents": "documents+"}),
    "decontaminate": Stage(
        "medglot.corpus.settings:DecontaminateSettings",
        "medglot.corpus.decontaminate:build",
        "documents",
        {"documents": "documents+", "questions": "questions+"},
    ),
    "tokens": Stage(
        "medglot.train.settings:TokensSettings",
        "medglot.train.tokens:build",
        "tokens",
        {"documents": "documents+", "vocabulary": "documents*", "tokenizer": "tokens?", "model": "model?"},
    ),
    "pretrain": Stage("medglot.train.settings:PretrainSettings", "medglot.train.pretrain:build", "model", {"tokens": "tokens+", "model": "model?"}),
    "questions": Stage("medglot.bench.settings:QuestionsSettings", "medglot.bench.questions:build", "questions"),
    "conversations": Stage(
        "medglot.authoring.settings:ConversationsSettings", "medglot.authoring.conversations:build", "conversations", {"questions": "questions+"}
    ),
    "finetune": Stage(
        "medglot.train.settings:FinetuneSettings",
        "medglot.train.finetune:build",
        "model",
        {"conversations": "conversations+", "model": "model?"},
    ),
    "predict": Stage(
        "medglot.bench.settings:PredictSettings", "medglot.bench.predict:build", "predictions", {"questions": "questions+", "model": "model?"}
    ),
    "score": Stage(
        "medglot.bench.settings:ScoreSettings",
        "medglot.bench.score:build",
        "scores",
        {"predictions": "predictions", "questions": "questions+", "baseline": "scores?"},
    ),
    "board": Stage("medglot.board.settings:BoardSettings", "medglot.board.build:build", "board", {"scores": "scores+"}),
    "export": Stage(
        "medglot.train.settings:ExportSettings",
        "medglot.train.export:build",
        "model",
        {"model": "model", "scores": "scores*", "documents": "documents*"},
    ),
}
