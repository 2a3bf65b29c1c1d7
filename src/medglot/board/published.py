"""The printed results of MMedBench's authors, with the intervals that their test sizes imply.

Printed values stand as printed. What is added is derived and marked so: Wilson intervals from the numbers of test items, and a footnote wherever a
printed average is not the mean of its own row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from medglot.board.tables import AVERAGE, Cell, Row, Table, View, columns
from medglot.core.config import Strict, parse, read_toml
from medglot.core.errors import StageError
from medglot.core.intervals import macro, wilson

_SAME = 0.05  # averages this close are taken as equal: cells are printed rounded, and no interval here is as narrow

_DERIVED = "Intervals are derived, not published: 95 % Wilson from the numbers of test items, for the average their combination (MOVER)."


class PublishedRow(Strict):
    """One printed row; `nan` stands where nothing was printed."""

    model: str
    size: str = ""
    setting: str = ""
    values: tuple[float, ...]
    average: float | None = None


class PublishedTable(Strict):
    """One printed table; `digits` are the decimals its cells were printed with."""

    view: View
    metric: str
    title: str
    note: str
    digits: int = 2
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...] = Field(min_length=1)


class Published(Strict):
    """The whole of `published.toml`. `test_sizes` counts test items by language."""

    source: str
    url: str
    test_sizes: dict[str, int]
    tables: tuple[PublishedTable, ...]


def load(path: Path) -> Published:
    """Reads `published.toml`. Raises RecipeError that names the wrong key, StageError when a row has too few or too many values."""
    published = parse(Published, read_toml(path), where=str(path), root=path.parent)
    for table in published.tables:
        for row in table.rows:
            if len(row.values) != len(table.columns):
                raise StageError(f"{path}: {table.title}, {row.model}: {len(row.values)} values for {len(table.columns)} columns")
    return published


def tables(published: Published) -> list[Table]:
    """The printed tables; accuracies over languages get derived intervals."""
    made = []
    for table in published.tables:
        sizes = published.test_sizes if table.metric == "accuracy" and set(table.columns) <= published.test_sizes.keys() else {}
        made.append(
            Table(
                view=table.view,
                metric=table.metric,
                origin="published",
                title=table.title,
                notes=(table.note, _DERIVED) if sizes else (table.note,),
                columns=columns(table.columns),
                rows=tuple(_row(row, table.columns, sizes) for row in table.rows),
                digits=table.digits,
                source=published.source,
                url=published.url,
            )
        )
    return made


def _row(row: PublishedRow, keys: tuple[str, ...], sizes: dict[str, int]) -> Row:
    cells = {key: _cell(value, sizes.get(key)) for key, value in zip(keys, row.values, strict=True) if not math.isnan(value)}
    footnotes: tuple[str, ...] = ()
    if row.average is not None:
        mean = sum(cell.value for cell in cells.values()) / len(cells)
        if abs(mean - row.average) <= _SAME:
            cells[AVERAGE] = _average(row.average, cells, sizes)
        else:
            cells[AVERAGE] = Cell(row.average)
            footnotes = (f"{row.model}: the published average is {row.average:.2f}, but the published cells average {mean:.2f}.",)
    return Row(row.model, row.size, row.setting, cells, footnotes)


def _cell(value: float, n: int | None) -> Cell:
    if n is None:
        return Cell(value)
    interval = wilson(value / 100 * n, n)
    return Cell(value, 100 * interval.low, 100 * interval.high, n)


def _average(printed: float, cells: Mapping[str, Cell], sizes: Mapping[str, int]) -> Cell:
    if not sizes:
        return Cell(printed)
    mean = macro([wilson(cell.value / 100 * sizes[key], sizes[key]) for key, cell in cells.items()])
    return Cell(printed, 100 * mean.low, 100 * mean.high)
