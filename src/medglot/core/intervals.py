"""Intervals of proportions and of means of proportions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist


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
