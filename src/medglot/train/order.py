"""Which rows make up which batch: pure functions of (seed, step), with no state to save and nothing to restore.

A run of N row slots is shared among the sources in exact proportion to their weights. Slot g belongs to the source on whose stretch of [0, N) the
point (g * stride) mod N falls; the stride is close to N divided by the golden ratio and coprime to N, so the points visit every place once and any
batch of consecutive slots holds the mixture (Kronecker sequence). The n-th slot of a source takes the row that a keyed permutation of the source
gives to n in that epoch. Neither micro-batches nor machines appear here: they cannot change what a step learns from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from medglot.core.errors import RecipeError

Integers = npt.NDArray[np.int64]

_ROUNDS = 4
_GOLDEN = (math.sqrt(5) - 1) / 2


def permute(indices: Integers, *, size: int, key: str) -> Integers:
    """The places of `indices` (each in [0, size)) under the permutation that `key` names.

    A balanced Feistel network over the next power of four, walked along its cycle until the value is below `size` (Black and Rogaway 2002).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    keys = [np.uint64(xxhash.xxh3_64_intdigest(f"{key}/{turn}".encode())) for turn in range(_ROUNDS)]
    values = indices.astype(np.uint64)
    walking = np.arange(len(values))
    while len(walking):
        left, right = values[walking] >> np.uint64(half), values[walking] & mask
        for turn_key in keys:
            left, right = right, left ^ (_mix(right ^ turn_key) & mask)
        values[walking] = (left << np.uint64(half)) | right
        walking = walking[values[walking] >= size]
    return values.astype(np.int64)


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """`total` shared out in whole numbers in proportion to `weights`, by largest remainder; ties go to the first."""
    exact = [total * weight / math.fsum(weights) for weight in weights]
    shares = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda place: (shares[place] - exact[place], place))
    for place in by_remainder[: total - sum(shares)]:
        shares[place] += 1
    return shares


@dataclass(frozen=True, slots=True)
class Place:
    """One row of a batch: which source, and which of its rows."""

    source: int
    row: int


class Order:
    """The batches of a run over sources of `sizes` rows, mixed by `weights`.

    `slots` is the number of rows that the whole run sees; the last batch may be smaller than `batch_rows`.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], *, slots: int, batch_rows: int, seed: int) -> None:
        empty = [place for place, size in enumerate(sizes) if size < 1]
        if not sizes or empty or slots < 1:
            raise RecipeError(
                f"nothing to train on: {slots} rows wanted from sources of {list(sizes)} rows; add documents or remove the empty source"
            )
        self.sizes, self.slots, self.batch_rows, self.seed = list(sizes), slots, batch_rows, seed
        self.shares = apportion(slots, weights)
        self.steps = -(-slots // batch_rows)
        self._ends = np.cumsum(self.shares)
        self._stride = next(stride for stride in range(max(1, round(slots * _GOLDEN)), 2 * slots + 1) if math.gcd(stride, slots) == 1)
        counts = np.zeros((self.steps + 1, len(sizes)), dtype=np.int64)
        for step in range(self.steps):
            counts[step + 1] = counts[step] + np.bincount(self._sources(step), minlength=len(sizes))
        self._before = counts

    def _sources(self, step: int) -> Integers:
        slots = np.arange(step * self.batch_rows, min((step + 1) * self.batch_rows, self.slots))
        return np.searchsorted(self._ends, slots * self._stride % self.slots, side="right")

    def batch(self, step: int) -> list[Place]:
        """The rows of a step (counted from 0), in the order of their slots."""
        sources = self._sources(step)
        rows = np.zeros(len(sources), dtype=np.int64)
        for source, size in enumerate(self.sizes):
            mine = np.flatnonzero(sources == source)
            uses = self._before[step, source] + np.arange(len(mine))
            for epoch in np.unique(uses // size):
                now = uses // size == epoch
                rows[mine[now]] = permute(uses[now] % size, size=size, key=f"{self.seed}/{source}/{epoch}")
        return [Place(int(source), int(row)) for source, row in zip(sources, rows, strict=True)]

    def epochs(self) -> list[float]:
        """How many times the run goes over each source."""
        return [share / size for share, size in zip(self.shares, self.sizes, strict=True)]
