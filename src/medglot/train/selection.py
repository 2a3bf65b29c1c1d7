"""Which documents are held out, kept and looked at: by a hash of (seed, document id), never by their place in a file.

Within a language the documents with the smallest hashes are held out and the next ones are kept. So the splits are disjoint by construction, equal
whatever the shards, and documents added later move only a few others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from medglot.core.rows import read_tables

_LAST = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Cut:
    """The bounds of one language: documents with a hash below `heldout` are held out, others below `kept` are trained on."""

    heldout: int
    kept: int

    def split(self, key: int) -> str | None:
        """``heldout``, ``train``, or None for a document beyond the limit."""
        return "heldout" if key < self.heldout else "train" if key < self.kept else None


def document_key(seed: int, document_id: str) -> int:
    """The 64-bit hash that a document is chosen by."""
    return xxhash.xxh3_64_intdigest(f"{seed}/{document_id}".encode())


def cuts(files: Sequence[Path], *, seed: int, heldout_share: float = 0.0, heldout_minimum: int = 0, limit_bytes: int | None = None) -> dict[str, Cut]:
    """The bounds of every language in `files` (Parquet documents), from ids and, when there is a limit, sizes of texts."""
    keys: dict[str, list[int]] = {}
    sizes: dict[str, list[int]] = {}
    for file in files:
        for table in read_tables(file, ["id", "language", *(["text"] if limit_bytes is not None else [])]):
            lengths = pc.fill_null(pc.binary_length(table["text"]), 0).to_pylist() if limit_bytes is not None else [0] * table.num_rows
            for name, language, length in zip(table["id"].to_pylist(), table["language"].to_pylist(), lengths, strict=True):
                keys.setdefault(language, []).append(document_key(seed, name))
                sizes.setdefault(language, []).append(length)
    found = {}
    for language in sorted(keys):
        ordered = np.array(keys[language], dtype=np.uint64)
        order = np.argsort(ordered, kind="stable")
        held = min(max(heldout_minimum, round(heldout_share * len(order))), len(order) // 2)
        kept = len(order)
        if limit_bytes is not None:
            grown = np.cumsum(np.array(sizes[language], dtype=np.int64)[order][held:])
            kept = held + max(1, int(np.searchsorted(grown, limit_bytes, side="right")))
        bounds = [*(int(key) for key in ordered[order]), _LAST + 1]
        found[language] = Cut(bounds[held], bounds[min(kept, len(order))])
    return found


def row_groups(file: Path, *, size: int) -> list[tuple[int, int]]:
    """Ranges of a Parquet file's row groups, each of about `size` bytes of data or one group."""
    with pq.ParquetFile(file) as parquet:
        sizes = [parquet.metadata.row_group(group).total_byte_size for group in range(parquet.num_row_groups)]
    ranges: list[tuple[int, int]] = []
    begin = held = 0
    for group, bytes_ in enumerate(sizes):
        if held and held + bytes_ > size:
            ranges.append((begin, group))
            begin, held = group, 0
        held += bytes_
    return [*ranges, (begin, len(sizes))] if sizes else []
