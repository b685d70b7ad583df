"""METEOR: by hand, against its authors' own sums, and what goes wrong where its program is not there."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook import captioning, meteor

java = pytest.mark.skipif(meteor.missing() is not None, reason=f"METEOR {meteor.missing()}")
SAID = ["a man riding a horse", "a cat sleeps", "a red dog sits on the grass", "", "it flies", "a big car by the home"]
TRUTH = [
    ["a man rides a horse", "the man is riding a brown horse"],
    ["a dog"],
    ["a red dog sits on the grass"],
    ["a red dog"],
    ["a red dog"],
    ["the large automobile is near the house", "many automobiles"],
]


def read(texts, references):
    return [captioning.split(text) for text in texts], [[captioning.split(one) for one in some] for some in references]


def row(length, function, pairs, chunks, matched):
    return np.array([*length, *function, *np.ravel(pairs), chunks, *matched], dtype=float)


SAME = row((5, 5), (2, 2), [[(2, 2), (2, 2)], [(1, 1), (0, 0)], np.zeros((2, 2)), np.zeros((2, 2))], 0, (5, 5))
ARTICLE = row((3, 2), (1, 1), [[(0, 0), (1, 1)], *np.zeros((3, 2, 2))], 1, (1, 1))


def test_by_hand():
    """Of one word in five only the stem is the same, and nothing is scattered; and one article of three words."""
    assert meteor.meteor(SAME) == pytest.approx((0.75 * 2.6 + 0.25 * 2) / (0.75 * 3 + 0.25 * 2))
    precision, recall = 0.25 / (0.75 * 2 + 0.25), 0.25 / (0.75 + 0.25)
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    assert meteor.meteor(ARTICLE) == pytest.approx(mean * (1 - 0.6))
    np.testing.assert_allclose(meteor.meteor(np.stack([SAME, ARTICLE])), [meteor.meteor(SAME), meteor.meteor(ARTICLE)])


def test_nothing_in_common_is_zero():
    assert meteor.meteor(np.zeros((3, meteor.COUNTS))).tolist() == [0, 0, 0]
    assert meteor.meteor(row((2, 3), (1, 1), np.zeros((4, 2, 2)), 0, (0, 0))) == 0


def test_scattered_matches_are_worth_less():
    pieces = [row((6, 6), (0, 0), [[(5, 5), (0, 0)], *np.zeros((3, 2, 2))], chunks, (5, 5)) for chunks in range(1, 6)]
    found = meteor.meteor(np.stack(pieces))
    assert (np.diff(found) < 0).all()
    np.testing.assert_allclose(found, 5 / 6 * (1 - 0.6 * (np.arange(1, 6) / 5) ** 0.2))


@java
def test_counts_by_hand():
    found = meteor.counts(*read(SAID[:2], TRUTH[:2]))
    np.testing.assert_array_equal(found, [SAME, ARTICLE])


def said_by_the_program(counts):
    """What its authors' program makes of the counts of some texts: the score of all."""
    rows = (" ".join(str(number) for number in row) for row in counts)
    return float(meteor.ask(" ||| ".join(["EVAL", *rows]), answers=len(counts) + 1))


@java
def test_the_score_is_the_programs():
    counts = meteor.counts(*read(SAID, TRUTH))
    assert meteor.meteor(counts.sum(0)) == pytest.approx(said_by_the_program(counts), abs=1e-12)
    each = [said_by_the_program(one[None]) for one in counts]
    np.testing.assert_allclose(meteor.meteor(counts), each, atol=1e-12)
    assert each[2] == 1
    assert each[3] == each[4] == 0
    assert counts[5, meteor.MATCHED].tolist() == [4, 3]  # of which only "the" is the same word


WORDS = st.lists(st.sampled_from("a man rides riding horse car automobile on the house home".split()), max_size=7)


@java
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(WORDS, st.lists(WORDS.filter(len), min_size=1, max_size=3)), min_size=1, max_size=5))
def test_the_score_of_any_texts_is_the_programs(pairs):
    counts = meteor.counts(*zip(*pairs, strict=True))
    assert meteor.meteor(counts.sum(0)) == pytest.approx(said_by_the_program(counts), abs=1e-12)


@java
def test_among_the_other_scores():
    vectors = {word: np.eye(40)[i] for i, word in enumerate(sorted({w for t in SAID for w in t.split()}))}
    found = captioning.evaluate(SAID, TRUTH, vectors=vectors.get, n_resamples=200)
    assert tuple(found) == captioning.ORDER
    counts = meteor.counts(*read(SAID, TRUTH))
    assert found["METEOR"].value == pytest.approx(meteor.meteor(counts.sum(0)))
    np.testing.assert_allclose(found["METEOR"].images, meteor.meteor(counts))
    low, high = found["METEOR"].interval
    assert 0 < low < found["METEOR"].value < high < 1


@java
def test_a_program_that_ends_is_an_error_and_the_next_call_starts_it_anew():
    before = meteor.counts(*read(SAID, TRUTH))
    meteor._running().kill()
    with pytest.raises(RuntimeError, match="METEOR: its program ended"):
        meteor.counts(*read(SAID, TRUTH))
    np.testing.assert_array_equal(meteor.counts(*read(SAID, TRUTH)), before)


def test_without_java_it_is_left_out(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert meteor.missing() == "needs Java"
    with pytest.raises(RuntimeError, match="METEOR needs Java"):
        meteor.counts([["a"]], [[["a"]]])
    vectors = {"a": np.ones(2)}.get
    assert tuple(captioning.evaluate(["a", "a"], [["a"], ["a"]], vectors=vectors)) == tuple(
        name for name in captioning.ORDER if name != "METEOR"
    )


def test_without_its_program_it_is_left_out(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/java")
    monkeypatch.setattr(meteor, "find_spec", lambda name: None)
    assert "pycocoevalcap" in meteor.missing()
