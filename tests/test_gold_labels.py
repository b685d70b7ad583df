"""Names by people, by hand; and those of the published study, from its own lists."""

import json

import numpy as np
import pytest

from crosslook import data as datasets
from crosslook import gold_labels
from crosslook.ablation_examples import examples
from crosslook.data import bottom_up


@pytest.fixture(scope="module")
def emoji():
    return datasets.load("emoji:val", regions="gold")[:100]


def test_nouns_of_phrases_as_tagged_in_their_captions(emoji):
    chosen = examples(emoji)[:60]
    found = dict(zip((one.text.lower() for one in chosen), gold_labels.nouns(emoji, chosen), strict=True))
    for text, nouns in found.items():
        assert set(nouns) <= set(text.split())
    simple = {text: nouns for text, nouns in found.items() if text in ("a man", "a woman", "a boy", "a girl", "a dog")}
    assert simple
    assert all(nouns == (text.split()[1],) for text, nouns in simple.items())


def test_label_match_by_hand():
    classes = ("background", "man", "stop sign,stopsign", "old_man", "racket,bat", "bat")
    found = [["Man"], ["stop", "sign"], ["stopsign"], ["old", "man"], ["man", "hat"], [], ["bat"], ["racket"]]
    assert gold_labels.label_match(found, classes) == [1, 2, 2, 3, None, None, None, 4]


def test_types_of_classes_by_majority():
    labels, types = [0, 0, 0, 2, None], ["people", "scene", "people", "animals", "other"]
    assert gold_labels.class_types(labels, types, 4) == ["people", "other", "animals", "other"]
    with pytest.raises(ValueError, match="types: expected 5"):
        gold_labels.class_types(labels, types[:2], 4)


def test_confusion_by_hand():
    types = ["people", "people", "animals", "other"]
    found = gold_labels.confusion([0, 0, 1, 2, 2], [0, 1, 2, 2, 0], types, ["people", "animals", "other"])
    # People are said three times: rightly, within the type, and of an animal.
    np.testing.assert_allclose(found, [[1 / 3, 1 / 2, np.nan], [1 / 3, 0, np.nan], [0, 0, np.nan]])
    with pytest.raises(ValueError, match="said: expected 1"):
        gold_labels.confusion([0], [0, 1], types, ["people"])


@pytest.mark.realdata
def test_label_match_is_exactly_the_published_one(shared):
    folder = shared / "data" / "frank2021"
    nouns, published = (json.loads((folder / f"{name}.json").read_text()) for name in ("nouns", "ix2label"))
    found = gold_labels.label_match(nouns, bottom_up.vocabulary(folder / "objects_vocab.txt"))
    assert sum(label is not None for label in found) == 10_159
    assert {str(i): label for i, label in enumerate(found) if label is not None} == published
