"""What resampling costs: `.venv/bin/python benchmarks/significance.py [IMAGES]` (default 500; 12 x 12 heads)."""

import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from crosslook.significance import bootstrap_ratio, permutation_links, permutation_paired

HEADS = (12, 12)
RESAMPLES = 10_000


def report(what: str, call: Callable[[], object]) -> None:
    """Time first; then once more for the largest memory in use beyond the input, since tracing takes time."""
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{what:62}{seconds:7.2f} s {peak / 2**20:7.0f} MB", flush=True)


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    random = np.random.default_rng(0)
    print(f"{RESAMPLES:,} resamples of {images:,} images x {HEADS[0] * HEADS[1]} heads: seconds, largest memory")
    top, bottom = random.random((2, images, *HEADS))
    report("bootstrap of a mean", lambda: bootstrap_ratio(top))
    report("bootstrap of a ratio, one denominator an image", lambda: bootstrap_ratio(top, bottom[:, 0, 0]))
    report("bootstrap of a ratio, a denominator a head", lambda: bootstrap_ratio(top, bottom))
    report("sign flips of paired images", lambda: permutation_paired(top, bottom))
    for phrases in (3, 8, 15):
        cells = [random.random((phrases, phrases, *HEADS)) for _ in range(images)]
        report(f"shuffled links, {phrases} phrases an image", lambda cells=cells: permutation_links(cells))


if __name__ == "__main__":
    main()
