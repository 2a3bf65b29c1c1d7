"""Records as JSON lines and documents as Parquet, read back with every bad row named and none lost silently.

Documents travel as Parquet (zstd) so that pandas, polars, DuckDB and `datasets` open them as they are; `meta` is a JSON string column.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from medglot.core.artifact import Artifact
from medglot.core.errors import StageError
from medglot.core.files import atomic_path, write_lines
from medglot.core.records import Conversation, Document, Prediction, Question, Score, Turn

DOCUMENT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("language", pa.string()),
        ("source", pa.string()),
        ("license", pa.string()),
        ("meta", pa.string()),
    ]
)

Row = TypeVar("Row", Question, Conversation, Prediction, Score)


def document_table(documents: Iterable[Document]) -> pa.Table:
    """Documents as an Arrow table in DOCUMENT_SCHEMA."""
    rows = [asdict(document) | {"meta": json.dumps(dict(document.meta), ensure_ascii=False, sort_keys=True)} for document in documents]
    return pa.Table.from_pylist(rows, schema=DOCUMENT_SCHEMA)


def write_table(target: Path, table: pa.Table) -> None:
    """Writes an Arrow table as Parquet, atomically: zstd, row groups of 10,000 rows, the same bytes for the same rows."""
    with atomic_path(target) as path:
        pq.write_table(table, path, compression="zstd", row_group_size=10_000, store_schema=False)


def write_documents(target: Path, documents: Iterable[Document]) -> int:
    """Writes documents as one Parquet shard, atomically; returns how many."""
    table = document_table(documents)
    write_table(target, table)
    return int(table.num_rows)


def read_tables(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a Parquet shard, one at a time, so that memory does not grow with the file."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of one Parquet shard written by `write_documents`."""
    for table in read_tables(path):
        for row in table.to_pylist():
            yield Document(**(row | {"meta": json.loads(row["meta"])}))


def write_rows(target: Path, rows: Iterable[Row]) -> int:
    """Writes records as JSON lines, atomically; returns how many."""
    return write_lines(target, (asdict(row) for row in rows))


def read_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """Records of `kind` from JSON lines written by `write_rows`.

    Raises StageError that names file and line: an artifact of ours is never repaired in silence.
    """
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, 1):
            try:
                yield _from_json(json.loads(line), kind)
            except (ValueError, TypeError, KeyError) as error:
                raise StageError(f"{path}, line {number}: not a {kind.__name__} ({error}); rebuild the node that wrote it") from error


def read_all(artifacts: Iterable[Artifact], pattern: str, kind: type[Row]) -> Iterator[Row]:
    """Records of `kind` from every file of every artifact that matches the glob `pattern`, in order. Raises StageError as `read_rows` does."""
    for artifact in artifacts:
        for path in artifact.files(pattern):
            yield from read_rows(path, kind)


def _from_json(data: dict[str, Any], kind: type[Row]) -> Row:
    for name in ("options", "answer", "option_logprobs", "answered"):
        if isinstance(data.get(name), list):
            data[name] = tuple(data[name])
    if kind is Conversation:
        data["turns"] = tuple(Turn(**turn) for turn in data["turns"])
    return kind(**data)
