"""Paragraphs as samples: one an image, its sentences in a row, with phrases, chains and links like captions'."""

import numpy as np
import pytest

from crosslook import data
from crosslook.data.emoji import dataset, records, trees
from crosslook.data.sample import collate
from crosslook.models import tokens


def _record(**changes):
    things = [
        ["man", None, 1, [[10, 20, 40, 100]]],
        ["dog", "brown", 1, [[50, 60, 80, 90], [90, 60, 120, 90]]],
    ]
    paragraph = [
        "(S (NP#0 (DT this) (NN image)) (VP (VBZ shows) (NP#S (DT a) (NN park))) (. .))",
        "(S (NP#1 (DT a) (NN man)) (VP (VBZ sees) (NP#2 (CD two) (NNS dogs))) (. .))",
        "(S (NP#1+2 (PRP they)) (VP (VBP play)) (. .))",
    ]
    record = {"id": "val-00007", "seed": 7, "setting": "park", "things": things, "relations": []}
    return record | {"captions": ["(S (NP#2+1 (NN everybody)))"], "paragraph": paragraph} | changes


def test_a_record_by_hand():
    (sample,) = dataset.from_records([_record()], "val", "gold", "paragraph")
    assert sample.caption == "This image shows a park . A man sees two dogs . They play ."
    assert (sample.image_id, sample.caption_index) == ("val-00007", 0)
    man, dogs = [[10, 20, 39, 99]], [[50, 60, 79, 89], [90, 60, 119, 89]]
    found = [(phrase.text, phrase.chain, phrase.types, phrase.boxes.tolist()) for phrase in sample.phrases]
    assert found == [
        ("This image", "0", ("notvisual",), []),
        ("a park", "3", ("scene",), []),
        ("A man", "1", ("people",), man),
        ("two dogs", "2", ("animals",), dogs),
        ("They", "4", ("animals", "people"), man + dogs),
    ]
    assert sample.links == (frozenset(), frozenset(), frozenset({0}), frozenset({1, 2}), frozenset({0, 1, 2}))


@pytest.fixture(scope="module")
def val():
    found = records.read("val")[:60]
    return found, dataset.from_records(found, "val", "gold", "paragraph")


def test_sentences_are_those_of_the_record(val):
    """Phrase by phrase, where the sentence begins in the paragraph."""
    found, samples = val
    assert len(samples) == len(found)
    for record, sample in zip(found, samples, strict=True):
        expected, start = [], 0
        for line in record["paragraph"]:
            tree = trees.parse(line)
            sentence = trees.text(tree)
            assert sample.caption[start : start + len(sentence)] == sentence
            expected += [(start + first, start + last, mark) for first, last, mark in trees.phrases(tree)]
            start += len(sentence) + 1
        assert start == len(sample.caption) + 1
        assert [(phrase.start, phrase.end) for phrase in sample.phrases] == [mark[:2] for mark in expected]
        for phrase, linked, (first, last, mark) in zip(sample.phrases, sample.links, expected, strict=True):
            assert phrase.text == sample.caption[first:last]
            named = [record["things"][k] for k in trees.referents(mark)]
            boxes = {(x1, y1, x2 - 1, y2 - 1) for thing in named for x1, y1, x2, y2 in thing[3]}
            assert {tuple(box) for box in phrase.boxes.tolist()} == boxes
            assert {tuple(box) for box in sample.regions.boxes[sorted(linked)].tolist()} == boxes


def test_a_thing_is_one_chain_in_all_sentences(val):
    again = 0
    for sample in val[1]:
        chains = {}
        for phrase in sample.phrases:
            assert np.array_equal(chains.setdefault(phrase.chain, phrase.boxes), phrase.boxes)
        again += len(chains) < len(sample.phrases)
    assert again > 30  # "a guitar ... it"


def test_single_things_have_the_chains_that_captions_give_them(val):
    """Chains of groups are numbered as they come up; those of things and of the setting are the scene's."""
    captions = dataset.from_records(val[0], "val", "gold")
    chains = {}
    for sample in captions:
        for phrase in sample.phrases:
            chains.setdefault((sample.image_id, phrase.boxes.tobytes(), phrase.types), set()).add(phrase.chain)
    compared = 0
    for record, sample in zip(val[0], val[1], strict=True):
        for phrase in sample.phrases:
            known = chains.get((sample.image_id, phrase.boxes.tobytes(), phrase.types))
            if known and phrase.chain.isdigit() and int(phrase.chain) <= len(record["things"]) + 1:
                assert phrase.chain in known
                compared += 1
    assert compared > 100


def test_by_name():
    whole = data.load("emoji:val", text="paragraph")
    assert len(whole) == len(whole.image_ids) == 500
    sample = whole[3]
    assert sample.regions.features.shape == (36, 128)
    assert sample.image.size == (320, 240)
    assert any(sample.links)
    batch = collate([sample], tokens.emoji())
    assert tokens.UNK not in batch.ids
    for row, phrase in zip(batch.phrase_tokens[0], sample.phrases, strict=True):
        assert tokens.emoji().decode(batch.ids[0][row]) == " ".join(word for word, _ in tokens.pieces(phrase.text))


def test_other_texts_are_an_error():
    with pytest.raises(ValueError, match="text: expected one of captions, paragraph, got 'sentences'"):
        data.load("emoji:val", text="sentences")


def test_a_wrong_record_is_named():
    paragraph = ["(S (NP#1 (NN x)))", "(S (NP#9 (NN x)))"]
    with pytest.raises(ValueError, match="scene 'val-00007': sentence 2: expected one of 2 things, got #9"):
        dataset.from_records([_record(paragraph=paragraph)], "val", "gold", "paragraph")
    # Only what is asked for is read.
    assert len(dataset.from_records([_record(paragraph=paragraph)], "val", "gold")) == 1
