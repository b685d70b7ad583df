"""Counts of texts by hand, and over batches as over single texts."""

from collections import Counter
from math import isnan

import pytest

from crosslook import text_statistics
from crosslook.text_statistics import OBJECTS, statistics

TEXTS = [
    "A man with a guitar is on the left.",
    "There is a big lamp above the table. It is red.",
    "The lamp is in the background.",
    "",
]


def test_by_hand():
    found = statistics(TEXTS)
    assert found.texts == 4
    # A man; A man with a guitar; a guitar; the left / a big lamp, and with above the table; the table; It / two.
    assert found.phrases == Counter({0: 8, 1: 2})
    assert found.ignored == Counter({"the left": 1, "it": 1, "the background": 1})
    assert found.heads == Counter({"lamp": 2, "man": 1, "guitar": 1, "table": 1})
    assert found.relations == Counter({"direction": 2, "region": 1})
    assert found.parts.total() == 10 + (9 + 4) + 7
    assert (found.parts["NOUN"], found.parts["ADP"], found.parts["PUNCT"]) == (7, 4, 4)
    assert found.share(["NOUN", "ADP"]) == pytest.approx(11 / 30)
    assert found.share(OBJECTS) == pytest.approx(sum(found.parts[part] for part in ("DET", "ADJ", "NOUN")) / 30)


def test_batches_make_no_difference(monkeypatch):
    once = statistics(TEXTS)
    monkeypatch.setattr(text_statistics, "BATCH", 3)
    assert statistics(TEXTS) == once
    monkeypatch.setattr(text_statistics, "BATCH", 1)
    assert statistics(TEXTS) == once


def test_nothing_to_count():
    found = statistics([])
    assert found.texts == 0
    assert not found.parts
    assert isnan(found.share(OBJECTS))


def test_bad_input():
    with pytest.raises(ValueError, match="texts: expected a sequence of texts, got one text 'a dog'"):
        statistics("a dog")
