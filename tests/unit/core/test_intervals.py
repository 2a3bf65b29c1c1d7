import pytest

from medglot.core.intervals import Interval, macro, wilson


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
