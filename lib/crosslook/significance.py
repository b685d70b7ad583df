"""How sure a number is: intervals by resampling images, nulls by shuffling within them, correction over heads.

Phrases of one image are not independent, so it is images that are drawn again, each with all its phrases; links are
shuffled within an image, never across; and conditions are compared on the same images. Statistics of all layers and
heads go through together, as trailing axes, and see the same resamples: this is what correction over heads needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 512  # resamples at a time: bounds memory at 512 x images
ELEMENTS = 1 << 21  # in one matrix of zeros and ones: 16 MB
TIE = 1e-9  # standard deviations: a sum of the same numbers in another order differs by less

TAILS = {"greater": np.positive, "less": np.negative, "two-sided": np.abs}

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Permutation:
    """What a permutation test found of every statistic; arrays in the statistics' own shape, `(layer, head)` say.

    `observed`: the statistic, in its own units. `mean`, `sd`: of the null, exact. `z`: (observed - mean) / sd, NaN
    where the null does not vary. `p`: how often the null is at least as extreme, the data counted in (Phipson and Smyth
    2010), so never 0. `p_family`: the same against the largest z of all statistics in each resample: max-T, which keeps
    the chance of any false finding at the level (Westfall and Young 1993, single step). `largest`: these largest
    values, `(n_resamples,)`; their 95% quantile is the z from which a head among all stands out. `n_images`: how many
    were given. `n_fixed`: how many of them no resample changes.
    """

    observed: Array
    mean: Array
    sd: Array
    z: Array
    p: Array
    p_family: Array
    largest: Array
    n_images: int
    n_fixed: int


def bootstrap_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike | None = None,
    *,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Array:
    """Percentile interval of a ratio of sums (a pooled proportion), or of a mean. Efron and Tibshirani (1993, ch. 13).

    Args:
        numerator: one row an image, `(image, *statistic)`: what was counted in it.
        denominator: out of how many; of the same shape, or of its leading axes alone, `(image,)` say. Without it every
            image counts once, which gives the mean.
        n_resamples: how many times the images are drawn again, with replacement.
        level: coverage of the interval.
        seed: of the draws.

    Returns:
        `(2, *statistic)`: lower and upper end. Resamples in which nothing was counted at all are left out; where that
        is all of them, NaN. From 25 images a 95% interval covers 91 to 94% of the time, from 500 95%.

    Raises:
        ValueError: for no images, different numbers of them, a value that is not finite or a level outside (0, 1).
    """
    top = np.asarray(numerator, dtype=np.float64)
    if top.ndim == 0 or len(top) == 0:
        raise ValueError(f"numerator: expected (image, *statistic) with an image, got shape {top.shape}")
    bottom = np.ones(len(top)) if denominator is None else np.asarray(denominator, dtype=np.float64)
    if bottom.ndim == 0 or bottom.shape != top.shape[: bottom.ndim]:
        raise ValueError(f"denominator: expected shape {top.shape} or its leading axes, got {bottom.shape}")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        raise ValueError("numerator, denominator: expected finite numbers, got NaN or infinity")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    _check_resamples(n_resamples)
    images = len(top)
    # One denominator may serve many statistics: beside each other, they are one column against several.
    over = top.reshape(images, prod(bottom.shape[1:]), -1)
    under = bottom.reshape(images, -1)
    generator = np.random.default_rng(seed)
    ratios = []
    for start in range(0, n_resamples, CHUNK):
        drawn = generator.integers(images, size=(min(CHUNK, n_resamples - start), images))
        # How often each image was drawn; a product with the counts sums them over all resamples at once.
        rows = np.arange(len(drawn))[:, None] * images
        times = np.bincount((drawn + rows).ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
        sums = (times @ over.reshape(images, -1)).reshape(len(drawn), *over.shape[1:])
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios.append(sums / (times @ under)[..., None])
    found = np.concatenate(ratios).reshape(n_resamples, -1)
    ends = np.full((2, found.shape[1]), np.nan)
    counted = ~np.isnan(found).all(0)
    tail = (1 - level) / 2
    if counted.any():
        ends[:, counted] = np.nanquantile(found[:, counted], [tail, 1 - tail], axis=0)
    return ends.reshape(2, *top.shape[1:])


def permutation_links(
    cells: Sequence[ArrayLike],
    total: ArrayLike | None = None,
    *,
    n_resamples: int = 10_000,
    alternative: str = "greater",
    seed: int = 0,
) -> Permutation:
    """Do phrases give their *own* regions more than the other phrases of the image give them?

    The null shuffles which set of regions belongs to which phrase, within each image. What adds up from a phrase's part
    and a region set's part (some regions draw attention from every phrase, some phrases look at regions more than
    others) is in every shuffle, and is not taken for grounding. What multiplies is not: in a sum over the words of a
    phrase and over the regions of a set, an even head gives words x regions, and where long phrases have many regions
    it would seem to know the links. So give means, over both.

    Args:
        cells: for each image `(phrase, candidate, *statistic)`: what phrase i gives to the regions of phrase j, by word
            and by region. From `mass (head, query, phrase)` on each phrase's regions and `words (phrase, query)`, that
            is `einsum("pq,hqj->pjh", words / n_words, mass / n_regions)`, each divided by its own count for each
            phrase. Largest link weights, or hits (0 or 1), do as well.
        total: what the sum over all phrases is divided by, a number or `(*statistic)`. For a pooled proportion, all
            that the phrases give, to whatever regions, which no shuffle changes. Default: the number of phrases.
        n_resamples: how many shuffles.
        alternative: "greater", "less", or "two-sided" (by the size of z).
        seed: of the shuffles.

    Returns:
        `observed` is the pooled statistic of the true links. Images with a single phrase (`n_fixed` counts them) add
        as much to it as to the null's mean, and say nothing. Mean and sd are exact (Hoeffding 1951, Theorem 2).

    Raises:
        ValueError: for no image, cells that are not square or differ in their statistics, a value that is not finite,
            a total that is not positive, another alternative, fewer than one resample.
    """
    _check_resamples(n_resamples, alternative)
    images = [np.asarray(each, dtype=np.float64) for each in cells]
    if not images:
        raise ValueError("cells: expected at least one image, got none")
    shape = images[0].shape[2:]
    for i, each in enumerate(images):
        if each.ndim < 2 or each.shape[0] != each.shape[1] or each.shape[2:] != shape:
            expected = ", ".join(["n", "n", *map(str, shape)])
            raise ValueError(f"cells[{i}]: expected shape ({expected}), got {each.shape}")
        if not np.isfinite(each).all():
            raise ValueError(f"cells[{i}]: expected finite numbers, got NaN or infinity (leave such a phrase out)")
    sizes = np.array([len(each) for each in images])
    below = np.asarray(sizes.sum() if total is None else total, dtype=np.float64)
    if below.shape not in ((), shape) or not (np.isfinite(below) & (below > 0)).all():
        raise ValueError(f"total: expected positive numbers of shape () or {shape}, got {below}")

    observed, mean, variance, squares, deviation = np.zeros((5, prod(shape)))
    stacks = []
    for n in np.unique(sizes[sizes > 0]):
        stack = np.stack([each for each in images if len(each) == n]).reshape(-1, n, n, prod(shape))
        observed += np.einsum("ipps->s", stack)
        mean += stack.sum((0, 1, 2)) / n
        squares += np.einsum("ipqs,ipqs->s", stack, stack)
        if n > 1:
            # Without the means of rows and columns, a cell says what this very pairing gives.
            stack = stack - stack.mean(1, keepdims=True)
            stack -= stack.mean(2, keepdims=True)
            variance += np.einsum("ipqs,ipqs->s", stack, stack) / (n - 1)
            deviation += np.einsum("ipps->s", stack)
            stacks.append(stack)
    sd, moves = np.sqrt(variance), _moves(variance, squares)
    z = np.divide(deviation, sd, out=np.full_like(sd, np.nan), where=moves)
    stacks = [stack[..., moves] / sd[moves] for stack in stacks if moves.any()]
    found = _compare(z, alternative, _shuffled(stacks, int(moves.sum()), n_resamples, seed))
    below = np.broadcast_to(below, shape).reshape(-1)
    arrays = (observed / below, mean / below, sd * moves / below, z, *found[:2])
    return Permutation(*(each.reshape(shape) for each in arrays), found[2], len(images), int((sizes < 2).sum()))


def permutation_paired(
    first: ArrayLike, second: ArrayLike, *, n_resamples: int = 10_000, alternative: str = "two-sided", seed: int = 0
) -> Permutation:
    """Do two conditions differ on the same images: a trained model from its untrained twin, say?

    Under the null either could have been the other, so the sign of each image's difference is flipped by chance, for
    all statistics at once (Fisher 1935, section 21).

    Args:
        first, second: one row an image, `(image, *statistic)`. An image that is NaN in one counts nowhere, for that
            statistic.
        n_resamples, alternative, seed: as in `permutation_links`.

    Returns:
        `observed` is the mean of first - second; the null has mean 0. A statistic without any image is NaN throughout,
        and not among those that max-T corrects for. `n_fixed` counts images without any difference.

    Raises:
        ValueError: for no image, different shapes, an infinite value, another alternative, fewer than one resample.
    """
    _check_resamples(n_resamples, alternative)
    a, b = (np.asarray(each, dtype=np.float64) for each in (first, second))
    if a.ndim == 0 or len(a) == 0:
        raise ValueError(f"first: expected (image, *statistic) with an image, got shape {a.shape}")
    if a.shape != b.shape:
        raise ValueError(f"second: expected shape {a.shape}, got {b.shape}")
    if np.isinf(a).any() or np.isinf(b).any():
        raise ValueError("first, second: expected finite numbers or NaN, got infinity")
    shape = a.shape[1:]
    a, b = (each.reshape(len(each), -1) for each in (a, b))
    known = ~np.isnan(a - b)
    change = np.where(known, a - b, 0)
    variance = (change**2).sum(0)
    moves = _moves(variance, np.where(known, a**2 + b**2, 0).sum(0))
    length = np.sqrt(variance)
    z = np.divide(change.sum(0), length, out=np.full_like(length, np.nan), where=moves)
    found = _compare(z, alternative, _flipped(change[:, moves] / length[moves], n_resamples, seed))
    count = np.where(known.any(0), known.sum(0), np.nan)
    observed, mean, sd = change.sum(0) / count, 0 / count, length * moves / count
    p, p_family = (np.where(known.any(0), each, np.nan) for each in found[:2])
    fixed = int((change == 0).all(1).sum())
    return Permutation(*(x.reshape(shape) for x in (observed, mean, sd, z, p, p_family)), found[2], len(a), fixed)


def benjamini_hochberg(p: ArrayLike) -> Array:
    """p-values adjusted so that, of the statistics at or below a level, at most that share is false, on average.

    Benjamini and Hochberg (1995). For tests that are independent or positively dependent, as heads on the same images.

    Args:
        p: of any shape, `(layer, head)` say. NaN is no test: it stays NaN and does not count among them.

    Raises:
        ValueError: for a value outside [0, 1].
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p, dtype=np.float64)
    known = ~np.isnan(values)
    if not ((values[known] >= 0) & (values[known] <= 1)).all():
        raise ValueError(f"p: expected p-values between 0 and 1, got {values[known].min()} to {values[known].max()}")
    adjusted = np.full(values.shape, np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(values[known])
    return adjusted


def _compare(z: Array, alternative: str, resampled: Iterator[Array]) -> tuple[Array, Array, Array]:
    """p, max-T p, and the largest z of each resample; `resampled` has columns for those z that are not NaN."""
    tail = TAILS[alternative]
    moves = ~np.isnan(z)
    own = tail(z[moves]) - TIE
    reached, largest = np.zeros(len(own)), []
    for chunk in resampled:
        values = tail(chunk)
        reached += (values >= own).sum(0)
        largest.append(values.max(1) if len(own) else np.full(len(values), np.nan))
    highest = np.concatenate(largest)
    p, p_family = np.ones((2, len(z)))  # what does not vary is as extreme in every resample
    p[moves] = (reached + 1) / (len(highest) + 1)
    p_family[moves] = (len(highest) - np.searchsorted(np.sort(highest), own) + 1) / (len(highest) + 1)
    return p, p_family, highest


def _shuffled(stacks: list[Array], statistics: int, n_resamples: int, seed: int) -> Iterator[Array]:
    """Sums over shuffled links, some resamples at a time; a stack is `(image, phrase, candidate, statistic)`."""
    generator = np.random.default_rng(seed)
    blocks = []
    for stack in stacks:
        together = max(1, ELEMENTS // CHUNK // stack.shape[1] ** 2)
        blocks += [stack[i : i + together] for i in range(0, len(stack), together)]
    rows = min([CHUNK, *(max(1, ELEMENTS // block[..., 0].size) for block in blocks)])
    for start in range(0, n_resamples, rows):
        count = min(rows, n_resamples - start)
        sums = np.zeros((count, statistics))
        for block in blocks:
            images, phrases = block.shape[:2]
            order = generator.permuted(np.broadcast_to(np.arange(phrases), (count, images, phrases)), axis=-1)
            # 1 where a phrase meets its candidate: one product sums the cells that each shuffle picks.
            picked = np.zeros((count, images, phrases, phrases))
            np.put_along_axis(picked, order[..., None], 1, axis=-1)
            sums += picked.reshape(count, -1) @ block.reshape(-1, statistics)
        yield sums


def _flipped(change: Array, n_resamples: int, seed: int) -> Iterator[Array]:
    generator = np.random.default_rng(seed)
    for start in range(0, n_resamples, CHUNK):
        yield generator.choice([-1.0, 1.0], size=(min(CHUNK, n_resamples - start), len(change))) @ change


def _moves(variance: Array, squares: Array) -> NDArray[np.bool_]:
    """Whether there is any variance beyond the rounding of the numbers it comes from."""
    return variance > 1e-24 * squares


def _check_resamples(n_resamples: int, alternative: str = "greater") -> None:
    if n_resamples < 1:
        raise ValueError(f"n_resamples: expected at least 1, got {n_resamples}")
    if alternative not in TAILS:
        raise ValueError(f"alternative: expected one of {', '.join(TAILS)}, got {alternative!r}")
