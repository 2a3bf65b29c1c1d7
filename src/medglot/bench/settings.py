"""Settings of the evaluation stages; importable without torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from medglot import languages as language_files
from medglot.core.config import HubSource, PathSource, Settings
from medglot.core.errors import RecipeError
from medglot.core.files import file_digest
from medglot.core.find import find, names
from medglot.languages import segment
from medglot.models.base import Dtype

BENCHMARKS = "medglot.bench.benchmarks"
BACKENDS = "medglot.models.backends"

Ask = Literal["letters", "generate"]


class QuestionsSettings(Settings):
    """Which questions of which benchmark.

    `limit` takes that many of each language, drawn in an order that `seed` fixes; `name` calls the benchmark otherwise in ids and tables.
    """

    benchmark: str = "mmedbench"
    source: HubSource | PathSource
    split: str = "test"
    languages: tuple[str, ...] = Field((), description="codes; all of the benchmark's when empty")
    limit: int | None = Field(None, ge=1)
    name: str = ""

    def depends(self) -> Mapping[str, str]:
        """The version of the benchmark's reader, and of each language what a reader takes from its file: the name and the option letters."""
        benchmark = find(BENCHMARKS, self.benchmark)
        loaded = [language_files.load(code) for code in self.languages or benchmark.languages]
        letters = {f"language.{language.code}": f"{language.name} {''.join(language.option_letters)}" for language in loaded}
        return {f"benchmark.{self.benchmark}": str(benchmark.version)} | letters

    def check(self) -> None:
        """The benchmark must exist and have the split and the languages."""
        benchmark = find(BENCHMARKS, self.benchmark)
        if self.split not in benchmark.splits:
            raise RecipeError(f"split: {self.benchmark} has no '{self.split}'; choose one of {', '.join(benchmark.splits)}")
        if unknown := set(self.languages) - set(benchmark.languages):
            raise RecipeError(f"languages: {self.benchmark} has no {', '.join(sorted(unknown))}; it has {', '.join(benchmark.languages)}")


class PredictSettings(Settings):
    """Which model answers, and how it is asked.

    `letters` compares the probabilities of the option letters after the ``answer_only`` prompt; `generate` lets the model reason and write its answer
    after the ``reason_first`` prompt, up to `max_tokens` tokens. `base` is the model when the node has no input `model`.
    """

    backend: str = "hf"
    base: HubSource | PathSource | None = None
    dtype: Dtype = "float32"
    options: Mapping[str, str | int | float | bool] = Field({}, description="what only this backend knows")
    ask: tuple[Ask, ...] = Field(("letters", "generate"), min_length=1)
    max_tokens: int = Field(512, ge=1)

    def depends(self) -> Mapping[str, str]:
        """Prompts come from the languages' files. A backend of another package stands for what its file holds; ours for the stage's version."""
        outside = {f"backend.{self.backend}": file_digest(_module_file(self.backend))} if ":" in self.backend else {}
        return {**language_files.digests(), **outside}

    def check(self) -> None:
        """The backend must exist. It is not loaded: that would load torch."""
        if ":" in self.backend:
            _module_file(self.backend)
        if ":" not in self.backend and self.backend not in names(BACKENDS):
            raise RecipeError(f"backend: '{self.backend}' is unknown: choose one of {', '.join(names(BACKENDS))}, or write package.module:Name")
        if len(set(self.ask)) < len(self.ask):
            raise RecipeError("ask: names a way of asking twice")


class ScoreSettings(Settings):
    """What the scored model is called, and how uncertain its numbers are.

    `model`, `size` and `setting` are shown on the board. Intervals hold with probability `confidence`; those of differences come from `resamples`
    bootstrap samples.
    """

    model: str = ""
    size: str = ""
    setting: str = "zero-shot"
    resamples: int = Field(10_000, ge=100)
    confidence: float = Field(0.95, gt=0.5, lt=1)

    def depends(self) -> Mapping[str, str]:
        """The answer's word and the segmenter come from the languages' files; BLEU and ROUGE depend on the segmenter's version."""
        segmenters = {f"segmenter.{code}": segment.signature(code) for code in language_files.codes()}
        return {**language_files.digests(), **segmenters}


def _module_file(reference: str) -> Path:
    """The source file of the module in ``package.module:Name``, found without running it. Raises RecipeError."""
    module = reference.partition(":")[0]
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None or found.origin is None or not Path(found.origin).is_file():
        raise RecipeError(f"backend: there is no module '{module}' for '{reference}'; is the package that holds it installed?")
    return Path(found.origin)
