"""From attention between objects to numbers: means over pairs, rank correlations, and nulls that swap the objects.

What goes in is a list with one array `(..., object, object)` for each picture, as `structure.look` gives it; what comes
out are sums for each picture (`crosslook.maps`), so that intervals draw the pictures again.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped

from crosslook.maps import Sums
from crosslook.significance import Permutation, _compare

FEWEST = 4
"""A rank correlation takes at least so many pairs (a partial one has as many unknowns less one)."""
FLAT = 1e-9
"""What is left of the ranks' variance, as a share, must be more than this."""

Attention = Sequence[Float[np.ndarray, "... _ _"]]
"""For each picture, between its objects: `(..., object, object)`; pictures differ in how many they have."""
Values = Sequence[Shaped[np.ndarray, "_ _"]]
Pairs = Sequence[Bool[np.ndarray, "_ _"]]


def mean_over(attention: Attention, weights: Values) -> Sums:
    """Mean attention over some pairs of objects: its sums for each picture.

    Args:
        attention: `(layer, head, object, object)` for each picture.
        weights: which pairs count, or how much each does, `(object, object)` for each picture.

    Raises:
        ValueError: for weights of other pictures or other objects.
    """
    _same(attention, weights, "weights")
    top = np.stack([(each * some).sum((-2, -1)) for each, some in zip(attention, weights, strict=True)])
    bottom = np.stack([np.full(each.shape[:-2], some.sum()) for each, some in zip(attention, weights, strict=True)])
    return top.astype(np.float64), bottom.astype(np.float64)


def as_sums(values: Float[np.ndarray, "image ..."]) -> Sums:
    """One number a picture, as sums: those that are undefined count nowhere."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0), known.astype(np.float64)


def ranked(
    attention: Attention, given: Values | None = None, within: Values | None = None
) -> list[Float[np.ndarray, "... _ _"]]:
    """Ranks over the pairs of each picture, with mean 0 and length 1; 0 for pairs that are left out. Ties share ranks.

    The product of two of these, summed over pairs, is Spearman's correlation; with the same `given` in both, the
    partial one.

    Args:
        attention: what is to be ranked, `(..., object, object)` for each picture.
        given: what is held fixed: the part of the ranks that is linear in its ranks is taken out.
        within: the pairs that count (default: all pairs of different objects).

    Returns:
        The same shapes; NaN where fewer than four pairs count, or where the ranks do not vary (any more).
    """
    found = []
    for place, values in enumerate(attention):
        pairs = _pairs(values) if within is None else within[place]
        rows = _ranks(values[..., pairs])
        if given is not None:
            fixed = _ranks(given[place][pairs])
            length = (fixed * fixed).sum()
            left = rows - (rows @ fixed)[..., None] * fixed / length if length > 0 else rows
        else:
            left = rows
        before, after = (rows * rows).sum(-1), (left * left).sum(-1)
        known = (after > FLAT * np.maximum(before, 1)) & (pairs.sum() >= FEWEST)
        out = np.zeros(values.shape)
        out[..., pairs] = left / np.sqrt(np.where(known, after, np.nan))[..., None]
        out[~known] = np.nan
        found.append(out)
    return found


def correlations(
    attention: Attention, values: Values, given: Values | None = None, within: Values | None = None
) -> Float[np.ndarray, "image ..."]:
    """Spearman's rank correlation over the pairs of each picture, a partial one with `given`.

    Args:
        attention: `(..., object, object)` for each picture.
        values: `(object, object)` for each picture: distances, say.
        given, within: as in `ranked`.

    Returns:
        `(image, ...)`; NaN where it is undefined.

    Raises:
        ValueError: for values of other pictures or other objects.
    """
    for name, each in (("values", values), ("given", given), ("within", within)):
        if each is not None:
            _same(attention, each, name)
    first, second = ranked(attention, given, within), ranked(values, given, within)
    return np.stack([(a * b).sum((-2, -1)) for a, b in zip(first, second, strict=True)])


def permuted(
    first: Attention, second: Values, *, n_resamples: int = 2_000, alternative: str = "two-sided", seed: int = 0
) -> Permutation:
    """Does attention between objects go with something else about them, more than when the objects are swapped?

    Mantel's test (1967): the statistic is the sum over pairs of first times second; the null gives the objects of each
    picture other places in the second, rows and columns alike, so that what an object has as a whole (some draw
    attention from everywhere) stays with it. All heads see the same swaps, which max-T needs.

    Args:
        first: `(*stat, object, object)` for each picture: attention, or its ranks (`ranked`). Pictures where it is
            undefined in some head are left out.
        second: `(object, object)` for each picture. The diagonal counts nowhere.
        n_resamples, alternative, seed: as in `significance.permutation_links`.

    Returns:
        `observed` is the mean over pictures. Mean and sd are those of the resamples.

    Raises:
        ValueError: for no picture that counts, other pictures or objects in second, or fewer than two resamples.
    """
    _same(first, second, "second")
    if n_resamples < 2:
        raise ValueError(f"n_resamples: expected at least 2, got {n_resamples}")
    pairs = [
        (a, np.asarray(b, dtype=np.float64))
        for a, b in zip(first, second, strict=True)
        if _pairs(a).any() and np.isfinite(a).all() and np.isfinite(b).all()
    ]
    if not pairs:
        raise ValueError("first: expected a picture with several objects and defined values, got none")
    shape = pairs[0][0].shape[:-2]
    random = np.random.default_rng(seed)
    sums, fixed = np.zeros((n_resamples + 1, int(np.prod(shape)))), 0
    for a, b in pairs:
        n = len(b)
        orders = random.permuted(np.tile(np.arange(n), (n_resamples, 1)), axis=1)
        orders = np.concatenate([np.arange(n)[None], orders])
        swapped = b[orders[:, :, None], orders[:, None, :]][:, _pairs(b)]
        sums += swapped @ a[..., _pairs(a)].reshape(-1, swapped.shape[1]).T
        fixed += bool(np.ptp(swapped, axis=0).max() == 0)
    sums /= len(pairs)
    observed, null = sums[0], sums[1:]
    mean, sd = null.mean(0), null.std(0, ddof=1)
    moves = sd > 1e-12 * np.maximum(np.abs(sums).max(0), 1e-300)
    z = np.divide(observed - mean, sd, out=np.full_like(sd, np.nan), where=moves)
    p, family, largest = _compare(z, alternative, iter([((null - mean) / np.where(moves, sd, 1))[:, moves]]))
    arrays = (observed, mean, sd * moves, z, p, family)
    return Permutation(*(each.reshape(shape) for each in arrays), largest, len(pairs), fixed)


def contrast(same: Values, across: Values) -> list[Float[np.ndarray, "_ _"]]:
    """What `permuted` needs to compare two kinds of pairs: its statistic is then the difference of their means.

    Raises:
        ValueError: when there is no pair of one kind.
    """
    counts = [sum(int(each.sum()) for each in kind) for kind in (same, across)]
    if not all(counts):
        raise ValueError(f"same, across: expected pairs of both kinds, got {counts[0]} and {counts[1]}")
    n = sum(len(each) > 1 for each in same)
    return [n * (a / counts[0] - b / counts[1]) for a, b in zip(same, across, strict=True)]


def as_close(pairs: Pairs, distances: Values, bins: int = 4) -> list[Float[np.ndarray, "_ _"]]:
    """Weights for all other pairs of different objects, so that they lie as close together as these pairs do.

    The distances of the given pairs are cut into bins that hold equally many of them; in each bin the other pairs
    weigh together as much as there are given ones.

    Args:
        pairs: `(object, object)` for each picture.
        distances: of the same objects.
        bins: how many, at most; one without other pairs has no weight.

    Raises:
        ValueError: for no pairs.
    """
    near = np.concatenate([d[chosen] for d, chosen in zip(distances, pairs, strict=True)] or [np.zeros(0)])
    if not len(near):
        raise ValueError("pairs: expected at least one, got none")
    edges = np.unique(np.quantile(near, np.linspace(0, 1, bins + 1)))
    inner, low, high = edges[1:-1], edges[0], edges[-1]
    rest = [_pairs(d) & ~chosen & (d >= low) & (d <= high) for d, chosen in zip(distances, pairs, strict=True)]
    place = [np.searchsorted(inner, d, side="right") for d in distances]
    count = len(inner) + 1
    wanted = np.bincount(np.searchsorted(inner, near, side="right"), minlength=count)
    there = sum(np.bincount(at[chosen], minlength=count) for at, chosen in zip(place, rest, strict=True))
    weight = np.where(there > 0, wanted / np.maximum(there, 1), 0.0)
    return [weight[at] * chosen for at, chosen in zip(place, rest, strict=True)]


def binned(values: Values, bins: int) -> tuple[list[float], list[Pairs]]:
    """Pairs of different objects by a value: bins with about as many pairs each.

    Returns:
        For each bin the median value of its pairs; and for each bin, for each picture, which pairs are in it. Fewer
        than `bins` where many values are equal.

    Raises:
        ValueError: for no pair of objects.
    """
    every = np.concatenate([each[_pairs(each)] for each in values] or [np.zeros(0)])
    if not len(every):
        raise ValueError("values: expected pictures with several objects, got none")
    edges = np.unique(np.quantile(every, np.linspace(0, 1, bins + 1)))
    last = max(len(edges) - 2, 0)
    place = [np.minimum(np.searchsorted(edges, each, side="right") - 1, last) for each in values]
    inside = [
        [_pairs(each) & (at == number) for each, at in zip(values, place, strict=True)] for number in range(last + 1)
    ]
    middles = [
        float(np.median(np.concatenate([v[chosen] for v, chosen in zip(values, some, strict=True)]))) for some in inside
    ]
    return middles, inside


def preferred(
    values: Sequence[Float[np.ndarray, "... _"]], chosen: Sequence[Bool[np.ndarray, " _"]]
) -> Float[np.ndarray, "image ..."]:
    """How often a chosen object has a higher value than one that is not chosen: one half by chance, whatever is chosen.

    The area under the ROC curve; ties count one half. NaN where all objects are chosen, or none.
    """
    found = []
    for each, some in zip(values, chosen, strict=True):
        apart = each[..., some][..., :, None] - each[..., ~some][..., None, :]
        with np.errstate(invalid="ignore"):
            found.append(
                ((apart > 0) + 0.5 * (apart == 0)).sum((-2, -1)) / np.float64(apart.shape[-1] * apart.shape[-2])
            )
    return np.stack(found)


def follows(
    first: Sequence[Float[np.ndarray, "... _"]],
    second: Sequence[Float[np.ndarray, "... _"]],
    only_first: Sequence[Bool[np.ndarray, " _"]],
    only_second: Sequence[Bool[np.ndarray, " _"]],
) -> Float[np.ndarray, "image ..."]:
    """Does attention go with the description: to what only the first one mentions, when that replaces the second?

    Args:
        first, second: for each picture what its objects get under the one and the other (`Looking.onto`).
        only_first, only_second: the objects that only the one or the other mentions.

    Returns:
        What an object of the first kind gains, less what one of the second kind gains, means over objects. NaN where
        there is none of either kind.
    """
    found = []
    for a, b, mine, other in zip(first, second, only_first, only_second, strict=True):
        gain = a - b
        both = mine.any() and other.any()
        nothing = np.full(gain.shape[:-1], np.nan)
        found.append(gain[..., mine].mean(-1) - gain[..., other].mean(-1) if both else nothing)
    return np.stack(found)


def _pairs(values: np.ndarray) -> Bool[np.ndarray, "object object"]:
    return ~np.eye(values.shape[-1], dtype=bool)


def _ranks(values: Float[np.ndarray, "*stat pair"]) -> Float[np.ndarray, "*stat pair"]:
    """Ranks with mean 0; ties share theirs."""
    from scipy.stats import rankdata

    rows = np.asarray(values, dtype=np.float64)
    return rankdata(rows, axis=-1) - (rows.shape[-1] + 1) / 2 if rows.size else rows


def _same(attention: Attention, values: Sequence[np.ndarray], name: str) -> None:
    if len(attention) != len(values):
        raise ValueError(f"{name}: expected one for each of {len(attention)} pictures, got {len(values)}")
    for place, (each, other) in enumerate(zip(attention, values, strict=True)):
        if each.shape[-2:] != other.shape:
            raise ValueError(f"{name}[{place}]: expected shape {each.shape[-2:]}, got {other.shape}")
