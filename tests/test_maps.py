"""Numbers of maps: by hand, against scipy, and their intervals against drawing images by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from crosslook import maps

VALUES = np.arange(12.0).reshape(4, 3)
shapes = st.tuples(st.integers(2, 4), st.integers(2, 4))
some_maps = shapes.flatmap(
    lambda shape: st.tuples(*(arrays.arrays(np.float64, shape, elements=st.floats(0.01, 10)) for _ in range(2)))
)


def test_layers_by_hand():
    assert maps.surface(VALUES) == 2.5
    assert maps.deep(VALUES) == 8.5
    assert maps.deepening(VALUES) == 6
    assert maps.layer(0)(VALUES) == 1
    assert maps.layer(-1)(VALUES) == 10
    assert maps.surface(np.arange(7.0)[:, None]) == 1
    assert maps.best_depth(VALUES) == 1
    assert maps.best_depth(-VALUES) == 0.25
    assert maps.best(-VALUES, VALUES) == 0


@given(some_maps)
def test_correlation_and_spread_against_scipy(pair):
    a, b = pair
    if a.std() > 1e-6 and b.std() > 1e-6:
        assert maps.correlation(a, b) == pytest.approx(stats.pearsonr(a.ravel(), b.ravel()).statistic, abs=1e-6)
    assert maps.spread(a) == pytest.approx(np.exp(stats.entropy(a.ravel())) / a.size)


@given(some_maps)
def test_leading_axes_are_loops(pair):
    a, b = pair
    stack, other = np.stack([a, b, a + b]), np.stack([b, b, a])
    for number in (maps.surface, maps.deep, maps.deepening, maps.layer(1), maps.spread, maps.best_depth):
        np.testing.assert_allclose(number(stack), [number(each) for each in stack])
    for number in (maps.correlation, maps.best):
        expected = [number(x, y) for x, y in zip(stack, other, strict=True)]
        np.testing.assert_allclose(number(stack, other), expected)


def test_special_maps():
    one = np.zeros((2, 2))
    one[1, 0] = 3
    assert maps.spread(one) == 0.25
    assert maps.spread(np.ones((2, 2))) == pytest.approx(1)
    assert np.isnan(maps.correlation(np.ones((2, 2)), one))


def test_intervals_are_those_of_drawing_images():
    random = np.random.default_rng(1)
    top, bottom = random.random((30, 2, 3)), random.random((30, 2, 3)) + 1
    found = maps.estimate(maps.deepening, (top, bottom), n_resamples=4000, seed=2)
    assert found.n == 30
    assert found.value == pytest.approx(maps.deepening(top.sum(0) / bottom.sum(0)))
    drawn = []
    for _ in range(4000):
        place = random.integers(30, size=30)
        drawn.append(maps.deepening(top[place].sum(0) / bottom[place].sum(0)))
    np.testing.assert_allclose(found.interval, np.quantile(drawn, [0.025, 0.975]), atol=0.006)
    assert str(found).startswith(f"{found.value:.3g} [")


def test_a_difference_uses_the_same_images():
    random = np.random.default_rng(1)
    top = random.random((40, 2, 2))
    sums = (top, np.ones_like(top))
    other = (top + 0.5, np.ones_like(top))
    found = maps.estimate(lambda a, b: maps.deep(b) - maps.deep(a), sums, other)
    assert found.interval == pytest.approx((0.5, 0.5))


def test_halves_share_nothing_and_lose_nothing():
    top = np.arange(20.0).reshape(5, 2, 2)
    (a, counts_a), (b, counts_b) = maps.halves((top, np.ones_like(top)))
    np.testing.assert_array_equal(a + b, top)
    np.testing.assert_array_equal(counts_a + counts_b, 1)
    assert not (a * b).any()


def test_images_that_count_nowhere_are_not_counted():
    top, bottom = np.ones((5, 1, 2)), np.ones((5, 1, 2))
    top[0], bottom[0] = 0, 0
    assert maps.estimate(maps.layer(0), (top, bottom)).n == 4
    found = maps.estimate(maps.layer(0), (np.zeros((2, 1, 1)), np.zeros((2, 1, 1))))
    assert np.isnan([found.value, *found.interval]).all()


def test_permutation_of_heads():
    random = np.random.default_rng(0)
    a = random.random((6, 8))
    assert maps.permuted(a, a) < 0.001
    p = [maps.permuted(random.random((3, 4)), random.random((3, 4)), seed) for seed in range(40)]
    assert 0 <= np.mean(np.array(p) < 0.1) < 0.3
    assert maps.permuted(a, -a) < 0.001


def test_different_images_are_refused(plain):
    maps = plain("maps")
    with pytest.raises(ValueError, match=r"sums: expected the same images for all maps, got \[2, 3\]"):
        maps.estimate(maps.correlation, (np.ones((2, 1, 1)),) * 2, (np.ones((3, 1, 1)),) * 2)
