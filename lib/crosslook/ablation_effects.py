"""What ablation costs: comparisons of losses of the same examples, with intervals over images.

The phrases of an image are not independent, so images are what is drawn again, and what is flipped in a test. A loss
that is NaN (a phrase without tokens, a region that is not there) counts nowhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from crosslook.significance import bootstrap_ratio, permutation_paired


@dataclass(frozen=True)
class Effect:
    """What ablation costs: `value` bits, the mean over examples of ablated minus intact, 95% interval over images.

    `share` is that as a share of the intact loss. `size` is the mean over images of an image's mean difference, in
    units of its standard deviation (Cohen's d for pairs; NaN where all are equal), `p` a permutation test that flips
    images.
    """

    value: float
    interval: tuple[float, float]
    share: float
    share_interval: tuple[float, float]
    size: float
    p: float
    examples: int
    images: int


def effect(
    ablated: Float[np.ndarray, " example"],
    intact: Float[np.ndarray, " example"],
    images: Int[np.ndarray, " example"],
    seed: int = 0,
) -> Effect:
    """Compare losses of the same examples under two conditions; examples that are NaN in one are left out.

    Args:
        ablated, intact: losses in bits.
        images: the image of each example, from 0.
        seed: of resamples and flips.

    Raises:
        ValueError: when no example is left.
    """
    before, count = per_image(np.where(np.isnan(ablated), np.nan, intact), images)
    after, _ = per_image(np.where(np.isnan(intact), np.nan, ablated), images)
    change = after - before
    mean = change / count
    test = permutation_paired(after, before, seed=seed)
    spread = mean.std(ddof=1) if len(mean) > 1 else 0.0
    return Effect(
        value=float(change.sum() / count.sum()),
        interval=_ends(bootstrap_ratio(change, count, seed=seed)),
        share=float(change.sum() / before.sum()),
        share_interval=_ends(bootstrap_ratio(change, before, seed=seed)),
        size=float(mean.mean() / spread) if spread > 0 else float("nan"),
        p=float(test.p),
        examples=int(count.sum()),
        images=len(count),
    )


def per_image(
    values: Float[np.ndarray, " example"], images: Int[np.ndarray, " example"]
) -> tuple[Float[np.ndarray, " image"], Float[np.ndarray, " image"]]:
    """Sum and number of the values of each image that has some, for `significance.bootstrap_ratio`; NaN are left out.

    Raises:
        ValueError: when no value is left.
    """
    known = ~np.isnan(values)
    if not known.any():
        raise ValueError(f"values: expected at least one number, got {len(values)} NaN")
    count = np.bincount(images[known])
    return np.bincount(images[known], values[known])[count > 0], count[count > 0].astype(float)


def _ends(pair: Float[np.ndarray, " 2"]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def contrast(
    columns: Sequence[Float[np.ndarray, " example"]],
    images: Int[np.ndarray, " example"],
    of: Callable[[Float[np.ndarray, "resample column"]], Float[np.ndarray, " resample"]],
    *,
    n_resamples: int = 2_000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, tuple[float, float]]:
    """Any number that follows from several mean losses, with its percentile interval over images.

    >>> contrast([none, gone], images, lambda mean: mean[:, 1] / mean[:, 0] - 1)  # doctest: +SKIP

    Args:
        columns: losses of the same examples under several conditions, or of several models.
        images: the image of each example.
        of: from means, one row a resample and a column for each of `columns`, to one number a row.
        n_resamples, level, seed: as in `bootstrap_ratio`. Resamples in which a mean is not defined are left out.

    Returns:
        The number for the data as they are, and its interval.

    Raises:
        ValueError: when a column has no number.
    """
    n, draws = int(images.max()) + 1, np.random.default_rng(seed)
    known = ~np.isnan(np.stack(columns, 1))
    if not known.any(0).all():
        raise ValueError(
            f"columns: expected a number in each, got only NaN in {np.flatnonzero(~known.any(0)).tolist()}"
        )
    sums, counts = np.zeros((2, n, len(columns)))
    np.add.at(sums, images, np.where(known, np.stack(columns, 1), 0))
    np.add.at(counts, images, known)
    here = np.flatnonzero(counts.any(1))
    times = draws.multinomial(len(here), np.full(len(here), 1 / len(here)), n_resamples).astype(float)
    times = np.concatenate([np.ones((1, len(here))), times])
    with np.errstate(invalid="ignore", divide="ignore"):
        found = of((times @ sums[here]) / (times @ counts[here]))
    tail = (1 - level) / 2
    return float(found[0]), _ends(np.nanquantile(found[1:], [tail, 1 - tail]))
