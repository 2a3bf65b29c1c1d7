"""Documents written as one Parquet shard, batch by batch: memory holds one row group, and the bytes depend on the rows alone, not on the batches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medglot.core.files import atomic_path
from medglot.core.rows import DOCUMENT_SCHEMA

_GROUP_ROWS = 10_000
_GROUP_BYTES = 1 << 28
"""Bytes of text behind which a row group ends early: ten thousand books would fit neither into memory nor into one Arrow array."""


class ShardWriter:
    """Takes tables of one schema and writes them in row groups of 10,000 rows, or fewer where their texts are long."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)
        self._schema = schema
        self._open: list[pa.Table] = []
        self.rows = 0
        self._open_rows = self._open_bytes = 0

    def add(self, table: pa.Table) -> None:
        """Adds rows behind those added before."""
        self._open.append(table.select(self._schema.names).cast(self._schema))
        self.rows += len(table)
        self._open_rows += len(table)
        self._open_bytes += pc.sum(pc.binary_length(table["text"])).as_py() or 0
        if self._open_rows >= _GROUP_ROWS or self._open_bytes >= _GROUP_BYTES:
            self._flush(whole_groups=True)

    def close(self) -> None:
        """Writes what is left."""
        self._flush(whole_groups=False)
        self._writer.close()

    def _flush(self, *, whole_groups: bool) -> None:
        table = pa.concat_tables(self._open) if self._open else self._schema.empty_table()
        sizes = np.cumsum(pc.fill_null(pc.binary_length(table["text"]), 0).to_numpy().astype(np.int64))
        start, written = 0, 0
        while start < len(table):
            filled = int(np.searchsorted(sizes, written + _GROUP_BYTES)) + 1  # behind the row that fills the group; past the end when none does
            end = min(start + _GROUP_ROWS, filled)
            if end > len(table) and whole_groups:
                break
            end = min(end, len(table))
            self._writer.write_table(table.slice(start, end - start).combine_chunks(), row_group_size=_GROUP_ROWS)
            start, written = end, int(sizes[end - 1])
        self._open = [table.slice(start)]
        self._open_rows, self._open_bytes = len(table) - start, (int(sizes[-1]) if len(sizes) else 0) - written


@contextmanager
def shard_writer(target: Path, schema: pa.Schema = DOCUMENT_SCHEMA) -> Iterator[ShardWriter]:
    """A writer whose file becomes `target` when the block ends well. A shard without rows leaves no file."""
    with atomic_path(target) as path:
        writer = ShardWriter(path, schema)
        yield writer
        writer.close()
    if not writer.rows:
        target.unlink()


def with_meta(table: pa.Table) -> pa.Table:
    """Puts the columns ``meta.<name>`` together as the JSON column `meta`; nulls are left out."""
    names = sorted(name for name in table.column_names if name.startswith("meta."))
    keys = [name.removeprefix("meta.") for name in names]
    rows = zip(*(table[name].to_pylist() for name in names), strict=True) if names else [()] * len(table)
    encoder = json.JSONEncoder(ensure_ascii=False)
    meta = [encoder.encode({key: value for key, value in zip(keys, row, strict=True) if value is not None}) for row in rows]
    return table.drop_columns(names).append_column("meta", pa.array(meta, pa.string()))
