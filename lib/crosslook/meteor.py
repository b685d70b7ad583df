"""METEOR (Denkowski & Lavie 2014): its authors' program aligns the words, in Java; the score is computed here.

So a score of many texts has an interval: what the program counts is added up over resampled images. The program and its
table of paraphrases come with the package `pycocoevalcap`.
"""

import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
"""For English: how much recall counts, how the penalty bends, how large it is, and what a content word counts."""
WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""What words count that are the same, have the same stem, are synonyms, or are part of a paraphrase."""
COUNTS = 23
LENGTH, FUNCTION, PAIRS, CHUNKS, MATCHED = slice(0, 2), slice(2, 4), slice(4, 20), 20, slice(21, 23)
"""Where each is among the counts."""

Words = list[str]


def missing() -> str | None:
    """What METEOR lacks here, in words; None where it can be measured."""
    if shutil.which("java") is None:
        return "needs Java"
    if _program() is None:
        return "needs the package pycocoevalcap, which carries its authors' program"
    return None


def _program() -> Path | None:
    package = find_spec("pycocoevalcap")
    folders = package.submodule_search_locations if package else None
    paths = [Path(folder) / "meteor" / "meteor-1.5.jar" for folder in folders or ()]
    return next((path for path in paths if path.is_file()), None)


def counts(said: Sequence[Words], truth: Sequence[Sequence[Words]]) -> Float[np.ndarray, "image 23"]:
    """What METEOR counts in a text and the reference that it is most like. It takes some seconds to start.

    Words of both; function words of both; then of each kind of match in `WEIGHTS` content words in the text and in the
    reference, and function words in both; then chunks, and matched words in both. A text that is matched as a whole
    has no chunk: nothing is scattered.

    Raises:
        RuntimeError: as `missing` says, or the program failed; with what it wrote.
    """
    if why := missing():
        raise RuntimeError(f"METEOR {why}")
    lines = [
        " ||| ".join(["SCORE", *(" ".join(other) for other in some), " ".join(words)])
        for words, some in zip(said, truth, strict=True)
    ]
    rows = np.array([[float(number) for number in ask(line).split()] for line in lines]).reshape(-1, COUNTS)
    whole = (rows[:, CHUNKS] == 1) & (rows[:, MATCHED] == rows[:, LENGTH]).all(-1)
    rows[whole, CHUNKS] = 0
    return rows


def ask(line: str, answers: int = 1) -> str:
    """The last of the program's answers to a line of its protocol.

    That is `SCORE ||| reference ||| ... ||| text`, with one answer, or `EVAL ||| counts ||| ...`, with one for each
    text and one for all.

    Raises:
        RuntimeError: the program has ended; with what it wrote.
    """
    program = _running()
    try:
        with suppress(BrokenPipeError):
            program.stdin.write(f"{line}\n")
            program.stdin.flush()
        said = [program.stdout.readline() for _ in range(answers)][-1].strip()
        if not said:
            raise RuntimeError(f"METEOR: its program ended: {program.stderr.read().strip()[-500:]}")
    except BaseException:  # interrupted, too: an answer that nobody reads would be taken for the next one
        program.kill()
        _running.cache_clear()
        raise
    return said


@cache
def _running() -> subprocess.Popen:
    """The program, which ends when this process does: there is nothing more to read then."""
    command = ["java", "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", str(_program())]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, "-", "-", "-stdio", "-l", "en", "-norm"], encoding="utf-8", **pipes)


def meteor(counts: Float[np.ndarray, "*corpus 23"]) -> Float[np.ndarray, "*corpus"]:
    """METEOR, 0 to 1, from the sums of `counts`.

    The harmonic mean of the shares of words that are matched in the text and in the reference, the latter counting
    more, less a penalty for matches that are scattered: 0.6 (chunks / matches)^0.2.
    """
    function = counts[..., FUNCTION]
    # Kind of match, content or function, text or reference.
    pairs = counts[..., PAIRS].reshape(*counts.shape[:-1], 4, 2, 2)
    kinds = np.array([DELTA, 1 - DELTA])
    found = np.einsum("...wks,w,k->...s", pairs, WEIGHTS, kinds)
    there = DELTA * (counts[..., LENGTH] - function) + (1 - DELTA) * function
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = np.moveaxis(np.where(there > 0, found / there, 0), -1, 0)
        mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
        scattered = counts[..., CHUNKS] / counts[..., MATCHED].mean(-1)
    return np.where((found > 0).all(-1), mean * (1 - GAMMA * scattered**BETA), 0.0)
