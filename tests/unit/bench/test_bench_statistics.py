from math import comb

import numpy as np
import pytest

from medglot.bench.statistics import mcnemar, paired_bootstrap
from medglot.core.intervals import Interval


def test_mcnemar_is_the_exact_binomial_test():
    for wins, losses in ((0, 0), (5, 0), (1, 9), (12, 12), (700, 600), (40, 1200)):
        n = wins + losses
        exact = min(1.0, 2 * sum(comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n)
        assert mcnemar(wins, losses) == mcnemar(losses, wins) == exact
    assert mcnemar(5, 0) == 0.0625


def test_the_bootstrap_has_the_standard_error_of_the_mean():
    chance = np.random.default_rng(3)
    values = {"en": chance.choice([-1.0, 0.0, 1.0], 400, p=[0.1, 0.6, 0.3]), "fr": chance.normal(0.1, 0.5, 300)}
    interval = paired_bootstrap(values, resamples=20_000, seed=[1])
    error = sum(value.var() / len(value) for value in values.values()) ** 0.5 / 2
    assert interval.value == pytest.approx(np.mean([value.mean() for value in values.values()]))
    assert interval.half_width == pytest.approx(1.96 * error, rel=0.03)


def test_the_bootstrap_depends_on_its_seed_alone():
    values = {"en": [number / 7 for number in range(40)], "fr": [0.0, 1.0]}
    again = {"fr": [1.0, 0.0], "en": values["en"][::-1]}
    one = paired_bootstrap(values, resamples=500, seed=[7, 1])
    assert one == paired_bootstrap(again, resamples=500, seed=[7, 1])
    assert one != paired_bootstrap(values, resamples=500, seed=[8, 1])


def test_no_difference_has_no_width():
    assert paired_bootstrap({"en": [0.0] * 9}, resamples=200, seed=[0]) == Interval(0.0, 0.0, 0.0)
