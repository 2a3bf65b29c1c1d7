import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medglot.core.errors import RecipeError
from medglot.train.order import Order, apportion, permute


@given(st.integers(1, 3000), st.text(max_size=8))
def test_a_keyed_permutation_visits_every_place_once(size, key):
    assert sorted(permute(np.arange(size), size=size, key=key)) == list(range(size))


def test_keys_give_different_permutations_and_single_places_agree_with_all():
    everything = permute(np.arange(1000), size=1000, key="a")
    assert not np.array_equal(everything, permute(np.arange(1000), size=1000, key="b"))
    assert permute(np.array([77]), size=1000, key="a") == everything[77]


def test_a_permutation_leaves_no_pattern_in_the_order():
    places = permute(np.arange(4096), size=4096, key="x")
    assert abs(np.corrcoef(np.arange(4096), places)[0, 1]) < 0.06
    assert abs(np.corrcoef(places[:-1], places[1:])[0, 1]) < 0.06


@given(st.integers(0, 10_000), st.lists(st.floats(0.01, 100), min_size=1, max_size=12))
def test_shares_add_up_and_each_is_within_one_of_its_due(total, weights):
    shares = apportion(total, weights)
    assert sum(shares) == total
    assert all(abs(share - total * weight / sum(weights)) < 1 for share, weight in zip(shares, weights, strict=True))


def uses(order):
    return [(place.source, place.row) for step in range(order.steps) for place in order.batch(step)]


def test_the_mixture_holds_over_the_run_and_in_every_batch():
    order = Order([100, 1000, 50], [0.3, 0.5, 0.2], slots=4000, batch_rows=40, seed=1)
    assert order.shares == [1200, 2000, 800]
    for step in range(order.steps):
        counts = np.bincount([place.source for place in order.batch(step)], minlength=3)
        assert np.abs(counts - [12, 20, 8]).max() <= 2


def test_each_source_is_gone_over_once_before_any_of_its_rows_comes_again():
    order = Order([7, 30], [1, 1], slots=60, batch_rows=8, seed=3)
    small = [row for source, row in uses(order) if source == 0]
    for epoch in range(len(small) // 7):
        assert sorted(small[epoch * 7 : epoch * 7 + 7]) == list(range(7))
    assert small[:7] != small[7:14]
    assert order.epochs() == [30 / 7, 1.0]


def test_whole_epochs_without_weights_see_every_row_exactly_that_often():
    sizes = [11, 5, 20]
    order = Order(sizes, sizes, slots=2 * sum(sizes), batch_rows=10, seed=0)
    seen = uses(order)
    assert [len(order.batch(step)) for step in range(order.steps)] == [10] * 7 + [2]
    assert sorted(seen) == sorted([(source, row) for source, size in enumerate(sizes) for row in range(size)] * 2)


def test_a_batch_is_a_function_of_seed_and_step_alone():
    def make(seed):
        return Order([50, 60], [1, 2], slots=500, batch_rows=16, seed=seed)

    forwards, other = make(5), make(5)
    late = other.batch(20)
    assert [forwards.batch(step) for step in range(21)][20] == late
    assert make(6).batch(20) != late


def test_an_empty_source_is_refused():
    with pytest.raises(RecipeError, match="nothing to train on"):
        Order([10, 0], [1, 1], slots=10, batch_rows=2, seed=0)
