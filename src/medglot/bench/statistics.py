"""How far a number may be trusted: intervals of proportions, exact tests and bootstrap intervals of paired differences.

Two models are always compared on the same questions and the difference is taken question by question: far sharper than two separate intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the bounds of its confidence interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the bounds."""
        return (self.high - self.low) / 2


def wilson(successes: float, n: int, *, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion (Wilson 1927, doi 10.1080/01621459.1927.10502953). Raises ValueError when `n` is 0."""
    if n < 1:
        raise ValueError("a proportion of nothing has no interval")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n the bound is exactly the share; rounding must not put it on the other side.
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def macro(parts: Sequence[Interval]) -> Interval:
    """The unweighted mean of independent estimates, its bounds recovered from theirs (MOVER: Zou & Donner 2008, doi 10.1002/sim.3095).

    With mean m of k values v and bounds l, u: m - sqrt(sum (v - l)^2) / k and m + sqrt(sum (u - v)^2) / k. Unlike a bootstrap it keeps a width where
    every answer of a language is right.
    """
    mean = sum(part.value for part in parts) / len(parts)
    below = math.sqrt(sum((part.value - part.low) ** 2 for part in parts)) / len(parts)
    above = math.sqrt(sum((part.high - part.value) ** 2 for part in parts)) / len(parts)
    return Interval(mean, mean - below, mean + above)


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
