"""How far a difference may be trusted: exact tests and bootstrap intervals of paired differences.

Two models are always compared on the same questions and the difference is taken question by question: far sharper than two separate intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medglot.core.intervals import Interval

_CHUNK = 1 << 22


def mcnemar(wins: int, losses: int) -> float:
    """The two-sided p value of the exact test (McNemar 1947, doi 10.1007/BF02295996).

    Twice the smaller tail of a binomial with p = 1/2 over the questions where the two models differ, at most 1; computed in whole numbers.
    """
    n, fewer = wins + losses, min(wins, losses)
    term = tail = 1
    for k in range(fewer):
        term = term * (n - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << n))


def paired_bootstrap(differences: Mapping[str, Sequence[float]], *, resamples: int, seed: Sequence[int], confidence: float = 0.95) -> Interval:
    """The mean over strata of the mean difference, with the percentile interval of the bootstrap (Efron & Tibshirani 1993, chapter 13).

    Questions are drawn anew within each stratum (language), so a stratum keeps its size. A sample of n questions matters only through how often each
    distinct difference occurs in it, which is one multinomial draw.
    """
    generator = np.random.default_rng(seed)
    total: NDArray[np.float64] = np.zeros(resamples)
    value = 0.0
    for name in sorted(differences):
        values, counts = np.unique(np.asarray(differences[name], dtype=np.float64), return_counts=True)
        n = int(counts.sum())
        value += float(values @ counts) / n
        step = max(1, _CHUNK // len(values))
        for start in range(0, resamples, step):
            size = min(step, resamples - start)
            total[start : start + size] += generator.multinomial(n, counts / n, size=size) @ values / n
    tail = (1 - confidence) / 2
    low, high = np.quantile(total, [tail, 1 - tail]) / len(differences)
    return Interval(value / len(differences), float(low), float(high))
