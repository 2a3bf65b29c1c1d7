"""Rows: what a training step is made of. A row holds pieces of documents, one after another, each with positions of its own.

A document that does not fit goes on in the next row as a piece of its own. The target of a piece's last token is the document's next token, wherever
that stands, so every token of a document but its first is learned exactly once an epoch, and no padding is ever computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from medglot.core.errors import StageError

UNSUPERVISED = -100
"""The target of a token after which nothing is learned."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """Token `ids`, the `targets` to predict after each (UNSUPERVISED: none), and the `lengths` of the pieces that they consist of."""

    ids: Integers
    targets: Integers
    lengths: tuple[int, ...]

    @property
    def supervised(self) -> int:
        """How many tokens of the row are learned."""
        return int(np.count_nonzero(self.targets != UNSUPERVISED))


class Source(Protocol):
    """Something that training rows come from."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def __len__(self) -> int:
        """How many rows it has."""
        ...

    def row(self, index: int) -> Row:
        """One of its rows."""
        ...


def micro_batches(rows: Sequence[Row], *, tokens: int) -> Iterator[list[Row]]:
    """`rows` in order, as many at a time as fit into `tokens`; at least one."""
    group: list[Row] = []
    held = 0
    for row in rows:
        if group and held + len(row.ids) > tokens:
            yield group
            group, held = [], 0
        group.append(row)
        held += len(row.ids)
    if group:
        yield group


@dataclass(frozen=True, slots=True)
class Texts:
    """Documents inside the token files of one split and language: for each its file's number, first token, length in tokens and bytes of text."""

    files: tuple[npt.NDArray[Any], ...]
    file: npt.NDArray[np.int32]
    start: Integers
    length: Integers
    bytes: Integers

    def take(self, places: Integers) -> Texts:
        """The documents at `places`, in that order."""
        return Texts(self.files, self.file[places], self.start[places], self.length[places], self.bytes[places])


def read_texts(folder: Path, split: str, *, token_bytes: int) -> dict[str, Texts]:
    """The documents of a tokens artifact's `split` (``train`` or ``heldout``) by language, the languages sorted."""
    indexes = sorted(folder.glob(f"{split}-*.index.parquet"))
    files: list[npt.NDArray[Any]] = []
    found: dict[str, list[Any]] = {}
    for number, path in enumerate(indexes):
        binary = path.with_name(path.name.removesuffix(".index.parquet") + ".bin")
        table = pq.read_table(path, columns=["language", "start", "length", "bytes"])
        files.append(np.memmap(binary, dtype=f"<u{token_bytes}", mode="r"))
        start, length, size = (table[name].to_numpy().astype(np.int64) for name in ("start", "length", "bytes"))
        if len(start) and int((start + length).max()) > len(files[-1]):
            raise StageError(f"{binary}: shorter than {path.name} says; rebuild the node that wrote it")
        language = np.asarray(table["language"].to_pylist(), dtype=object)
        for code in sorted(set(language)):
            mine = language == code
            found.setdefault(code, []).append((np.full(int(mine.sum()), number, np.int32), start[mine], length[mine], size[mine]))
    return {code: Texts(tuple(files), *(np.concatenate(columns) for columns in zip(*found[code], strict=True))) for code in sorted(found)}


class PackedTexts:
    """The documents of one language of one tokens node as a source of packed rows of `context_length` tokens (the last one may be shorter).

    A single token left over makes no row: it ends a document, the row before has learned to predict it, and nothing follows it.
    """

    def __init__(self, name: str, texts: Texts, *, context_length: int) -> None:
        self._name, self._texts, self._context = name, texts, context_length
        self._ends = np.cumsum(texts.length)
        self.tokens = int(self._ends[-1]) if len(self._ends) else 0

    @property
    def name(self) -> str:
        """``<node>/<language>``."""
        return self._name

    def __len__(self) -> int:
        return max(0, self.tokens + self._context - 2) // self._context

    def row(self, index: int) -> Row:
        """Row `index`: the tokens from ``index * context_length`` on, of all documents laid end to end."""
        first, last = index * self._context, min((index + 1) * self._context, self.tokens)
        ids = np.empty(last - first, dtype=np.int64)
        targets = np.full(last - first, UNSUPERVISED, dtype=np.int64)
        lengths = []
        document, at = int(np.searchsorted(self._ends, first, side="right")), 0
        while at < len(ids):
            left = int(self._ends[document]) - (first + at)
            size = min(left, len(ids) - at)
            tokens = self._texts.files[self._texts.file[document]]
            begin = int(self._texts.start[document] + self._texts.length[document]) - left
            ids[at : at + size] = tokens[begin : begin + size]
            known = min(size, left - 1)
            targets[at : at + known] = tokens[begin + 1 : begin + 1 + known]
            lengths.append(size)
            document, at = document + 1, at + size
        return Row(ids, targets, tuple(lengths))
