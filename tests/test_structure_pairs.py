"""Numbers over pairs of objects: against scipy, loops, closed forms, and all permutations there are."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crosslook import maps
from crosslook import structure_pairs as sp


def pictures(sizes, stat=(2, 3), seed=0, ties=False):
    """Attention, two symmetric matrices, for each picture."""
    random = np.random.default_rng(seed)
    attention = [random.random((*stat, n, n)) for n in sizes]
    squares = []
    for _ in range(2):
        some = [random.integers(0, 3, (n, n)).astype(float) if ties else random.random((n, n)) for n in sizes]
        squares.append([each + each.T for each in some])
    return attention, *squares


def off(values):
    """What is not on the diagonal, in a row, by a loop."""
    n = values.shape[-1]
    return np.array([values[i, j] for i in range(n) for j in range(n) if i != j])


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlations_are_scipys(ties):
    attention, distances, _ = pictures([3, 5, 7], ties=ties)
    found = sp.correlations(attention, distances)
    assert found.shape == (3, 2, 3)
    for image, layer, head in np.ndindex(found.shape):
        pair = off(attention[image][layer, head]), off(distances[image])
        np.testing.assert_allclose(found[image, layer, head], stats.spearmanr(*pair).statistic, atol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_partial_correlations_are_the_formula(ties):
    attention, distances, meanings = pictures([4, 6], ties=ties, seed=3)
    found = sp.correlations(attention, distances, given=meanings)
    for image, layer, head in np.ndindex(found.shape):
        a, d, m = (off(each) for each in (attention[image][layer, head], distances[image], meanings[image]))
        ad, am, dm = (stats.spearmanr(*pair).statistic for pair in ((a, d), (a, m), (d, m)))
        by_hand = (ad - am * dm) / np.sqrt((1 - am**2) * (1 - dm**2))
        np.testing.assert_allclose(found[image, layer, head], by_hand, atol=1e-10)


def test_among_some_pairs_others_do_not_count():
    attention, distances, _ = pictures([6])
    within = [np.triu(np.ones((6, 6), dtype=bool), 1)]
    found = sp.correlations(attention, distances, within=within)[0]
    for layer, head in np.ndindex(found.shape):
        a, d = attention[0][layer, head][within[0]], distances[0][within[0]]
        np.testing.assert_allclose(found[layer, head], stats.spearmanr(a, d).statistic, atol=1e-12)


def test_what_is_undefined_is_nan():
    attention, distances, _ = pictures([1, 2, 3, 4])
    distances[2] = np.ones((3, 3))  # all alike
    attention[3][0, 0] = 1.0
    found = sp.correlations(attention, distances)
    assert np.isnan(found[:3]).all()  # no pairs, two pairs, no variation
    assert np.isnan(found[3, 0, 0])
    assert np.isfinite(found[3].ravel()[1:]).all()
    # Nothing is left of what is held fixed; what does not vary takes nothing away.
    same = sp.correlations(attention[3:], distances[3:], given=distances[3:])
    assert np.isnan(same).all()
    fixed = sp.correlations(attention[3:], distances[3:], given=[np.zeros((4, 4))])
    np.testing.assert_allclose(fixed, found[3:])
    sums = sp.as_sums(found)
    assert sums[1].sum() == 5
    assert np.isfinite(sums[0]).all()


def test_ranks_multiply_to_the_correlation():
    attention, distances, meanings = pictures([5], seed=1)
    a, d = sp.ranked(attention, meanings)[0], sp.ranked(distances, meanings)[0]
    np.testing.assert_allclose((a**2).sum((-2, -1)), 1)
    np.testing.assert_allclose((a * d).sum((-2, -1)), sp.correlations(attention, distances, meanings)[0])


def test_means_over_pairs():
    attention, *_ = pictures([2, 3])
    pairs = [np.array([[False, True], [False, False]]), np.eye(3, k=1, dtype=bool)]
    top, bottom = sp.mean_over(attention, pairs)
    by_hand = (attention[0][..., 0, 1] + attention[1][..., 0, 1] + attention[1][..., 1, 2]) / 3
    np.testing.assert_allclose(maps.pooled((top, bottom)), by_hand)
    weighted = sp.mean_over(attention[:1], [np.array([[0, 3.0], [1.0, 0]])])
    np.testing.assert_allclose(maps.pooled(weighted), 0.75 * attention[0][..., 0, 1] + 0.25 * attention[0][..., 1, 0])
    with pytest.raises(ValueError, match="weights: expected one for each of 2 pictures, got 1"):
        sp.mean_over(attention, pairs[:1])
    with pytest.raises(ValueError, match=r"weights\[0\]: expected shape \(2, 2\), got \(3, 3\)"):
        sp.mean_over(attention, pairs[::-1])


def swaps(attention, values):
    """The mean over pictures under every combination of swaps, by loops: two pictures."""
    found = []
    for first in permutations(range(len(values[0]))):
        for second in permutations(range(len(values[1]))):
            total = 0.0
            for a, v, order in zip(attention, values, (first, second), strict=True):
                n = len(v)
                total = total + sum(a[..., i, j] * v[order[i], order[j]] for i in range(n) for j in range(n) if i != j)
            found.append(total / 2)
    return np.array(found)


def test_the_null_is_that_of_all_swaps():
    attention, distances, _ = pictures([3, 4], seed=5)
    exact = swaps(attention, distances)  # the first is the data
    test = sp.permuted(attention, distances, n_resamples=6_000, alternative="greater")
    np.testing.assert_allclose(test.observed, exact[0])
    np.testing.assert_allclose(test.mean, exact.mean(0), rtol=0.02)
    np.testing.assert_allclose(test.sd, exact.std(0), rtol=0.06)
    np.testing.assert_allclose(test.p, (exact >= exact[0] - 1e-9).mean(0), atol=0.03)
    assert (test.p_family >= test.p).all()
    assert (test.n_images, test.n_fixed) == (2, 0)


def test_max_t_finds_the_planted_head_alone():
    random = np.random.default_rng(2)
    attention, distances, _ = pictures([6] * 20, stat=(2, 4), seed=2)
    for each, far in zip(attention, distances, strict=True):
        each[1, 2] = random.random((6, 6)) - far
    test = sp.permuted(sp.ranked(attention), sp.ranked(distances), n_resamples=500)
    assert np.argwhere(test.p_family < 0.01).tolist() == [[1, 2]]
    assert test.z[1, 2] < 0


def test_an_object_that_all_look_at_is_no_relation():
    """Attention that is a matter of columns alone says nothing about pairs, whatever types are popular."""
    random = np.random.default_rng(0)
    attention, same, across = [], [], []
    for _ in range(40):
        types = np.array([0, 0, 0, 1, 1, 2])
        popular = np.where(types == 0, 3.0, 1.0) + random.random(6)
        attention.append(np.broadcast_to(popular, (1, 1, 6, 6)).copy())
        same.append((types[:, None] == types) & ~np.eye(6, dtype=bool))
        across.append(types[:, None] != types)
    by_pairs = maps.pooled(sp.mean_over(attention, same)) - maps.pooled(sp.mean_over(attention, across))
    test = sp.permuted(attention, sp.contrast(same, across), n_resamples=500)
    np.testing.assert_allclose(test.observed, by_pairs)  # what the contrast is for


def test_bad_permutations():
    attention, distances, _ = pictures([3])
    with pytest.raises(ValueError, match="n_resamples: expected at least 2, got 1"):
        sp.permuted(attention, distances, n_resamples=1)
    with pytest.raises(ValueError, match="first: expected a picture with several objects"):
        sp.permuted([np.ones((1, 1, 1, 1))], [np.ones((1, 1))])
    with pytest.raises(ValueError, match="same, across: expected pairs of both kinds, got 0 and 6"):
        sp.contrast([np.zeros((3, 3), dtype=bool)], [~np.eye(3, dtype=bool)])
    # Equal distances: no swap changes anything, and no head is found.
    test = sp.permuted(attention, [np.ones((3, 3))], n_resamples=50)
    assert test.n_fixed == 1
    assert np.isnan(test.z).all()
    assert (test.p == 1).all()


def test_other_pairs_as_close():
    _, distances, _ = pictures([8] * 12, seed=4)
    random = np.random.default_rng(1)
    # Near pairs are chosen more often: unweighted, the others lie farther apart.
    pairs = [(random.random(d.shape) < np.exp(-2 * d)) & ~np.eye(8, dtype=bool) for d in distances]
    weights = sp.as_close(pairs, distances, bins=10)
    far = np.concatenate([d[p] for d, p in zip(distances, pairs, strict=True)])
    rest = np.concatenate([d[~p & ~np.eye(8, dtype=bool)] for d, p in zip(distances, pairs, strict=True)])
    weighted = sum((w * d).sum() for w, d in zip(weights, distances, strict=True)) / sum(w.sum() for w in weights)
    assert rest.mean() - far.mean() > 0.3
    assert abs(weighted - far.mean()) < 0.03
    np.testing.assert_allclose(sum(w.sum() for w in weights), len(far))  # as much as there are pairs
    assert all((w[p] == 0).all() and (np.diag(w) == 0).all() for w, p in zip(weights, pairs, strict=True))
    with pytest.raises(ValueError, match="pairs: expected at least one, got none"):
        sp.as_close([np.zeros((8, 8), dtype=bool)], distances[:1])


def test_as_close_by_hand():
    near = np.array([[0, 1, 1, 5], [1, 0, 1, 5], [1, 1, 0, 5], [5, 5, 5, 0]], dtype=float)
    pairs = np.zeros((4, 4), dtype=bool)
    pairs[0, 1] = True
    (weights,) = sp.as_close([pairs], [near])
    # One pair at distance 1; five others at 1, and those at 5 are too far away.
    expected = np.where((near == 1) & ~pairs, 1 / 5, 0)
    np.testing.assert_allclose(weights, expected)


def test_bins_hold_every_pair_once():
    _, distances, _ = pictures([5, 1, 6], seed=8)
    middles, inside = sp.binned(distances, 4)
    assert middles == sorted(middles)
    total = [sum(some[image].astype(int) for some in inside) for image in range(3)]
    for each in total:
        np.testing.assert_array_equal(each, 1 - np.eye(len(each), dtype=int))
    sizes = [sum(int(each.sum()) for each in some) for some in inside]
    assert max(sizes) - min(sizes) <= 4
    same, one = sp.binned([np.ones((3, 3))], 4)
    assert same == [1.0]
    assert one[0][0].sum() == 6
    with pytest.raises(ValueError, match="values: expected pictures with several objects, got none"):
        sp.binned([np.ones((1, 1))], 2)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=9))
def test_preferred_is_the_area_under_the_curve(rows):
    values = np.array([float(value) for value, _ in rows])
    chosen = np.array([some for _, some in rows])
    found = sp.preferred([values], [chosen])[0]
    if chosen.all() or not chosen.any():
        assert np.isnan(found)
    else:
        u = stats.mannwhitneyu(values[chosen], values[~chosen]).statistic
        np.testing.assert_allclose(found, u / (chosen.sum() * (~chosen).sum()))


def test_following_a_description_by_hand():
    under_a, under_b = np.array([[[0.5, 0.1, 0.4]]]), np.array([[[0.2, 0.3, 0.5]]])
    a, b = np.array([True, False, False]), np.array([False, True, False])
    found = sp.follows([under_a, under_a], [under_b, under_b], [a, a], [b, b & False])
    np.testing.assert_allclose(found[0], [[0.3 - -0.2]])
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(sp.follows([under_b], [under_a], [b], [a]), found[:1])  # either way round
