"""Scores of relations worked by hand, matched by brute force, and on nothing at all."""

from itertools import permutations
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook.relation_scores import RULES, matched, score
from crosslook.relations import KINDS, Part, Relation


def part(first, last, head=None):
    """Tokens of a text of one-letter words."""
    return Part(
        2 * first, 2 * last - 1, first, last, last - 1 if head is None else head, " ".join("x" * (last - first))
    )


def relation(target, said, landmark, kind="region"):
    return Relation(part(*target), part(*said), landmark and part(*landmark), kind)


CUP = relation((0, 2), (2, 3), (3, 5))  # a cup on the table
HEADS = relation((1, 2), (2, 3), (4, 5))  # the same by heads


@pytest.mark.parametrize(
    ("found", "gold", "agree"),
    [
        (CUP, CUP, {"relaxed", "heads", "words"}),
        (CUP, HEADS, {"relaxed", "heads"}),
        (relation((0, 2), (2, 4), (4, 6)), relation((0, 2), (3, 4), (4, 6)), {"relaxed"}),  # in front of / of
        (relation((0, 3), (3, 4), (4, 6)), relation((1, 2), (3, 4), (4, 6)), {"relaxed"}),  # another head in its words
        (relation((0, 2), (2, 3), None), relation((0, 2), (2, 3), None), {"relaxed", "heads", "words"}),
        (relation((0, 2), (2, 3), None), CUP, set()),
        (CUP, relation((0, 2), (2, 3), None), set()),
        (CUP, relation((0, 2), (3, 4), (3, 5)), set()),  # other words between them
        (CUP, relation((0, 1), (2, 3), (3, 4)), {"relaxed"}),
        (CUP, relation((3, 5), (2, 3), (0, 2)), set()),  # turned round
    ],
)
def test_rules_by_hand(found, gold, agree):
    for rule in RULES:
        assert score([[found]], [[gold]], rule=rule)["region"].agree == (rule in agree)
        assert score([[gold]], [[found]], rule=rule)["region"].agree == (rule in agree)


def test_scores_by_hand():
    """Three sentences: one of two found; one found as another kind; one with nothing in it, where one is found."""
    other = relation((6, 7), (7, 8), (8, 9))
    left = relation((0, 1), (1, 2), None, "direction")
    wrong = relation((0, 1), (1, 2), None, "region")
    scores = score([[CUP], [wrong], [CUP]], [[HEADS, other], [left], []])
    region, direction, distance, everything = (scores[kind] for kind in (*KINDS, "any"))
    assert (region.found, region.gold, region.agree) == (3, 2, 1)
    assert region.precision.value == pytest.approx(1 / 3)
    assert region.recall.value == pytest.approx(1 / 2)
    assert region.f1.value == pytest.approx(2 / 5)
    assert (direction.found, direction.gold, direction.agree) == (0, 1, 0)
    assert isnan(direction.precision.value)
    assert isnan(direction.precision.interval[0])
    assert direction.recall.value == direction.f1.value == 0
    assert isnan(distance.f1.value)
    # Kinds aside, the second sentence's relation is right.
    assert (everything.found, everything.gold, everything.agree) == (3, 3, 2)
    assert everything.f1.value == pytest.approx(2 / 3)


def test_intervals_are_over_sentences():
    """What is resampled are sentences: with one they cannot vary; with many they do as sums of binomials would."""
    one = score([[CUP]], [[CUP, relation((6, 7), (7, 8), (8, 9))]])["region"].recall
    assert one.interval == (0.5, 0.5)
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.7
    rate = score([[CUP] if each else [] for each in right], [[CUP]] * 400)["region"].recall
    spread = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert rate.interval == pytest.approx((right.mean() - spread, right.mean() + spread), abs=0.01)
    assert rate.interval == score([[CUP] if each else [] for each in right], [[CUP]] * 400)["region"].recall.interval


RELATION = st.builds(
    lambda starts, widths, absent: relation(
        *((start, start + width) for start, width in zip(starts[:2], widths, strict=False)),
        None if absent else (starts[2], starts[2] + widths[2]),
    ),
    st.tuples(*[st.integers(0, 3)] * 3),
    st.tuples(*[st.integers(1, 2)] * 3),
    st.booleans(),
)


@given(st.lists(RELATION, max_size=4), st.lists(RELATION, max_size=4), st.sampled_from(list(RULES)))
def test_matching_is_the_best_there_is(found, gold, rule):
    def agree(a, b):
        return matched([a], [b], RULES[rule]) == 1

    few, many = sorted([found, gold], key=len)
    best = max(sum(agree(a, b) for a, b in zip(few, order, strict=False)) for order in permutations(many))
    assert matched(found, gold, RULES[rule]) == matched(gold, found, RULES[rule]) == best
    # Each rule is stricter than the one before it.
    numbers = [matched(found, gold, each) for each in RULES.values()]
    assert numbers == sorted(numbers, reverse=True)
    assert matched(found, found, RULES[rule]) == len(found)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.lists(RELATION, max_size=3), st.lists(RELATION, max_size=3)), min_size=1, max_size=3))
def test_precision_and_recall_change_places(sentences):
    found, gold = zip(*sentences, strict=True)
    one, other = score(found, gold)["any"], score(gold, found)["any"]
    assert np.array_equal(one.precision.value, other.recall.value, equal_nan=True)
    assert np.array_equal(one.recall.interval, other.precision.interval, equal_nan=True)
    p, r, f = one.precision.value, one.recall.value, one.f1.value
    if one.agree:
        assert f == pytest.approx(2 * p * r / (p + r))


def test_bad_input():
    with pytest.raises(ValueError, match="rule: expected one of relaxed, heads, words, got 'strict'"):
        score([[]], [[]], rule="strict")
    with pytest.raises(ValueError, match=r"found: expected relations of each of 2 sentences \(at least 1\), got 1"):
        score([[]], [[], []])
    with pytest.raises(ValueError, match=r"of 0 sentences \(at least 1\), got 0"):
        score([], [])
