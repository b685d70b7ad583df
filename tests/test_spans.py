"""Tokens in spans: against a loop over characters."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosslook.models.tokens import SPECIAL, Words
from crosslook.spans import generated, tokens_in

words = Words([*SPECIAL, "a", "dog", "on", "grass", "."])
CAPTION = "A dog on grass."


def test_by_hand():
    found = tokens_in([CAPTION, "a dog"], [[(0, 5), (6, 8)], [(2, 5)]], words)
    #                [CLS] a dog on grass . [SEP]
    assert found[0].int().tolist() == [[0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0]]
    assert found[1].int().tolist() == [[0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)).map(sorted).map(tuple), max_size=4))
def test_against_characters(spans):
    found = tokens_in([CAPTION], [spans], words)
    _, edges = words(CAPTION)
    assert found.shape == (1, len(spans), len(edges))
    for row, (start, end) in zip(found[0], spans, strict=True):
        expected = [bool(set(range(start, end)) & set(range(*edge))) for edge in edges]
        assert row.tolist() == expected


def test_what_is_written_is_one_before():
    tokens = tokens_in([CAPTION], [[(2, 5), (0, 1)]], words)
    assert generated(tokens)[0].int().argmax(1).tolist() == [1, 0]
    assert generated(tokens).sum() == tokens.sum()
    first = torch.tensor([[[True, False, False]]])
    assert not generated(first).any()  # nothing comes before the first


def test_errors():
    with pytest.raises(ValueError, match="spans: expected one list for each of 2"):
        tokens_in(["a", "b"], [[]], words)
    with pytest.raises(ValueError, match=r"spans: expected 0 <= start <= end <= 1, got \(0, 2\)"):
        tokens_in(["a"], [[(0, 2)]], words)
    assert tokens_in([], [], words).shape == (0, 0, 0)
