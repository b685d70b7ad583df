"""Intervals agree with scipy's bootstrap, with theory, and cover what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crosslook.significance import bootstrap_ratio

RNG = np.random.default_rng(7)


def test_mean_agrees_with_scipy_and_with_theory():
    values = RNG.normal(3, 2, size=400)
    ours = bootstrap_ratio(values)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=1).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    np.testing.assert_allclose(ours, stats.norm.interval(0.95, values.mean(), stats.sem(values)), atol=0.02)


def test_ratio_of_sums_agrees_with_scipy():
    bottom = RNG.integers(1, 9, size=300)
    top = RNG.binomial(bottom, 0.3)
    ours = bootstrap_ratio(top, bottom, level=0.9)

    def ratio(a, b, axis):
        return a.sum(axis) / b.sum(axis)

    theirs = stats.bootstrap((top, bottom), ratio, paired=True, method="percentile", confidence_level=0.9, rng=2)
    np.testing.assert_allclose(ours, theirs.confidence_interval, atol=0.004)


def test_a_naive_loop_gives_the_same():
    top, bottom = RNG.random((20, 3)), RNG.random((20, 3)) + 0.1
    draws = np.random.default_rng(5).integers(20, size=(100, 20))
    naive = np.array([top[draw].sum(0) / bottom[draw].sum(0) for draw in draws])
    ours = bootstrap_ratio(top, bottom, n_resamples=100, seed=5)
    np.testing.assert_allclose(ours, np.quantile(naive, [0.025, 0.975], axis=0))


def test_several_statistics_share_their_resamples():
    top = RNG.random((50, 2))
    both = bootstrap_ratio(top)
    np.testing.assert_allclose(both[:, 1], bootstrap_ratio(top[:, 1]), rtol=1e-12)


def test_covers_the_truth_as_often_as_promised():
    inside = 0
    for seed in range(300):
        values = np.random.default_rng(seed).exponential(size=200)
        low, high = bootstrap_ratio(values, n_resamples=400, seed=seed)
        inside += low <= 1 <= high
    # 95% of 300 with a margin of three standard errors, and of what percentile intervals lose at n = 200.
    assert 0.89 <= inside / 300 <= 0.985


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_stays_within_the_data_and_is_repeatable(values):
    low, high = bootstrap_ratio(values, n_resamples=50)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    np.testing.assert_array_equal(bootstrap_ratio(values, n_resamples=50), (low, high))


def test_one_image_gives_an_interval_without_width():
    np.testing.assert_array_equal(bootstrap_ratio([2], [4]), [0.5, 0.5])


def test_images_that_count_nothing_do_not_spoil_the_interval():
    low, high = bootstrap_ratio([0, 1, 0], [0, 1, 0])
    assert (low, high) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        (([],), {}, "expected .image,. or .image, statistic. with an image, got shape .0,."),
        (([1, 2], [1]), {}, "denominator: expected shape"),
        (([1, float("nan")],), {}, "expected finite numbers"),
        (([1, 2],), {"level": 95}, "level: expected a number between 0 and 1, got 95"),
    ],
)
def test_bad_input_is_named(arguments, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        bootstrap_ratio(*arguments, **options)
