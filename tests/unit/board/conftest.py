from pathlib import Path

import pytest

from medglot.core.artifact import Artifact, Manifest
from medglot.core.config import Machine
from medglot.core.stage import StageContext

LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")


VALUES = (0.5, 0.4, 0.3, 0.2, 0.6, 0.7)


def accuracy(value: float, unparsed: int) -> dict:
    interval = {"low": max(0.0, value - 0.1), "high": min(1.0, value + 0.1)}
    return {"n": 20, "accuracy": value, **interval, "unparsed": unparsed, "single": value, "chance": 0.25}


@pytest.fixture
def asked():
    """A function that makes the part of a summary for one way of asking."""

    def make(values: tuple[float, ...] = VALUES, unparsed: int = 0) -> dict:
        mean = sum(values) / len(values)
        by_language = {code: accuracy(value, unparsed) for code, value in zip(LANGUAGES, values, strict=True)}
        return {"by_language": by_language, "macro": {"accuracy": mean, "low": mean - 0.05, "high": mean + 0.05}}

    return make


@pytest.fixture
def scores(asked):
    """A function that makes a scores artifact as the score stage writes it, without its files."""

    def make(
        name: str = "base",
        *,
        model: str = "demo",
        questions: str = "0123456789abcdef",
        confidence: float = 0.95,
        baseline: str = "",
        **ways: dict,
    ) -> Artifact:
        manifest = Manifest(
            stage="score",
            makes="scores",
            version=1,
            fingerprint=f"fingerprint of {name}",
            identity={},
            inputs={"baseline": [[baseline, "fingerprint"]]} if baseline else {},
            files={},
            summary={
                "model": model,
                "size": "3M",
                "setting": "zero-shot",
                "benchmark": "mmedbench",
                "questions": questions,
                "confidence": confidence,
                **(ways or {"letters": asked()}),
            },
            balance=None,
            provenance={"seconds": 1.0},
        )
        return Artifact(name, Path(name), manifest)

    return make


@pytest.fixture
def context(tmp_path):
    """A function that gives a stage its scores and a folder of its own."""

    def make(*artifacts: Artifact, folder: str = "board") -> StageContext:
        out = tmp_path / folder
        out.mkdir()
        return StageContext(out, {"scores": artifacts}, Machine(), map_shards=None)

    return make
