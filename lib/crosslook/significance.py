"""How sure a number is: intervals by resampling images.

Phrases of one image are not independent, so it is images that are drawn again, each with all its phrases.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 512  # resamples at a time: bounds memory at 512 x images


def bootstrap_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike | None = None,
    *,
    n_resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Percentile interval of a ratio of sums (a pooled proportion), or of a mean.

    Args:
        numerator: one row an image, `(image,)` or `(image, statistic)`: what was counted in it.
        denominator: of the same shape, or `(image,)`: out of how many. Without it every image counts once, which
            gives the mean.
        n_resamples: how many times the images are drawn again, with replacement.
        level: coverage of the interval.
        seed: of the draws.

    Returns:
        `(2,)` or `(2, statistic)`: lower and upper end. Resamples in which nothing was counted at all are left out.

    Raises:
        ValueError: for no images, different numbers of them, a value that is not finite or a level outside (0, 1).
    """
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.ones(len(top)) if denominator is None else np.asarray(denominator, dtype=np.float64)
    if top.ndim not in (1, 2) or len(top) == 0:
        raise ValueError(f"numerator: expected (image,) or (image, statistic) with an image, got shape {top.shape}")
    if bottom.shape not in (top.shape, top.shape[:1]):
        raise ValueError(f"denominator: expected shape {top.shape} or {top.shape[:1]}, got {bottom.shape}")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        raise ValueError("numerator, denominator: expected finite numbers, got NaN or infinity")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    if bottom.ndim < top.ndim:
        bottom = bottom[:, None]
    generator = np.random.default_rng(seed)
    images = len(top)
    ratios = []
    for start in range(0, n_resamples, CHUNK):
        drawn = generator.integers(images, size=(min(CHUNK, n_resamples - start), images))
        # How often each image was drawn; a product with the counts sums them over all resamples at once.
        rows = np.arange(len(drawn))[:, None] * images
        times = np.bincount((drawn + rows).ravel(), minlength=drawn.size).reshape(len(drawn), images)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios.append((times @ top) / (times @ bottom))
    tail = (1 - level) / 2
    return np.nanquantile(np.concatenate(ratios), [tail, 1 - tail], axis=0)
