"""Markdown tables, as the report and the model cards print them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def section(title: str, rows: Iterable[Sequence[str]], *, note: str = "", level: int = 2) -> str:
    """A heading and a table whose columns line up, with a note below; nothing when there is no row below the header."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    if len(cells) < 2:
        return ""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(["#" * level + f" {title}", "", *lines, *(["", note] if note else [])])


def reasons(counts: Mapping[str, int]) -> str:
    """Counts by reason, sorted: ``duplicate 3, too short 12``."""
    return ", ".join(f"{reason} {number:,}" for reason, number in sorted(counts.items()))


def count(value: int | None) -> str:
    """A whole number with separators, or nothing."""
    return "" if value is None else f"{value:,}"
