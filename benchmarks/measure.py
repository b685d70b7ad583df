"""Time and peak memory of functions that do the same work: in turns for time, each in its own process for memory.

Time: the functions take turns, so that a busy moment of the machine hits all; the smallest time of each counts, since
everything that disturbs a run makes it longer. Memory: the largest resident size during the first call, less that
before it, in a process that has done nothing else; allocators keep what they were given, so only a first call tells.
"""

import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

Work = Callable[[], object]


def times(works: dict[str, Work], seconds: float = 1.0, least: int = 2) -> dict[str, float]:
    """Smallest seconds of each: rounds over all of them until so many seconds are spent, at least so many rounds."""
    best: dict[str, float] = {}
    for work in works.values():
        work()
    start, rounds = time.perf_counter(), 0
    while rounds < least or time.perf_counter() - start < seconds:
        for name, work in works.items():
            before = time.perf_counter()
            work()
            best[name] = min(best.get(name, float("inf")), time.perf_counter() - before)
        rounds += 1
    return best


def peak(make: Callable[..., Work], *arguments: object) -> float:
    """Bytes by which a fresh process grows, at most, while it does the work that `make(*arguments)` prepares."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_peak, args=(theirs, make, arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        return float("nan")  # killed for its memory, say
    finally:
        process.join()


def _peak(pipe: object, make: Callable[..., Work], arguments: tuple) -> None:
    work = make(*arguments)
    Path("/proc/self/clear_refs").write_text("5")  # forget the largest size so far
    before = _status("VmRSS")
    work()
    pipe.send(_status("VmHWM") - before)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return {
        "cpu": cpu or platform.processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
