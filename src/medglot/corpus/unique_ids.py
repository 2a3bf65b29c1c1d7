"""Ids made unique across all shards: the first document in input order keeps its id, later ones get ``#2``, ``#3`` ...

Native ids repeat in real data. Each shard leaves its ids in a scratch file; hashes of all ids are compared in memory (8 bytes a document), and the
shards that hold a repetition are rewritten. The new id goes to a row's *place*, so that doing it again after an interruption changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from medglot.core.files import atomic_path
from medglot.core.rows import read_tables
from medglot.core.shards import Shard, ShardRow
from medglot.core.stage import StageContext
from medglot.corpus.shard_writer import shard_writer

_FOLDER = ".ids"
_SCHEMA = pa.schema([("id", pa.string()), ("hash", pa.uint64())])


class IdWriter:
    """Notes the ids of one shard in the order of its rows."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    @classmethod
    @contextmanager
    def open(cls, out: Path, name: str) -> Iterator[Self]:
        """A writer of the scratch file of shard `name`."""
        (out / _FOLDER).mkdir(exist_ok=True)
        with atomic_path(out / _FOLDER / f"{name}.parquet") as path, pq.ParquetWriter(path, _SCHEMA) as writer:
            yield cls(writer)

    def add(self, ids: pa.ChunkedArray) -> None:
        """Notes ids."""
        hashes = [_hash(name) for name in ids.to_pylist()]
        self._writer.write_table(pa.table({"id": ids, "hash": pa.array(hashes, pa.uint64())}, schema=_SCHEMA))


@dataclass(frozen=True, slots=True)
class Renaming:
    """New ids for rows of one shard, by row number from 0."""

    ids: dict[int, str]


def make_ids_unique(context: StageContext, names: list[str]) -> int:
    """Rewrites the shards that hold repeated ids; returns how many documents got a new id."""
    hashes = [pq.read_table(context.out / _FOLDER / f"{name}.parquet", columns=["hash"])["hash"].to_numpy() for name in names]
    everything = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
    values, counts = np.unique(everything, return_counts=True)
    renamings = _rename(context.out, names, hashes, values[counts > 1], values)
    shards = [Shard(f"ids-{name}", Renaming(ids)) for name, ids in renamings.items()]
    if shards:
        context.map_shards(rename_shard, shards, out=context.out, title="ids")
    return sum(len(ids) for ids in renamings.values())


def rename_shard(renaming: Renaming, out: Path, name: str) -> ShardRow:
    """Rewrites documents-NNNNN.parquet with new ids."""
    path = out / f"documents-{name.removeprefix('ids-')}.parquet"
    with shard_writer(path) as writer:
        start = 0
        for table in read_tables(path):
            ids = [renaming.ids.get(row, old) for row, old in enumerate(table["id"].to_pylist(), start)]
            writer.add(table.set_column(0, "id", pa.array(ids, pa.string())))
            start += len(table)
    return ShardRow()


def _rename(out: Path, names: list[str], hashes: list[np.ndarray], repeated: np.ndarray, native: np.ndarray) -> dict[str, dict[int, str]]:
    """New ids by shard and row: the n-th document of an id gets the next ``#n`` that is no document's id. `native` holds all hashes, sorted."""
    seen: defaultdict[str, int] = defaultdict(int)
    given: set[int] = set()
    result: dict[str, dict[int, str]] = {}

    def is_free(name: str) -> bool:
        value = np.uint64(_hash(name))
        place = np.searchsorted(native, value)
        return int(value) not in given and (place == len(native) or native[place] != value)

    for name, column in zip(names, hashes, strict=True):
        rows = np.flatnonzero(np.isin(column, repeated))
        if not len(rows):
            continue
        ids = pq.read_table(out / _FOLDER / f"{name}.parquet", columns=["id"])["id"].take(pa.array(rows)).to_pylist()
        for row, old in zip(rows.tolist(), ids, strict=True):
            seen[old] += 1
            if seen[old] == 1:
                continue
            while not is_free(new := f"{old}#{seen[old]}"):
                seen[old] += 1
            given.add(_hash(new))
            result.setdefault(name, {})[row] = new
    return result


def _hash(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode("utf-8"))
