"""Encoding: one shard of documents to token files. What a worker process runs, so it imports neither torch nor transformers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from medglot.core.errors import StageError
from medglot.core.files import atomic_path
from medglot.core.rows import write_table
from medglot.core.shards import ShardRow
from medglot.train.selection import Cut, document_key

TOKENIZER = "tokenizer"
SPLITS = ("train", "heldout")

_BATCH_BYTES = 1_000_000
_INDEX = pa.schema(
    [("id", pa.string()), ("language", pa.string()), ("source", pa.string()), ("start", pa.int64()), ("length", pa.int64()), ("bytes", pa.int64())]
)


class Encoder:
    """A saved tokenizer as a worker uses it: documents to ids, each ended by EOS. A special token's name in a text is plain text."""

    def __init__(self, folder: Path, *, eos: int) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the library's only switch; a worker is one of many processes
        if not (folder / "tokenizer.json").is_file():
            raise StageError(f"{folder}: has no tokenizer.json; only tokenizers of the `tokenizers` library can encode a corpus")
        self._core = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._core.no_truncation()
        self._core.no_padding()
        self._core.encode_special_tokens = True
        self._eos = eos

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, begun as the tokenizer begins a text (BOS, if it has one)."""
        found = [encoding.ids for encoding in self._core.encode_batch_fast(list(texts))]
        return [ids if ids[-1:] == [self._eos] else [*ids, self._eos] for ids in found]


def encode_shard(payload: dict[str, Any], out: Path, name: str) -> ShardRow:
    """Encodes some row groups of one Parquet file of documents. `payload`: file, groups, cuts, seed, eos, width."""
    row = ShardRow()
    bounds: dict[str, Cut] = payload["cuts"]
    encoder = Encoder(out / TOKENIZER, eos=payload["eos"])
    ids: dict[str, list[np.ndarray[Any, Any]]] = {split: [] for split in SPLITS}
    index: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    starts = dict.fromkeys(SPLITS, 0)
    for batch in _batches(_wanted(payload["file"], payload["groups"], bounds, payload["seed"], row)):
        for document, tokens in zip(batch, encoder.encode([document["text"] for document in batch]), strict=True):
            split = document["split"]
            ids[split].append(np.array(tokens, dtype=f"<u{payload['width']}"))
            index[split].append({**document, "start": starts[split], "length": len(tokens)})
            starts[split] += len(tokens)
            row.balance.keep()
    for split in SPLITS:
        if index[split]:
            with atomic_path(out / f"{split}-{name}.bin") as path, path.open("wb") as handle:
                np.concatenate(ids[split]).tofile(handle)
            write_table(out / f"{split}-{name}.index.parquet", pa.Table.from_pylist(index[split], schema=_INDEX))
        row.numbers[split] = _count(index[split])
    return row


def _wanted(file: Path, groups: tuple[int, int], bounds: dict[str, Cut], seed: int, row: ShardRow) -> Iterator[dict[str, Any]]:
    """The documents of a shard that belong to a split; the others are counted in `row`."""
    with pq.ParquetFile(file) as parquet:
        for group in range(*groups):
            for place, document in enumerate(parquet.read_row_group(group, columns=["id", "language", "source", "text"]).to_pylist()):
                split = bounds[document["language"]].split(document_key(seed, document["id"]))
                if document["text"] is None:
                    row.set_aside(f"{file.name}, row group {group}, row {place}", "no-text", "the text is null", str(document["id"]))
                elif not document["text"]:
                    row.balance.drop("empty")
                elif split is None:
                    row.balance.drop("limit_bytes")
                else:
                    yield document | {"split": split, "bytes": len(document["text"].encode())}


def _batches(documents: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Documents in batches of about a million bytes, so that memory does not grow with their number."""
    batch: list[dict[str, Any]] = []
    held = 0
    for document in documents:
        batch.append(document)
        held += document["bytes"]
        if held >= _BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _count(index: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for document in index:
        cell = counts.setdefault(document["language"], {"documents": 0, "tokens": 0, "bytes": 0})
        cell["documents"] += 1
        cell["tokens"] += document["length"]
        cell["bytes"] += document["bytes"]
    return counts
