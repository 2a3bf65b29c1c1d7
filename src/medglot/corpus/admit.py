"""Raw rows become documents here, whatever their source: what a document must have is checked in one place; what lacks it is set aside by name."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from medglot.core.shards import ShardRow
from medglot.corpus.identify import identify
from medglot.corpus.sources.base import Source

_FAULTS = {
    "no-text": "the text is null; mend the row or leave it out",
    "empty-text": "the text is empty; mend the row or leave it out",
    "nul-byte": "the text holds a NUL character, so it is no plain text; extract it again from its origin",
    "no-license": "the row names no licence, and nothing may be used without one; set columns.license, or `license` of the source",
    "no-source": "the row names no source; set columns.source, or `source` of the source",
    "no-language": "the row names no language; set columns.language, or `language` of the source, or `identify = true`",
}


def admit(raw: pa.Table, row: ShardRow, *, source: Source, file: str, identify_missing: bool) -> pa.Table:
    """The rows of `raw` that are documents, with stable ids; all others are quarantined in `row` under the name of their fault.

    An id is ``source:native-id``; a row without a native id gets ``source:file#row``.
    """
    table = raw
    for name, fixed in (("source", source.source), ("license", source.license), ("language", source.language)):
        table = _put(table, name, _or(table[name], fixed))
    table = _put(table, "language", pc.replace_substring_regex(pc.utf8_lower(table["language"]), "[-_].*$", ""))
    if identify_missing and table["language"].null_count:
        nulls = pc.and_(pc.is_null(table["language"]), pc.is_valid(table["text"]))
        found = identify(table["text"].filter(nulls))
        table = _put(table, "language", pc.replace_with_mask(table["language"].combine_chunks(), nulls.combine_chunks(), found))
    faults = dict(_faults(table))
    for kind, faulty in faults.items():
        _set_aside(table.filter(faulty), row, file=file, kind=kind)
    table = table.filter(pc.invert(_any(list(faults.values()))))
    place = pc.binary_join_element_wise(file, table["row"].cast(pa.string()), "#")
    ids = pc.binary_join_element_wise(table["source"], pc.coalesce(_or(table["id"], None), place), ":")
    return _put(table, "id", ids).drop_columns("row")


def _faults(table: pa.Table) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Every fault with the rows that have it and none before it."""
    text = table["text"]
    found = {
        "no-text": pc.is_null(text),
        "empty-text": pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0),
        "nul-byte": pc.match_substring(text, "\0"),
        "no-license": pc.is_null(table["license"]),
        "no-source": pc.is_null(table["source"]),
        "no-language": pc.is_null(table["language"]),
    }
    before: list[pa.ChunkedArray] = []
    for kind, faulty in found.items():
        certain = pc.fill_null(faulty, False)
        yield kind, pc.and_not(certain, _any(before)) if before else certain
        before.append(certain)


def _any(masks: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    result = masks[0]
    for mask in masks[1:]:
        result = pc.or_(result, mask)
    return result


def _set_aside(table: pa.Table, row: ShardRow, *, file: str, kind: str) -> None:
    for number, text in zip(table["row"].to_pylist(), table["text"].to_pylist(), strict=True):
        row.set_aside(f"{file}, row {number}", kind, _FAULTS[kind], text or "")


def _or(column: pa.ChunkedArray, fixed: str | None) -> pa.ChunkedArray:
    """The column with blank values as null, and `fixed` for nulls."""
    blank = pc.equal(pc.utf8_trim_whitespace(column), "")
    return pc.coalesce(pc.if_else(blank, pa.scalar(None, pa.string()), column), pa.scalar(fixed, pa.string()))


def _put(table: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
