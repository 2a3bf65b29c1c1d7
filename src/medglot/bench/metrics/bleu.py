"""BLEU (Papineni et al. 2002, doi 10.3115/1073083.1073135) over words, against one reference.

Everything follows from counts that add up: a pair of texts gives `BleuCounts`, their sum is the corpus's. BLEU-n is cumulative: the geometric mean of
the clipped precisions of 1 to n words, times the brevity penalty. Values equal those of sacrebleu, and those of nltk but for one habit of it: its
corpus BLEU counts one n-gram in a text that is too short to hold any.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

VERSION = 1
ORDER = 4

Smoothing = Literal["none", "epsilon", "add-one"]
"""What stands for a precision without a match.

``none``: 0, and BLEU is 0. ``epsilon``: 0.1 matches (Chen & Cherry 2014, aclanthology W14-3346, method 1). ``add-one``: one is added to the matches
and the total of every order above 1 (Lin & Och 2004; their method 2).
"""


@dataclass(frozen=True, slots=True)
class BleuCounts:
    """Matches (clipped) and totals of 1 to `ORDER` words, and the lengths in words."""

    matches: tuple[int, ...]
    totals: tuple[int, ...]
    length: int
    reference_length: int


def count(candidate: Sequence[str], reference: Sequence[str]) -> BleuCounts:
    """The counts of one pair."""
    matches = matched_ngrams(candidate, reference, ORDER)
    totals = tuple(max(0, len(candidate) - order) for order in range(ORDER))
    return BleuCounts(matches, totals, len(candidate), len(reference))


def matched_ngrams(candidate: Sequence[str], reference: Sequence[str], order: int) -> tuple[int, ...]:
    """How many runs of 1 to `order` words of the candidate find one of their own in the reference, where each can be found once."""
    return tuple(_matched(_runs(candidate, size), _runs(reference, size)) for size in range(1, order + 1))


def add(counts: Iterable[BleuCounts]) -> BleuCounts:
    """The counts of a corpus."""
    rows = list(counts)
    return BleuCounts(
        tuple(sum(row.matches[order] for row in rows) for order in range(ORDER)),
        tuple(sum(row.totals[order] for row in rows) for order in range(ORDER)),
        sum(row.length for row in rows),
        sum(row.reference_length for row in rows),
    )


def bleu(counts: BleuCounts, *, smoothing: Smoothing = "none") -> tuple[float, ...]:
    """BLEU-1 to BLEU-4, each from 0 to 1."""
    if counts.matches[0] == 0:
        return (0.0,) * ORDER
    penalty = 1.0 if counts.length >= counts.reference_length else math.exp(1 - counts.reference_length / counts.length)
    logs, values = 0.0, []
    for order in range(ORDER):
        precision = _precision(counts.matches[order], counts.totals[order], order, smoothing)
        logs += math.log(precision) if precision else -math.inf
        values.append(penalty * math.exp(logs / (order + 1)))
    return tuple(values)


def signature(*, tokeniser: str, level: Literal["corpus", "sentence"], smoothing: Smoothing) -> str:
    """How values were made, such as ``bleu|version:1|level:corpus|tokeniser:words:1|case:lower|smoothing:none``."""
    return f"bleu|version:{VERSION}|level:{level}|tokeniser:{tokeniser}|case:lower|smoothing:{smoothing}"


def _runs(words: Sequence[str], size: int) -> Iterable[Hashable]:
    return words if size == 1 else zip(*(words[start:] for start in range(size)), strict=False)


def _matched(runs: Iterable[Hashable], reference: Iterable[Hashable]) -> int:
    left: dict[Hashable, int] = Counter(reference)
    found = 0
    for run in runs:
        if left.get(run):
            left[run] -= 1
            found += 1
    return found


def _precision(matches: int, total: int, order: int, smoothing: Smoothing) -> float:
    if smoothing == "add-one" and order > 0:
        return (matches + 1) / (max(1, total) + 1)
    if matches == 0:
        return 0.1 / max(1, total) if smoothing == "epsilon" else 0.0
    return matches / total
