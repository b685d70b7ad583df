"""Numbers that are read off whole maps of heads, `(..., layer, head)`, and how sure they are.

A map is a ratio of sums over images. Anything that is computed from one or several maps (a mean over deep layers, a
difference of two models, a correlation over heads) gets its interval by drawing the images again, all maps with the
same images, and computing it anew.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Map = Float[np.ndarray, "*resample layer head"]
Number = Float[np.ndarray, "*resample"] | float
Sums = tuple[Float[np.ndarray, "image layer head"], Float[np.ndarray, "image layer head"]]
"""What was counted in each image, and out of how much: `Reading.sums`, or `per_image()` of a corpus metric."""

CHUNK = 256


@dataclass(frozen=True)
class Estimate:
    """A number, its 95% interval over images, and how many of these there were."""

    value: float
    interval: tuple[float, float]
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.interval[0]:.3g}, {self.interval[1]:.3g}]"


def estimate(number: Callable[..., Number], *sums: Sums, n_resamples: int = 2_000, seed: int = 0) -> Estimate:
    """A number computed from maps, with its interval (percentile bootstrap over images).

    Args:
        number: gets one map for each of `sums`, with any leading axes, and gives a number for each of these.
        sums: of the same images in the same order.
        n_resamples: how often the images are drawn again. Draws in which the number is undefined are left out.
        seed: of the draws.

    Raises:
        ValueError: for sums of different images, or none.
    """
    n_images = {len(each) for pair in sums for each in pair}
    if len(n_images) != 1 or n_images == {0}:
        raise ValueError(f"sums: expected the same images for all maps, got {sorted(n_images)}")
    (n,) = n_images
    random = np.random.default_rng(seed)
    draws = random.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(np.float64)
    # Images that count nowhere need no place in the sums.
    counted = np.any([pair[1].reshape(n, -1).any(1) for pair in sums], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(number(*(top.sum(0) / bottom.sum(0) for top, bottom in sums)))
        found = [
            number(*(_pooled(some, top) / _pooled(some, bottom) for top, bottom in sums))
            for some in np.array_split(draws, max(1, n_resamples // CHUNK))
        ]
    values = np.concatenate([np.atleast_1d(each) for each in found])
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) else (np.nan, np.nan)
    return Estimate(value, (float(low), float(high)), int(counted.sum()))


def pooled(sums: Sums) -> Float[np.ndarray, "layer head"]:
    """The map itself, from the sums of all images; NaN where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[0].sum(0) / sums[1].sum(0)


def _pooled(draws: np.ndarray, sums: np.ndarray) -> np.ndarray:
    return np.tensordot(draws, sums, axes=(1, 0))


def surface(values: Map) -> Number:
    """Mean over the heads of the first half of the layers (of seven, the first three)."""
    return values[..., : values.shape[-2] // 2, :].mean((-2, -1))


def deep(values: Map) -> Number:
    """Mean over the heads of the other half."""
    return values[..., values.shape[-2] // 2 :, :].mean((-2, -1))


def deepening(values: Map) -> Number:
    """Deep minus surface."""
    return deep(values) - surface(values)


def layer(number: int) -> Callable[[Map], Number]:
    """Mean over the heads of a layer, from 0; -1 is the last."""
    return lambda values: values[..., number, :].mean(-1)


def correlation(first: Map, second: Map) -> Number:
    """Pearson's, over all heads of two maps; NaN where one does not vary."""
    a, b = (values.reshape(*values.shape[:-2], -1) for values in (first, second))
    a, b = (values - values.mean(-1, keepdims=True) for values in (a, b))
    length = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 0, (a * b).sum(-1) / length, np.nan)


def spread(values: Map) -> Number:
    """Over how many of its heads a map is spread, as a share: the exponential of its entropy, by their number."""
    flat = values.reshape(*values.shape[:-2], -1)
    share = flat / flat.sum(-1, keepdims=True)
    logs = np.log(share, where=share > 0, out=np.zeros_like(share))
    return np.exp(-(share * logs).sum(-1)) / flat.shape[-1]


def best(chooses: Map, measures: Map) -> Number:
    """The second map's value of the head that is highest in the first: of other images, so that luck is not counted."""
    a, b = (values.reshape(*values.shape[:-2], -1) for values in (chooses, measures))
    return np.take_along_axis(b, a.argmax(-1, keepdims=True), -1)[..., 0]


def best_depth(values: Map) -> Number:
    """The layer of the highest head, as a share of the layers: 1 is the last."""
    flat = values.reshape(*values.shape[:-2], -1)
    return (flat.argmax(-1) // values.shape[-1] + 1) / values.shape[-2]


def halves(sums: Sums) -> tuple[Sums, Sums]:
    """Every second image, and the others, each without counts for the rest."""
    even = (np.arange(len(sums[0])) % 2 == 0)[:, None, None]
    return tuple((np.where(keep, sums[0], 0), np.where(keep, sums[1], 0)) for keep in (even, ~even))


def permuted(first: Float[np.ndarray, "layer head"], second: Float[np.ndarray, "layer head"], seed: int = 0) -> float:
    """Two-sided p-value of a correlation over heads, against heads of one map in another order (10,000 of them).

    A test as good as its assumption: that heads could be swapped freely, which layers do not quite allow.
    """
    random = np.random.default_rng(seed)
    orders = random.permuted(np.tile(np.arange(second.size), (10_000, 1)), axis=1)
    others = second.ravel()[orders].reshape(-1, *second.shape)
    null = correlation(np.broadcast_to(first, others.shape), others)
    return float((1 + (np.abs(null) >= abs(correlation(first, second)) - 1e-12).sum()) / (1 + len(orders)))
