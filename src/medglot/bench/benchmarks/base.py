"""What a benchmark is: where its files lie and how a raw row becomes a Question.

A reader never repairs: what it cannot read it hands on as a BadRow.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from medglot.core.errors import RowError
from medglot.core.records import BadRow, Question


class Benchmark(Protocol):
    """One benchmark, made without arguments. `version` rises when equal files give other questions."""

    version: int
    languages: tuple[str, ...]
    splits: tuple[str, ...]

    def file(self, *, split: str, language: str) -> str:
        """The file of a split and language, relative to the benchmark's folder: see `medglot.bench.locate`."""
        ...

    def read(self, path: Path | zipfile.Path, *, name: str, split: str, language: str) -> Iterator[Question | BadRow]:
        """The file's questions in order. Ids are ``name:split:language:row`` and depend on nothing else."""
        ...


def read_json_rows(path: Path | zipfile.Path) -> Iterator[tuple[int, dict[str, Any]] | BadRow]:
    """The objects of a JSON-lines file with their row numbers, blank lines skipped; what is no JSON object as BadRow."""
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            raw = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if not raw:
                continue
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                yield BadRow(number, "bad-utf8", f"not UTF-8 at byte {error.start} of the row; save the file as UTF-8", ascii(raw[:100]))
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield BadRow(number, "bad-json", f"not JSON ({error}); correct the row or fetch the file again", text)
                continue
            if isinstance(value, dict):
                yield number, value
            else:
                yield BadRow(number, "bad-json", "must be a JSON object, {...}; correct the row", text)


def text_field(row: dict[str, Any], key: str, *, required: bool = True) -> str:
    """A text field without white space around it. Raises RowError when it is missing, empty, no text, or not encodable as UTF-8."""
    value = row.get(key)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise RowError("bad-field", f"{key}: must be text, found {type(value).__name__}; correct the row")
    if not value.strip() and required:
        raise RowError("missing-field", f"{key}: is {'empty' if key in row else 'missing'}; add it")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise RowError("bad-utf8", f"{key}: holds half of a surrogate pair (\\ud800 to \\udfff); correct the row")
    return value.strip()
