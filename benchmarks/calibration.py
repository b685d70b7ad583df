"""Do intervals and p-values hold what they promise? `.venv/bin/python benchmarks/calibration.py [DATA SETS]`.

Simulated data sets in which the truth is known. Weights are skewed, images have one to four phrases, phrases and
regions have tastes that have nothing to do with links, and heads resemble each other, as those of a model do.
"""

import sys
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest, sem

from crosslook.significance import (
    Permutation,
    benjamini_hochberg,
    bootstrap_ratio,
    permutation_links,
    permutation_paired,
)

HEADS, PLANTED, IMAGES, RESAMPLES = 144, 20, 50, 999
LEVEL = 0.05


def row(what: str, promised: str, measured: float, n: int, low: float, high: float) -> None:
    print(f"{what:66}{promised:>10}{measured:10.3f}{n:9,}   {max(low, 0):.3f} to {min(high, 1):.3f}", flush=True)


def rate(what: str, promised: str, hits: Sequence[bool]) -> None:
    """A share of independent repetitions, with its exact 95% interval."""
    found = binomtest(int(np.sum(hits)), np.size(hits))
    ends = found.proportion_ci(0.95)
    row(what, promised, found.statistic, np.size(hits), ends.low, ends.high)


def average(what: str, promised: str, values: Sequence[float]) -> None:
    """A mean over data sets, with the interval that its standard error gives."""
    mean, error = float(np.mean(values)), 1.96 * float(sem(values))
    row(what, promised, mean, len(values), mean - error, mean + error)


def data_set(seed: int, effect: np.ndarray, shared: float = 0.5) -> list[np.ndarray]:
    """Cells of images with one to four phrases; `effect`, in sd of the noise, is added to true links of each head."""
    random = np.random.default_rng([1, seed])  # not the stream of the resamples
    cells = []
    for n in random.integers(1, 5, IMAGES):
        noise = shared * random.exponential(size=(n, n, 1)) + (1 - shared) * random.exponential(
            size=(n, n, len(effect))
        )
        taste = random.exponential(size=(n, 1, len(effect))) + random.exponential(size=(1, n, len(effect)))
        scale = np.hypot(shared, 1 - shared)  # the standard deviation of the noise
        cells.append(noise + taste + scale * effect * np.eye(n)[..., None])
    return cells


def links(seed: int, effect: np.ndarray) -> Permutation:
    return permutation_links(data_set(seed, effect), n_resamples=RESAMPLES, seed=seed)


def pairs(seed: int) -> Permutation:
    first, second = np.random.default_rng([1, seed]).exponential(size=(2, IMAGES))
    return permutation_paired(first, second, n_resamples=RESAMPLES, seed=seed)


def false_positives(n: int) -> None:
    # Every data set has resamples of its own: heads that share them are not independent repetitions.
    tests = {"links": [links(i, np.zeros(1)).p for i in range(n)], "paired images": [pairs(i).p for i in range(n)]}
    for what, p in tests.items():
        for level in (0.01, LEVEL):
            rate(f"{what}: false positives of one head at {level}", f"= {level}", np.array(p) <= level)


def over_heads(n: int) -> None:
    null = [links(i, np.zeros(HEADS)) for i in range(n)]
    rate(f"any false positive of {HEADS} heads, uncorrected", "", [(each.p <= LEVEL).any() for each in null])
    rate(
        f"any false positive of {HEADS} heads, max-T", f"<= {LEVEL}", [(each.p_family <= LEVEL).any() for each in null]
    )
    for k, strength in enumerate((0.25, 0.5, 0.75)):
        effect = np.where(np.arange(HEADS) < PLANTED, strength, 0)
        found = [links(i, effect) for i in range((k + 1) * n, (k + 2) * n)]
        what = f"{PLANTED} of {HEADS} heads at {strength} sd,"
        picks = {
            "uncorrected": [each.p <= LEVEL for each in found],
            "max-T": [each.p_family <= LEVEL for each in found],
            "Benjamini-Hochberg": [benjamini_hochberg(each.p) <= LEVEL for each in found],
        }
        for method, chosen in picks.items():
            average(f"{what} {method}: found", "", [each[:PLANTED].mean() for each in chosen])
        for method, chosen in picks.items():
            shares = [each[PLANTED:].sum() / max(1, each.sum()) for each in chosen]
            promised = f"<= {LEVEL}" if method == "Benjamini-Hochberg" else ""
            average(f"{what} {method}: false among the found", promised, shares)
        rate(f"{what} max-T: any false", f"<= {LEVEL}", [each[PLANTED:].any() for each in picks["max-T"]])


def coverage(n: int) -> None:
    for images in (25, 100, 500):
        inside = []
        for i in range(n):
            random = np.random.default_rng([1, i])
            phrases = random.integers(1, 6, images)
            hits = random.binomial(phrases, random.beta(2, 3, images))  # images differ; the share of all is 0.4
            means = bootstrap_ratio(random.exponential(size=images), n_resamples=RESAMPLES, seed=i)
            shares = bootstrap_ratio(hits, phrases, n_resamples=RESAMPLES, seed=i)
            inside.append([means[0] <= 1 <= means[1], shares[0] <= 0.4 <= shares[1]])
        for what, found in zip(("mean of", "pooled share of"), np.transpose(inside), strict=True):
            rate(f"{what} {images} skewed images: truth inside the 95% interval", "= 0.95", found)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{'':66}{'promised':>10}{'measured':>10}{'n':>9}   95% interval")
    false_positives(5 * n)
    over_heads(n)
    coverage(5 * n)


if __name__ == "__main__":
    main()
