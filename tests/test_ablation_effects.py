"""Comparisons of losses against numbers worked out by hand, and against `significance`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosslook import ablation_effects as effects
from crosslook.significance import bootstrap_ratio


def test_an_effect_by_hand():
    images = np.array([0, 0, 1, 1, 2])
    intact = np.array([1.0, 3.0, 2.0, np.nan, 2.0])
    ablated = np.array([2.0, 3.0, 4.0, 1.0, 2.0])
    found = effects.effect(ablated, intact, images)
    assert found.value == pytest.approx(3 / 4)  # the fourth example is left out
    assert found.share == pytest.approx(3 / 8)
    change = np.array([1 / 2, 2, 0])  # of an image, however many examples it has
    assert found.size == pytest.approx(change.mean() / change.std(ddof=1))
    assert (found.examples, found.images) == (4, 3)
    assert found.interval[0] <= found.value <= found.interval[1]
    assert found.share_interval[0] <= found.share <= found.share_interval[1]
    # Of the 8 ways to flip three images, half change both sums at once: p is about 1/2.
    assert found.p == pytest.approx(0.5, abs=0.03)


def test_an_effect_is_negative_when_ablation_helps():
    images = np.arange(40)
    intact = np.random.default_rng(0).normal(5, 1, 40)
    found = effects.effect(intact - 1, intact, images)
    assert found.value == pytest.approx(-1)
    assert found.p < 0.01


def test_a_single_image_has_no_spread():
    found = effects.effect(np.array([2.0, 3.0]), np.array([1.0, 1.0]), np.zeros(2, dtype=np.int64))
    assert np.isnan(found.size)
    assert found.images == 1
    with pytest.raises(ValueError, match="values: expected at least one number, got 2 NaN"):
        effects.effect(np.full(2, np.nan), np.ones(2), np.zeros(2, dtype=np.int64))


def test_images_without_a_value_are_no_images():
    total, count = effects.per_image(np.array([1.0, np.nan, 2.0, 4.0]), np.array([0, 1, 2, 2]))
    assert total.tolist() == [1, 6]
    assert count.tolist() == [1, 2]


def test_a_contrast_is_what_it_says_of_the_means():
    columns = [np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0, np.nan, 5.0, 8.0])]
    images = np.array([0, 0, 1, 2])
    value, (low, high) = effects.contrast(columns, images, lambda mean: mean[:, 1] / mean[:, 0] - 1)
    assert value == pytest.approx(5 / 2 - 1)
    assert low <= value <= high


def test_the_interval_of_a_mean_is_that_of_the_bootstrap():
    rng = np.random.default_rng(1)
    images = np.sort(rng.integers(0, 60, 300))
    values = rng.normal(size=300) + rng.normal(size=60)[images]
    _, ends = effects.contrast([values], images, lambda mean: mean[:, 0], n_resamples=20_000)
    expected = bootstrap_ratio(*effects.per_image(values, images), n_resamples=20_000, seed=5)
    np.testing.assert_allclose(ends, expected, atol=0.01)


def test_conditions_are_compared_on_the_same_resamples():
    rng = np.random.default_rng(1)
    images = np.arange(100)
    values = 10 * rng.normal(size=100)
    _, (low, high) = effects.contrast([values, values + 1], images, lambda mean: mean[:, 1] - mean[:, 0])
    assert low == pytest.approx(1)
    assert high == pytest.approx(1)


@given(st.permutations(list(range(6))), st.integers(0, 5))
def test_neither_order_nor_names_of_images_matter_to_the_value(order, gap):
    values, images = np.arange(6.0), np.array([0, 0, 1, 1, 2, 2])
    value, _ = effects.contrast([values[order]], images[order] + gap, lambda mean: mean[:, 0], n_resamples=10)
    assert value == pytest.approx(2.5)


def test_a_column_without_numbers_is_refused():
    with pytest.raises(ValueError, match=r"columns: expected a number in each, got only NaN in \[1\]"):
        effects.contrast([np.ones(2), np.full(2, np.nan)], np.arange(2), lambda mean: mean[:, 0])
