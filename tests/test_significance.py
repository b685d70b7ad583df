"""Intervals and p-values agree with scipy, with theory and with all permutations, and hold what they promise."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crosslook import significance
from crosslook.significance import benjamini_hochberg, bootstrap_ratio, permutation_links, permutation_paired

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


def test_layers_and_heads_are_one_statistic_after_the_other():
    top, bottom = np.random.default_rng(0).random((2, 30, 2, 3)) + 0.1
    together = bootstrap_ratio(top, bottom, n_resamples=200)
    assert together.shape == (2, 2, 3)
    for layer, head in product(range(2), range(3)):
        alone = bootstrap_ratio(top[:, layer, head], bottom[:, layer, head], n_resamples=200)
        np.testing.assert_allclose(together[:, layer, head], alone)
    a_layer = bootstrap_ratio(top, bottom[:, :, 0], n_resamples=200)
    np.testing.assert_allclose(a_layer, bootstrap_ratio(top, bottom[:, :, :1].repeat(3, 2), n_resamples=200))


def test_one_chunk_after_another_draws_the_same(monkeypatch):
    top = np.random.default_rng(0).random((11, 2))
    whole = bootstrap_ratio(top, n_resamples=50)
    monkeypatch.setattr(significance, "CHUNK", 7)
    np.testing.assert_allclose(bootstrap_ratio(top, n_resamples=50), whole)


def test_a_head_without_any_count_has_no_interval():
    ends = bootstrap_ratio([[0.0, 1], [0, 2]], [[0.0, 2], [0, 2]], n_resamples=50)
    assert np.isnan(ends[:, 0]).all()
    assert np.isfinite(ends[:, 1]).all()


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
        (([],), {}, r"numerator: expected \(image, \*statistic\) with an image, got shape \(0,\)"),
        (([1, 2], [1]), {}, "denominator: expected shape"),
        (([1, float("nan")],), {}, "expected finite numbers"),
        (([1, 2],), {"level": 95}, "level: expected a number between 0 and 1, got 95"),
        (([1, 2],), {"n_resamples": 0}, "n_resamples: expected at least 1, got 0"),
    ],
)
def test_bad_input_is_named(arguments, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        bootstrap_ratio(*arguments, **options)


def every_shuffle(cells) -> np.ndarray:
    """The sum over phrases under every shuffle within images, `(shuffle, statistic)`; the true links come first."""
    each = [
        [sum(cell[i, j] for i, j in enumerate(order)) for order in permutations(range(len(cell)))] for cell in cells
    ]
    return np.array([sum(choice) for choice in product(*each)])


@st.composite
def whole_numbers(draw, heads: int = 2):
    """Cells of a few images, with many ties."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    return [generator.integers(0, 4, (n, n, heads)).astype(float) for n in sizes]


def near(p, exact, n: int) -> None:
    """Within five standard errors of a p-value from n resamples."""
    assert (abs(p - exact) <= 5 * np.sqrt(exact * (1 - exact) / n) + 2 / n).all(), (p, exact)


def test_links_by_hand():
    found = permutation_links([[[0.9, 0.1], [0.2, 0.8]], [[0.5]]], n_resamples=999)
    # The two shuffles give 1.7 and 0.3; the single phrase of the other image adds 0.5 to both. Three phrases.
    assert found.observed == pytest.approx(2.2 / 3)
    assert found.mean == pytest.approx((1 + 0.5) / 3)
    assert found.sd == pytest.approx(0.7 / 3)
    assert found.z == pytest.approx(1)
    near(found.p, np.float64(0.5), 999)
    assert found.p == found.p_family
    assert set(found.largest.round(9)) == {1, -1}
    assert (found.n_images, found.n_fixed) == (2, 1)


@settings(max_examples=40)
@given(whole_numbers(), st.sampled_from(["greater", "less", "two-sided"]))
def test_links_agree_with_all_shuffles(cells, alternative):
    null = every_shuffle(cells)
    phrases = sum(map(len, cells))
    found = permutation_links(cells, n_resamples=1000, alternative=alternative)
    np.testing.assert_allclose(found.observed, null[0] / phrases)
    np.testing.assert_allclose(found.mean, null.mean(0) / phrases)
    np.testing.assert_allclose(found.sd, null.std(0) / phrases, atol=1e-12)
    moves = null.std(0) > 1e-9
    np.testing.assert_array_equal(np.isnan(found.z), ~moves)
    np.testing.assert_array_equal(found.p[~moves], 1)
    np.testing.assert_array_equal(found.p_family[~moves], 1)
    z = (null[:, moves] - null[:, moves].mean(0)) / null[:, moves].std(0)
    tail = {"greater": z, "less": -z, "two-sided": abs(z)}[alternative]
    near(found.p[moves], (tail >= tail[0] - 1e-9).mean(0), 1000)
    if moves.any():
        near(found.p_family[moves], (tail.max(1, keepdims=True) >= tail[0] - 1e-9).mean(0), 1000)


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_links_agree_with_scipy(alternative):
    cell = np.random.default_rng(0).random((5, 5))

    def own(order):
        return cell[np.arange(5), order].mean()

    theirs = stats.permutation_test((np.arange(5),), own, permutation_type="pairings", alternative=alternative)
    ours = permutation_links([cell], alternative=alternative)
    assert ours.observed == pytest.approx(theirs.statistic)
    near(ours.p, theirs.pvalue, 10_000)


def random_cells(sizes, *shape, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.random((n, n, *shape)) for n in sizes]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 1000))
def test_what_does_not_depend_on_the_pairing_changes_nothing(sizes, seed):
    """Phrases that look at regions more than others, and regions that everything looks at."""
    cells = random_cells(sizes, 2, 2, seed=seed)
    generator = np.random.default_rng(seed)
    moved = [c + generator.random((len(c), 1, 2, 2)) + generator.random((1, len(c), 2, 2)) for c in cells]
    total = np.full((2, 2), 3.0)
    plain, other = (permutation_links(each, total, n_resamples=50) for each in (cells, moved))
    for name in ("sd", "z", "p", "p_family", "largest"):
        np.testing.assert_allclose(getattr(plain, name), getattr(other, name), atol=1e-9, err_msg=name)
    assert plain.p.shape == plain.p_family.shape == plain.mean.shape == (2, 2)
    assert plain.n_fixed == sum(n < 2 for n in sizes)
    assert (plain.p_family >= plain.p).all()
    assert (plain.p >= 1 / 51).all(), "the data itself is one of the shuffles"


def test_the_total_only_divides():
    cells = random_cells([3, 2, 1, 4], 2, 3)
    total = np.random.default_rng(0).random((2, 3)) + 1
    mean, share = permutation_links(cells, n_resamples=50), permutation_links(cells, total, n_resamples=50)
    np.testing.assert_allclose(share.observed * total, mean.observed * 10)
    np.testing.assert_allclose(share.sd * total, mean.sd * 10)
    np.testing.assert_array_equal(share.p, mean.p)


def test_a_head_that_no_shuffle_changes_leaves_the_others_alone():
    cells = random_cells([3, 4, 2], 3)
    for cell in cells:
        cell[..., 1] = 0.1 + 0.2 * np.arange(len(cell))  # depends on the regions alone
    found = permutation_links(cells, n_resamples=200)
    without = permutation_links([cell[..., [0, 2]] for cell in cells], n_resamples=200)
    assert np.isnan(found.z[1])
    assert (found.sd[1], found.p[1], found.p_family[1]) == (0, 1, 1)
    for name in ("z", "p", "p_family", "sd"):
        np.testing.assert_allclose(getattr(found, name)[[0, 2]], getattr(without, name), err_msg=name)
    np.testing.assert_allclose(found.largest, without.largest)


def test_images_with_a_single_phrase_say_nothing():
    found = permutation_links(random_cells([1, 1, 0], 2), n_resamples=9)
    np.testing.assert_array_equal(found.observed, found.mean)
    assert np.isnan(found.z).all()
    assert (found.p == 1).all()
    assert (found.p_family == 1).all()
    assert np.isnan(found.largest).all()
    assert (found.n_images, found.n_fixed) == (3, 3)


def test_seeds_and_block_sizes(monkeypatch):
    cells = random_cells([2, 3, 3, 9], 2)
    first, again = (permutation_links(cells, n_resamples=300, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.largest, again.largest)
    assert (permutation_links(cells, n_resamples=300, seed=5).largest != first.largest).any()
    monkeypatch.setattr(significance, "CHUNK", 16)
    monkeypatch.setattr(significance, "ELEMENTS", 100)  # fewer than two shuffles of nine phrases
    small = permutation_links(cells, n_resamples=2000, seed=4)
    assert len(small.largest) == 2000
    near(small.p, permutation_links(cells, n_resamples=2001).p, 1000)


def test_tensors_are_taken_too():
    mass = torch.rand(3, 7, 4, generator=torch.Generator().manual_seed(0))  # head, query, regions of a phrase
    words = torch.eye(4, 7)
    cells = torch.einsum("pq,hqj->pjh", words, mass)
    found = permutation_links([cells], n_resamples=20)
    np.testing.assert_allclose(found.observed, [mass[h, range(4), range(4)].mean() for h in range(3)], rtol=1e-6)


def test_pairs_by_hand_and_with_scipy():
    first, second = np.array([3.0, 5, 4, 8, 2, 6]), np.array([1.0, 2, 5, 3, 2, 1])
    found = permutation_paired(first, second)
    change = first - second  # 2, 3, -1, 5, 0, 5
    assert found.observed == pytest.approx(14 / 6)
    assert found.mean == 0
    assert found.sd == pytest.approx(8 / 6)  # the root of 4 + 9 + 1 + 25 + 0 + 25, over six images
    assert found.z == pytest.approx(14 / 8)
    assert (found.n_images, found.n_fixed) == (6, 1)
    flips = np.array(list(product([1, -1], repeat=6))) @ change
    near(found.p, (abs(flips) >= 14).mean(), 10_000)
    for alternative in ("greater", "less", "two-sided"):
        theirs = stats.permutation_test(
            (first, second),
            lambda a, b, axis: (a - b).mean(axis),
            permutation_type="samples",
            alternative=alternative,
            vectorized=True,
        )
        near(permutation_paired(first, second, alternative=alternative).p, theirs.pvalue, 10_000)


def test_pairs_correct_over_heads():
    change = np.random.default_rng(0).normal([0, 0, 0.5, 1], size=(7, 4))
    found = permutation_paired(change, np.zeros((7, 4)))
    flips = abs(np.array(list(product([1, -1], repeat=7))) @ (change / np.sqrt((change**2).sum(0))))
    near(found.p, (flips >= flips[0] - 1e-9).mean(0), 10_000)
    near(found.p_family, (flips.max(1, keepdims=True) >= flips[0] - 1e-9).mean(0), 10_000)


def test_pairs_where_an_image_is_missing():
    first, second = np.random.default_rng(0).random((2, 9, 1, 3))
    gaps = first.copy()
    gaps[[2, 5], 0, 1] = np.nan
    gaps[:, 0, 2] = np.nan
    found = permutation_paired(gaps, second)
    kept = np.delete(np.arange(9), [2, 5])
    alone = permutation_paired(first[kept, :, 1], second[kept, :, 1])
    for name in ("observed", "mean", "sd", "z"):
        np.testing.assert_allclose(getattr(found, name)[:, 1], getattr(alone, name), err_msg=name)
        assert np.isnan(getattr(found, name)[0, 2])
    near(found.p[:, 1], alone.p, 5000)
    assert found.n_fixed == 0, "every image differs in some head"
    assert np.isnan(found.p[0, 2])
    assert np.isnan(found.p_family[0, 2])
    np.testing.assert_allclose(found.p_family[:, :2], permutation_paired(gaps[..., :2], second[..., :2]).p_family)


def test_pairs_without_any_difference():
    same = np.random.default_rng(0).random((5, 2))
    found = permutation_paired(same + 0.1, same + 0.2 - 0.1)  # but for rounding
    np.testing.assert_array_equal(found.p, 1)
    assert np.isnan(found.z).all()
    np.testing.assert_array_equal(found.sd, 0)


def test_benjamini_hochberg_by_hand():
    # Five tests: 5 x 0.01 / 1, 5 x 0.02 / 2, 5 x 0.03 / 3, 5 x 0.5 / 4, 5 x 0.9 / 5, each no larger than what follows.
    adjusted = benjamini_hochberg([[0.9, 0.02, np.nan], [0.03, 0.5, 0.01]])
    np.testing.assert_allclose(adjusted, [[0.9, 0.05, np.nan], [0.05, 0.625, 0.05]])
    np.testing.assert_array_equal(benjamini_hochberg([np.nan, np.nan]), [np.nan, np.nan])
    assert benjamini_hochberg([]).shape == (0,)


@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=12), st.floats(0.001, 0.999))
def test_benjamini_hochberg_is_the_step_up_procedure(p, level):
    ranked = sorted(x for x in p if x == x)
    steps = [rank * level / len(ranked) for rank in range(1, len(ranked) + 1)]
    if any(abs(x - step) < 1e-12 for x, step in zip(ranked, steps, strict=True)):
        return  # a matter of rounding
    highest = max((x for x, step in zip(ranked, steps, strict=True) if x <= step), default=-1)
    np.testing.assert_array_equal(benjamini_hochberg(p) <= level, np.array(p) <= highest)


# Calibration. Everything is seeded; the bounds would fail for one choice of seeds in ten thousand. Every data set has
# resamples of its own, since heads that share them are no independent repetitions. benchmarks/calibration.py is larger.


def within(count: int, n: int, rate: float) -> bool:
    low, high = stats.binom.ppf([5e-5, 1 - 5e-5], n, rate)
    return bool(low <= count <= high)


def planted(effect, *, images: int = 25, seed: int) -> list[np.ndarray]:
    """Random cells with tastes of phrases and regions, as large as the noise; `effect` a head on the true links."""
    generator = np.random.default_rng([1, seed])  # not the stream of the resamples
    cells = []
    for n in generator.integers(1, 5, images):
        taste = generator.exponential(size=(n, 1, len(effect))) + generator.exponential(size=(1, n, len(effect)))
        cells.append(generator.exponential(size=(n, n, len(effect))) + taste + effect * np.eye(n)[..., None])
    return cells


def assert_uniform(p) -> None:
    """p-values from 199 resamples of data without any effect: multiples of 1/200, all alike."""
    ranks = np.ravel(p) * 200
    assert stats.chisquare(np.bincount(((ranks - 0.5) // 20).astype(int), minlength=10)).pvalue > 1e-4
    assert within((ranks <= 10.5).sum(), len(ranks), 0.05)


def test_links_are_false_positive_as_often_as_they_say():
    null = [planted(np.zeros(1), seed=seed) for seed in range(600)]
    assert_uniform([permutation_links(cells, n_resamples=199, seed=i).p for i, cells in enumerate(null)])


def test_pairs_are_false_positive_as_often_as_they_say():
    null = np.random.default_rng(2).exponential(size=(600, 2, 30))
    assert_uniform([permutation_paired(*pair, n_resamples=199, seed=i).p for i, pair in enumerate(null)])


def test_corrections_hold_what_they_promise_and_find_what_is_there():
    effect = np.repeat([1.5, 0.0], [5, 20])
    any_false, plain, shares, hits = 0, 0, [], []
    for seed in range(200):
        null = permutation_links(planted(effect * 0, seed=seed), n_resamples=199, seed=seed)
        any_false += (null.p_family <= 0.1).any()
        plain += (null.p <= 0.1).any()
        found = permutation_links(planted(effect, seed=seed + 1000), n_resamples=999, seed=seed)
        chosen = benjamini_hochberg(found.p) <= 0.1
        shares.append(chosen[5:].sum() / max(1, chosen.sum()))
        hits.append([(found.p_family <= 0.05)[:5].mean(), chosen[:5].mean()])
    assert within(any_false, 200, 0.1)
    assert plain / 200 > 0.8, "without correction"
    # Benjamini and Hochberg promise the level times the share of heads without an effect.
    assert np.mean(shares) <= 0.1 * 20 / 25 + 4 * stats.sem(shares)
    family, rate = np.mean(hits, axis=0)
    assert rate >= family > 0.8


def test_a_ratio_is_covered_as_often_as_promised():
    inside = 0
    for seed in range(300):
        generator = np.random.default_rng([1, seed])
        phrases = generator.integers(1, 6, 150)
        hits = generator.binomial(phrases, generator.beta(2, 3, 150))  # images differ; the share of all is 0.4
        low, high = bootstrap_ratio(hits, phrases, n_resamples=400, seed=seed)
        inside += low <= 0.4 <= high
    assert 0.89 <= inside / 300 <= 0.985


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: permutation_links([]), "cells: expected at least one image, got none"),
        (lambda: permutation_links([np.ones((2, 3, 4))]), r"cells\[0\]: expected shape \(n, n, 4\), got \(2, 3, 4\)"),
        (lambda: permutation_links([np.ones(2)]), r"cells\[0\]: expected shape \(n, n\), got \(2,\)"),
        (
            lambda: permutation_links([np.ones((1, 1, 4)), np.ones((2, 2, 5))]),
            r"cells\[1\]: expected shape \(n, n, 4\), got \(2, 2, 5\)",
        ),
        (lambda: permutation_links([[[np.nan]]]), r"cells\[0\]: expected finite numbers, got NaN or infinity"),
        (
            lambda: permutation_links([[[1.0]]], total=0),
            r"total: expected positive numbers of shape \(\) or \(\), got 0",
        ),
        (lambda: permutation_links([np.zeros((0, 0))]), r"total: expected positive"),
        (lambda: permutation_links([np.ones((1, 1, 4))], total=[1, 2]), r"total: .* or \(4,\), got \[1. 2.\]"),
        (lambda: permutation_links([[[1.0]]], alternative="more"), "greater, less, two-sided, got 'more'"),
        (lambda: permutation_links([[[1.0]]], n_resamples=0), "n_resamples: expected at least 1, got 0"),
        (lambda: permutation_paired([], []), r"first: expected \(image, \*statistic\) with an image"),
        (lambda: permutation_paired([1, 2], [1]), r"second: expected shape \(2,\), got \(1,\)"),
        (lambda: permutation_paired([1, np.inf], [1, 2]), "expected finite numbers or NaN, got infinity"),
        (lambda: benjamini_hochberg([0.5, 1.5]), "p: expected p-values between 0 and 1, got 0.5 to 1.5"),
    ],
)
def test_bad_permutations_are_named(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
