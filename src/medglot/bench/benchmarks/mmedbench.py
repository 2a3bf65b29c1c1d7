"""MMedBench (Qiu et al. 2024, doi 10.1038/s41467-024-52417-z): medical exam questions in six languages, each with a rationale.

Folders ``Train`` and ``Test`` hold one JSON-lines file a language; ``Henrychur/MMedBench`` on the Hub has them in one zip archive. Japanese and
French papers have items with several right answers; a Russian item begins with the passage that it asks about, and keeps it in the stem as published.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medglot import languages
from medglot.bench.benchmarks.base import read_json_rows, text_field
from medglot.core.errors import RowError
from medglot.core.records import BadRow, Question


class Mmedbench:
    """Reads MMedBench's own layout."""

    version = 1
    languages = ("en", "zh", "ja", "fr", "ru", "es")
    splits = ("test", "train")

    def file(self, *, split: str, language: str) -> str:
        """Such as ``Test/French.jsonl``."""
        return f"{split.capitalize()}/{languages.load(language).name}.jsonl"

    def read(self, path: Path | zipfile.Path, *, name: str, split: str, language: str) -> Iterator[Question | BadRow]:
        """See `Benchmark.read`."""
        for item in read_json_rows(path):
            if isinstance(item, BadRow):
                yield item
                continue
            number, row = item
            try:
                options = _options(row, languages.load(language).option_letters)
                yield Question(
                    id=f"{name}:{split}:{language}:{number}",
                    benchmark=name,
                    language=language,
                    stem=text_field(row, "question"),
                    options=tuple(options.values()),
                    answer=_answer(row, list(options)),
                    rationale=text_field(row, "rationale", required=False),
                    verified=all(str(row.get(key)) in ("1", "True") for key in ("human_checked", "human_check_passed")),
                )
            except RowError as error:
                yield BadRow(number, error.kind, str(error), str(row.get("question", row)))


def _options(row: dict[str, Any], letters: tuple[str, ...]) -> dict[str, str]:
    """Option texts by letter, in the order of the letters. Equal texts stay: papers have them."""
    options = row.get("options")
    if not isinstance(options, dict) or len(options) < 2:
        raise RowError("bad-options", 'options: must be an object of at least two letters and texts, {"A": ..., "B": ...}; correct the row')
    expected = letters[: len(options)]
    if set(options) != set(expected):
        missing = ", ".join(letter for letter in expected if letter not in options) or "none"
        raise RowError(
            "option-letters", f"options: has {', '.join(sorted(options))}, missing {missing}; {len(options)} options are {', '.join(expected)}"
        )
    return {letter: text_field(options, letter) for letter in expected}


def _answer(row: dict[str, Any], letters: list[str]) -> tuple[int, ...]:
    """The positions in ``"B"``, ``"A,C"``, ``"AC"`` or ``["A", "C"]``."""
    value = row.get("answer_idx")
    if value in (None, "", []):
        raise RowError("missing-field", "answer_idx: is missing or empty; add the right letters, such as B or A,C")
    if isinstance(value, str):
        parts = value.split(",") if "," in value else list(value.strip())
    elif isinstance(value, list):
        parts = [str(part) for part in value]
    else:
        raise RowError("bad-field", f"answer_idx: must be letters or a list of letters, found {value!r}; correct the row")
    found = [part.strip() for part in parts]
    if wrong := [part for part in found if part not in letters]:
        raise RowError("answer-range", f"answer_idx: {', '.join(map(repr, wrong))} is none of the options {', '.join(letters)}; correct the row")
    return tuple(sorted({letters.index(part) for part in found}))
