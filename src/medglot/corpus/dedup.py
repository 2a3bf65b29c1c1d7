"""Stage `dedup`: of documents with the same text, the first stays: first input of the recipe, then smallest id.

Same means equal after NFKC and with every run of white space as one space. Memory holds a 16-byte hash (xxh3-128) a document, never a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from medglot.core.files import atomic_path
from medglot.core.rows import read_tables
from medglot.core.shards import Shard, ShardRow, add_balances
from medglot.core.stage import StageContext, StageResult
from medglot.corpus.settings import DedupSettings
from medglot.corpus.shard_writer import shard_writer
from medglot.corpus.statistics import Tally

_FOLDER = ".hashes"
_SPACES = r"[\s\x{0b}\x{1c}-\x{1f}\x{85}\p{Z}]+"


@dataclass(frozen=True, slots=True)
class Removal:
    """A file of documents and the rows of it, from 0, that repeat an earlier document."""

    path: Path
    rows: npt.NDArray[np.int64]


def build(settings: DedupSettings, context: StageContext) -> StageResult:  # noqa: ARG001 - a stage's signature
    """Runs the stage."""
    files = [(number, path) for number, artifact in enumerate(context.all("documents")) for path in artifact.files("documents-*.parquet")]
    hashing = [Shard(f"hash-{place:05d}", path) for place, (_, path) in enumerate(files)]
    context.map_shards(hash_shard, hashing, out=context.out, title="hashes")
    removals = _removals(context.out, files)
    shards = [Shard(f"{place:05d}", removal) for place, removal in enumerate(removals)]
    rows = context.map_shards(remove_shard, shards, out=context.out, title="duplicates")
    summary = Tally.total(row.numbers["tally"] for row in rows).summary()
    summary["duplicates"] = Tally.total(row.numbers["removed"] for row in rows).summary()
    return StageResult(summary=summary, balance=add_balances(rows))


def normalise(texts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """What two texts must have in common to be the same text."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_normalize(texts, form="NFKC"), _SPACES, " "))


def hash_shard(path: Path, out: Path, name: str) -> ShardRow:
    """Leaves the hashes of a file's documents, two uint64 a row."""
    digests = bytearray()
    for table in read_tables(path, columns=["text"]):
        for text in normalise(table["text"]).to_pylist():
            digests += xxhash.xxh3_128_digest(text.encode("utf-8"))
    (out / _FOLDER).mkdir(exist_ok=True)
    with atomic_path(out / _FOLDER / f"{name}.bin") as temporary:
        temporary.write_bytes(bytes(digests))
    return ShardRow()


def remove_shard(removal: Removal, out: Path, name: str) -> ShardRow:
    """Writes the documents of a file that stay."""
    row, kept, removed = ShardRow(), Tally(), Tally()
    with shard_writer(out / f"documents-{name}.parquet") as writer:
        start = 0
        for table in read_tables(removal.path):
            repeated = pa.array(np.isin(np.arange(start, start + len(table)), removal.rows))
            stays, goes = table.filter(pc.invert(repeated)), table.filter(repeated)
            writer.add(stays)
            kept.add(stays)
            removed.add(goes)
            row.balance.keep(len(stays))
            if len(goes):
                row.balance.drop("duplicate", len(goes))
            start += len(table)
    row.numbers = {"tally": kept.to_json(), "removed": removed.to_json()}
    return row


def _removals(out: Path, files: list[tuple[int, Path]]) -> list[Removal]:
    """For every file the rows to remove."""
    parts = [np.fromfile(out / _FOLDER / f"hash-{place:05d}.bin", np.uint64).reshape(-1, 2) for place in range(len(files))]
    starts = np.cumsum([0, *(len(part) for part in parts)])
    hashes = np.concatenate(parts) if parts else np.zeros((0, 2), np.uint64)
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    same = (hashes[order[1:]] == hashes[order[:-1]]).all(axis=1)
    group = np.cumsum(np.concatenate([[0], ~same])) if len(order) else order
    shared = np.concatenate([same, [False]]) | np.concatenate([[False], same]) if len(order) else same
    twins, groups = order[shared], group[shared]
    by_place = np.argsort(twins, kind="stable")
    best: dict[int, tuple[int, str, int]] = {}
    for row, key, (number, name) in zip(twins[by_place].tolist(), groups[by_place].tolist(), _origins(files, starts, twins[by_place]), strict=True):
        best[key] = min(best.get(key, (number, name, row)), (number, name, row))
    stay = {row for _, _, row in best.values()}
    gone = np.array([row for row in twins[by_place].tolist() if row not in stay], np.int64)
    return [Removal(path, gone[(gone >= starts[place]) & (gone < starts[place + 1])] - starts[place]) for place, (_, path) in enumerate(files)]


def _origins(files: list[tuple[int, Path]], starts: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> list[tuple[int, str]]:
    """Input number and id of documents given by ascending row; ids are read only from files that hold one of them."""
    origins: list[tuple[int, str]] = []
    for place, (number, path) in enumerate(files):
        chosen = rows[(rows >= starts[place]) & (rows < starts[place + 1])] - starts[place]
        if len(chosen):
            ids = pa.concat_tables(read_tables(path, columns=["id"]))["id"].take(pa.array(chosen))
            origins += [(number, name) for name in ids.to_pylist()]
    return origins
