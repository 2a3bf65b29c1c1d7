from math import comb

import numpy as np
import pytest

from medglot.bench.statistics import Interval, macro, mcnemar, paired_bootstrap, wilson


def test_wilson_gives_the_published_values():
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
    for successes, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        interval = wilson(successes, n)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
        assert interval.value == successes / n


def test_wilson_bounds_solve_the_score_equation():
    interval = wilson(37, 120, confidence=0.9)
    for bound in (interval.low, interval.high):
        assert abs(37 / 120 - bound) / (bound * (1 - bound) / 120) ** 0.5 == pytest.approx(1.6448536269514722)


def test_wilson_is_symmetric_and_holds_its_value():
    for n in (1, 7, 256, 3426):
        assert wilson(0, n).low == 0.0
        assert wilson(n, n).high == 1.0
        for successes in range(0, n + 1, max(1, n // 7)):
            one, other = wilson(successes, n), wilson(n - successes, n)
            assert one.low <= one.value <= one.high
            assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))


def test_a_proportion_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        wilson(0, 0)


def test_half_widths_are_those_known_of_mmedbench():
    # At MMed-Llama 3's published accuracies; the known values are of the normal approximation.
    for accuracy, n, points in (
        (0.6181, 199, 6.8),
        (0.7539, 256, 5.3),
        (0.5563, 622, 3.9),
        (0.6606, 1273, 2.6),
        (0.6838, 2742, 1.7),
        (0.7925, 3426, 1.4),
    ):
        assert 100 * wilson(accuracy * n, n).half_width == pytest.approx(points, abs=0.12)


def test_the_mean_of_languages_is_narrower_than_its_parts():
    parts = [wilson(30, 60), wilson(45, 90), wilson(10, 10)]
    mean = macro(parts)
    assert mean.value == pytest.approx(2 / 3)
    assert mean.value - mean.low == pytest.approx(sum((part.value - part.low) ** 2 for part in parts) ** 0.5 / 3)
    assert mean.half_width < min(part.half_width for part in parts)
    assert macro([Interval(0.5, 0.4, 0.7)]) == Interval(0.5, pytest.approx(0.4), pytest.approx(0.7))


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
