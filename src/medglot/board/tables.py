"""The tables of the board as plain values: what `board.json` holds and the page draws.

A table holds only rows that may be compared: the same questions, asked in the same way, judged by the same metric. What may not be compared never
shares a table, so no sorting can mix it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from medglot import languages

AVERAGE = "average"

View = Literal["letters", "written", "rationale", "english"]
Origin = Literal["measured", "paired", "published"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One number with its interval, in the table's unit; `unparsed` counts the items whose answer could not be read, out of `n`.

    `single` and `several` are the accuracies on items with one and with several right answers, `chance` the accuracy of guessing.
    `wins`, `losses` and `p` (exact McNemar) belong to a paired difference.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unparsed: int | None = None
    single: float | None = None
    several: float | None = None
    chance: float | None = None
    wins: int | None = None
    losses: int | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One model in one setting. `footnotes` go below the table, marked at the row's name."""

    model: str
    size: str
    setting: str
    cells: Mapping[str, Cell]
    footnotes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers; `native` is a language's own name for itself and `language` its code, both empty where it stands for no language."""

    key: str
    label: str
    native: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that may be compared.

    `scale` bounds the interval bars; `digits` are the decimals that published numbers were printed with, `source` and `url` name where they stand.
    """

    view: View
    metric: str
    origin: Origin
    title: str
    notes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    scale: tuple[float, float] = (0.0, 100.0)
    digits: int = 1
    source: str = ""
    url: str = ""


def columns(keys: Iterable[str]) -> tuple[Column, ...]:
    """A column for each key, a language by its names, and last the average."""
    known = set(languages.codes())
    made = [_language(key) if key in known else Column(key, key) for key in keys]
    return (*made, Column(AVERAGE, "Average"))


def plain(value: Any) -> Any:
    """A table as plain JSON without what is None or empty."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Table | Row | Column | Cell):
        pairs = ((entry.name, getattr(value, entry.name)) for entry in fields(value))
        return {name: plain(item) for name, item in pairs if item not in (None, "", ())}
    return round(value, 4) if isinstance(value, float) else value


def _language(code: str) -> Column:
    language = languages.load(code)
    return Column(code, language.name, language.native_name, code)
