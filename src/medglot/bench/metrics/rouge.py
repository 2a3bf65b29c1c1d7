"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004, aclanthology W04-1013) over words, against one reference: the balanced F of precision and recall.

ROUGE-L takes the whole text as one sequence. Its longest common subsequence is found bit-parallel: one Python integer holds a row of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medglot.bench.metrics.bleu import matched_ngrams

VERSION = 1


@dataclass(frozen=True, slots=True)
class Rouge:
    """The F values, each from 0 to 1."""

    rouge1: float
    rouge2: float
    rougeL: float


def rouge(candidate: Sequence[str], reference: Sequence[str]) -> Rouge:
    """The three values of a pair; 0 where a text is too short to hold a single n-gram."""
    words, pairs = matched_ngrams(candidate, reference, 2)
    longest = common_subsequence(candidate, reference)
    return Rouge(
        _f(words, len(candidate), len(reference)),
        _f(pairs, len(candidate) - 1, len(reference) - 1),
        _f(longest, len(candidate), len(reference)),
    )


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence (Hyyro 2004, "Bit-parallel LCS-length computation revisited").

    Bit i of `row` is 0 when the table's value rises at word i of `one`; a word of `other` updates the whole row at once.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & full
    return len(one) - row.bit_count()


def signature(*, tokeniser: str) -> str:
    """How values were made, such as ``rouge|version:1|f:1|tokeniser:words:1|case:lower|stemming:none``."""
    return f"rouge|version:{VERSION}|f:1|tokeniser:{tokeniser}|case:lower|stemming:none"


def _f(shared: int, length: int, reference_length: int) -> float:
    """2PR / (P + R) with P = shared / length and R = shared / reference_length."""
    return 2 * shared / (length + reference_length) if shared else 0.0
