"""Parquet files, read row group by row group; the columns that are not needed are never decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from medglot.core.errors import RowError
from medglot.core.records import BadRow
from medglot.corpus.sources.base import BATCH_ROWS, FIELDS, Batch, Piece, Source


class Parquet(Source):
    """A Parquet file or a folder of them. A piece is one row group."""

    endings: ClassVar[tuple[str, ...]] = (".parquet",)

    def pieces(self, file: str, *, limit: int) -> list[Piece]:  # noqa: ARG002 - a row group is never cut
        """One piece a row group; a file whose footer cannot be read is one piece."""
        try:
            metadata = self._open(file).metadata
        except RowError:
            return [Piece(file, rows=1)]
        rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        return [Piece(file, count, 1 + sum(rows[:group]), group, group + 1) for group, count in enumerate(rows)]

    def read(self, piece: Piece) -> Iterator[Batch]:
        """The row group in batches. A page that cannot be decoded sets the rest of the row group aside as one bad row."""
        with self._open(piece.file) as file:
            chosen = self._choose(file.schema_arrow.names)
            row = piece.first
            try:
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[piece.start], columns=[*dict.fromkeys(chosen.values())]):
                    yield _batch(batch, chosen, row)
                    row += batch.num_rows
            except (OSError, pa.ArrowException) as error:
                last = piece.first + piece.rows - 1
                message = f"rows {row} to {last} (row group {piece.start}) cannot be decoded ({_first_line(error)}); restore the file from its origin"
                yield Batch(_empty(), (BadRow(row, "unreadable-rows", message),))

    def _open(self, file: str) -> pq.ParquetFile:
        path = self.locate(file)
        try:
            if path.stat().st_size == 0:
                raise RowError("empty-file", "the file is empty; remove it or restore it from its origin")
            return pq.ParquetFile(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise RowError("unreadable-file", f"not a readable Parquet file ({_first_line(error)}); restore it from its origin") from error

    def _choose(self, names: list[str]) -> dict[str, str]:
        chosen: dict[str, str] = {}
        for field, candidates in self.columns.candidates().items():
            present = [name for name in candidates if name in names]
            chosen |= {field: present[0]} if present else {}
        if "text" not in chosen:
            message = f"no column '{self.columns.text}' (the file has {', '.join(names)}); set columns.text to the one that holds the text"
            raise RowError("missing-column", message)
        return chosen


def _batch(batch: pa.RecordBatch, chosen: dict[str, str], first: int) -> Batch:
    bad: dict[int, BadRow] = {}
    columns: dict[str, pa.Array] = {}
    for field, name in chosen.items():
        try:
            columns[field] = batch[name].cast(pa.string())
            columns[field].validate(full=True)
        except pa.ArrowException:
            columns[field] = _row_by_row(batch[name], name, first, bad)
    missing = pa.nulls(batch.num_rows, pa.string())
    table = pa.table({"row": pa.array(range(first, first + batch.num_rows))} | {field: columns.get(field, missing) for field in (*FIELDS, *columns)})
    if bad:
        table = table.filter(pa.array([first + row not in bad for row in range(batch.num_rows)]))
    return Batch(table, tuple(bad.values()))


def _row_by_row(column: pa.Array, name: str, first: int, bad: dict[int, BadRow]) -> pa.Array:
    """The column as strings; a value that is none goes to `bad`, by row number."""
    values: list[str | None] = []
    textual = pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)
    for row, scalar in enumerate(column.cast(pa.large_binary()) if textual else column, first):
        value: Any = scalar.as_py()
        text: str | None = None
        if isinstance(value, bytes):
            try:
                text = value.decode("utf-8")
            except UnicodeDecodeError as error:
                message = f"column '{name}' is not UTF-8 at byte {error.start}; convert the data to UTF-8"
                bad.setdefault(row, BadRow(row, "bad-utf8", message, value[:200].decode("utf-8", "replace")))
        elif value is not None:
            message = f"column '{name}' holds {column.type}, not text; name another column"
            bad.setdefault(row, BadRow(row, "bad-type", message, str(value)[:200]))
        values.append(text)
    return pa.array(values, pa.string())


def _empty() -> pa.Table:
    return pa.table({"row": pa.array([], pa.int64())} | {field: pa.array([], pa.string()) for field in FIELDS})


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160]
