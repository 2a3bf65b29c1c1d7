"""How much of a benchmark question a document holds.

Two steps: a run of n words in common makes a candidate; then the words are aligned, and the share of the question's words that stand in shared runs
of n/2 words, inside a window as long as the question, decides. Stem, passage and options are segments of their own, so that reordered options count
in full; options of a few words must be found whole. A question whose every segment is shorter than n is looked for by the beginning of its stem and
must be found whole; one whose stem is shorter even than that cannot be told from ordinary wording, and is reported as too short.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from medglot.core.records import Question
from medglot.kernels.ngrams import Hashes, RunSet, runs, words

_SNIPPET = 200


@dataclass(frozen=True, slots=True)
class Match:
    """A question found in a document: its id, the part that was found (``question``, ``stem`` or ``passage``), the share of it, and the place."""

    question: str
    part: str
    overlap: float
    snippet: str


@dataclass(frozen=True, slots=True)
class _Asked:
    id: str
    passage: Hashes
    stem: Hashes
    options: tuple[Hashes, ...]

    @property
    def segments(self) -> tuple[Hashes, ...]:
        return (self.passage, self.stem, *self.options)

    @property
    def reach(self) -> int:
        """Words from one end of a copy to the other, with room for option letters and headings."""
        return sum(map(len, self.segments)) + 4 * len(self.options) + 10


class QuestionIndex:
    """The questions of one language, ready to be looked for. `length` is n, the words a candidate must share in a row."""

    def __init__(self, questions: Iterable[Question], *, length: int, threshold: float, common: int) -> None:
        self._length, self._threshold = length, threshold
        self._asked = [_prepare(question) for question in questions]
        self._head = length * 5 // 8
        keys, owners = self._candidates()
        order = np.lexsort((owners, keys))
        keys, owners = keys[order], owners[order]
        _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
        rare = counts[place] <= common  # longer lists are exam wording
        self._keys, self._owners = keys[rare], owners[rare]
        sought = set(self._owners.tolist())
        self.too_short = frozenset(asked.id for number, asked in enumerate(self._asked) if number not in sought)
        self._runs = RunSet(self._keys, lengths=(length, self._head))

    def touches(self, texts: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """For every text whether `matches` has anything to look at; false for nearly all."""
        return self._runs.touches(texts)

    def matches(self, text: str) -> list[Match]:
        """The questions found in a text, in the order of the index."""
        document = words(text)
        places: dict[int, list[int]] = {}
        for length in (self._length, self._head):
            sought = runs(document.hashes, length=length)
            low, high = np.searchsorted(self._keys, sought, "left"), np.searchsorted(self._keys, sought, "right")
            for place in np.flatnonzero(high > low).tolist():
                for owner in self._owners[low[place] : high[place]].tolist():
                    places.setdefault(owner, []).append(place)
        found = []
        for owner in sorted(places):
            asked = self._asked[owner]
            first, window = _window(document.hashes, np.sort(np.array(places[owner])), asked.reach + self._length)
            part, overlap = self._best(asked, window)
            if overlap >= (self._threshold if self._is_long(asked) else 1.0):
                start = int(document.start[first])
                found.append(Match(asked.id, part, round(overlap, 4), text[start : start + _SNIPPET]))
        return found

    def _is_long(self, asked: _Asked) -> bool:
        return any(len(segment) >= self._length for segment in asked.segments)

    def _candidates(self) -> tuple[Hashes, npt.NDArray[np.int64]]:
        """Every run that makes a question a candidate, with the question's number. A short question offers the head of its stem."""
        keys, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        for number, asked in enumerate(self._asked):
            parts = [runs(segment, length=self._length) for segment in asked.segments]
            if not self._is_long(asked):
                parts = [runs(asked.stem[: self._head], length=self._head)]
            distinct = np.unique(np.concatenate(parts))
            keys.append(distinct)
            owners.append(np.full(len(distinct), number, np.int64))
        return np.concatenate(keys), np.concatenate(owners)

    def _best(self, asked: _Asked, window: Hashes) -> tuple[str, float]:
        """The part of the question that the window holds most of. A stem alone must be long, because short ones are asked everywhere."""
        parts: dict[str, Sequence[Hashes]] = {"question": (asked.stem, *asked.options)}
        if len(asked.stem) >= 3 * self._length:
            parts["stem"] = (asked.stem,)
        if len(asked.passage) >= self._length:
            parts["passage"] = (asked.passage,)
        shares = {name: share(segments, window, run=self._length // 2) for name, segments in parts.items()}
        best = max(shares, key=lambda name: shares[name])
        return best, shares[best]


def share(segments: Sequence[Hashes], window: Hashes, *, run: int) -> float:
    """The share of the segments' words that stand in a run of `run` words which the window has too; shorter segments count whole or not at all."""
    total = sum(map(len, segments))
    covered = 0
    for segment in segments:
        length = min(run, len(segment))
        if length:
            shared = np.isin(runs(segment, length=length), runs(window, length=length))
            mask = np.zeros(len(segment), np.bool_)
            for place in range(length):
                mask[place : place + len(shared)] |= shared
            covered += int(mask.sum())
    return covered / total if total else 0.0


def _prepare(question: Question) -> _Asked:
    return _Asked(
        question.id, words(question.context).hashes, words(question.stem).hashes, tuple(words(option).hashes for option in question.options)
    )


def _window(document: Hashes, places: npt.NDArray[np.int64], reach: int) -> tuple[int, Hashes]:
    """Where most candidates lie within `reach` words: the first of them, and the words around."""
    within = np.searchsorted(places, places + reach, "right") - np.arange(len(places))
    first = int(places[int(within.argmax())])
    return first, document[max(0, first - reach) : first + reach]
