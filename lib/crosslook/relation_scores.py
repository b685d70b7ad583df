"""How well extracted relations agree with gold: precision, recall and F1 by kind, with intervals over sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from crosslook.relations import KINDS, Part, Relation
from crosslook.significance import bootstrap_ratio

ANY = "any"
"""All relations together, whatever kind they are said to be."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A proportion and its 95% interval over sentences; NaN where nothing was counted."""

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Score:
    """Relations of one kind: how many were found, how many there are, how many of these agree."""

    found: int
    gold: int
    agree: int
    precision: Rate
    recall: Rate
    f1: Rate


def score(
    found: Sequence[Sequence[Relation]], gold: Sequence[Sequence[Relation]], *, rule: str = "relaxed", seed: int = 0
) -> dict[str, Score]:
    """Compare the relations found in each sentence with those it tells.

    Two relations agree when their kinds do and each of their three parts does. A landmark that is not named agrees
    with another that is not named, and with nothing else. As many as possible are matched, each with one at most.

    Args:
        found, gold: one sequence for each sentence; parts count the tokens of the same text.
        rule: how parts agree. `"relaxed"`, as in the shared task: the head of a target or a landmark lies in the other
            one's words, and relations share a word. `"heads"`: the same heads, the same words of a relation. `"words"`:
            the same words throughout.
        seed: of the intervals.

    Returns:
        by kind, and for `"any"`, which takes no notice of kinds.

    Raises:
        ValueError: for another rule, no sentence, or different numbers of them.
    """
    if rule not in RULES:
        raise ValueError(f"rule: expected one of {', '.join(RULES)}, got {rule!r}")
    if not gold or len(found) != len(gold):
        raise ValueError(f"found: expected relations of each of {len(gold)} sentences (at least 1), got {len(found)}")
    agree = RULES[rule]
    scores = {}
    for kind in (*KINDS, ANY):
        rows = []
        for one, other in zip(found, gold, strict=True):
            said, true = ([each for each in some if kind in (each.kind, ANY)] for some in (one, other))
            rows.append((matched(said, true, agree), len(said), len(true)))
        scores[kind] = _score(np.array(rows, dtype=np.float64), seed)
    return scores


Agree = Callable[[Part, Part, bool], bool]


def matched(found: Sequence[Relation], gold: Sequence[Relation], agree: Agree) -> int:
    """The largest number of pairs that agree, no relation being in two of them."""
    if not found or not gold:
        return 0
    from scipy.optimize import linear_sum_assignment

    table = np.array([[_agree(one, other, agree) for other in gold] for one in found])
    return int(table[linear_sum_assignment(table, maximize=True)].sum())


def _agree(one: Relation, other: Relation, agree: Agree) -> bool:
    if one.landmark is None or other.landmark is None:
        landmarks = one.landmark is other.landmark
    else:
        landmarks = agree(one.landmark, other.landmark, False)
    return landmarks and agree(one.target, other.target, False) and agree(one.relation, other.relation, True)


def _relaxed(one: Part, other: Part, relation: bool) -> bool:
    if relation:
        return one.first < other.last and other.first < one.last
    return other.first <= one.head < other.last or one.first <= other.head < one.last


def _heads(one: Part, other: Part, relation: bool) -> bool:
    return _words(one, other, relation) if relation else one.head == other.head


def _words(one: Part, other: Part, relation: bool) -> bool:
    return (one.first, one.last) == (other.first, other.last)


RULES: dict[str, Agree] = {"relaxed": _relaxed, "heads": _heads, "words": _words}


def _score(rows: np.ndarray, seed: int) -> Score:
    """From one row a sentence: how many agree, were found, are gold."""
    agree, found, gold = rows.T
    # F1 is a ratio of sums as well: twice what agrees, to all that was found and all there is.
    top, bottom = np.stack([agree, agree, 2 * agree], 1), np.stack([found, gold, found + gold], 1)
    ends = bootstrap_ratio(top, bottom, seed=seed).T.tolist()
    with np.errstate(invalid="ignore"):
        values = (top.sum(0) / bottom.sum(0)).tolist()
    rates = (Rate(value, (low, high)) for value, (low, high) in zip(values, ends, strict=True))
    return Score(int(found.sum()), int(gold.sum()), int(agree.sum()), *rates)
