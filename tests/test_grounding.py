"""The sets of the grounding paper, by hand on a caption whose parse is plain."""

import numpy as np
import pytest
import torch

from crosslook import grounding
from crosslook.data.sample import Phrase, Regions, Sample, collate
from crosslook.models.tokens import SPECIAL, Words
from crosslook.relations import extract
from crosslook.text import parse

CAPTION = "a small dog is sitting on the red chair ."
words = Words([*SPECIAL, *dict.fromkeys([*CAPTION.split(), "cat", "two"])])
OTHER = "two cat ."


def phrase(caption: str, text: str) -> Phrase:
    start = caption.index(text)
    return Phrase(start, start + len(text), text, ("other",), "1", np.zeros((0, 4), dtype=np.float32))


@pytest.fixture(scope="module")
def samples():
    regions = Regions(np.array([[0, 0, 9, 9], [5, 5, 20, 20], [1, 1, 3, 3]], dtype=np.float32))
    said = (phrase(CAPTION, "a small dog"), phrase(CAPTION, "the red chair"), phrase(CAPTION, "dog"))
    links = (frozenset({0}), frozenset({1, 2}), frozenset({2}))
    first = Sample("1", 0, CAPTION, said, regions, links, 30, 30)
    other = Sample("2", 0, OTHER, (phrase(OTHER, "two cat"),), regions, (frozenset({1}),), 30, 30)
    return [first, other]


@pytest.fixture(scope="module")
def batch(samples):
    return collate(samples, words)


@pytest.fixture(scope="module")
def parses():
    return dict(zip((CAPTION, OTHER), parse([CAPTION, OTHER], pretokenized=True), strict=True))


def said(row: torch.Tensor) -> list[int]:
    return torch.nonzero(row).flatten().tolist()


#            0     1 2     3   4  5       6  7   8   9     10 11
# Tokens:    [CLS] a small dog is sitting on the red chair .  [SEP]
def test_phrases(batch):
    read, written = (grounding.phrases(batch, written=flag) for flag in (False, True))
    assert [said(row) for row in read.queries[0]] == [[1, 2, 3], [7, 8, 9], [3]]
    assert [said(row) for row in written.queries[0]] == [[0, 1, 2], [6, 7, 8], [2]]
    assert [said(row) for row in read.keys[0]] == [[0], [1, 2], [2]]
    assert said(read.queries[1, 0]) == [1, 2]


def test_parts_of_speech(batch, parses):
    found = grounding.parts_of_speech(batch, parses, grounding.OBJECT_WORDS, words, written=True)
    assert said(found.keys[0, 0]) == [1, 2, 3, 7, 8, 9]
    assert said(found.queries[0, 0]) == list(range(10))  # all words and the full stop, one place earlier
    assert said(found.queries[1, 0]) == [0, 1, 2]
    found = grounding.parts_of_speech(batch, parses, grounding.RELATION_WORDS, words, written=False)
    assert said(found.keys[0, 0]) == [5, 6]
    assert said(found.queries[0, 0]) == list(range(1, 11))


def test_relations_in_text(batch, parses):
    relations = {caption: extract(found) for caption, found in parses.items()}
    assert [(r.target.text, r.relation.text, r.landmark.text) for r in relations[CAPTION]] == [
        ("a small dog", "on", "the red chair")
    ]
    found = grounding.relations_in_text(batch, relations, words, written=False)
    assert tuple(found) == grounding.TEXT_MAPS
    sides = {name: (said(one.queries[0, 0]), said(one.keys[0, 0])) for name, one in found.items()}
    target, land = [1, 2, 3], [7, 8, 9]
    assert sides == {
        "rel → target": ([6], target),
        "land → rel": (land, [6]),
        "land → target": (land, target),
        "land → target + rel": (land, [*target, 6]),
    }
    assert not found["rel → target"].queries[1].any()
    written = grounding.relations_in_text(batch, relations, words, written=True)
    assert said(written["rel → target"].queries[0, 0]) == [5]
    assert said(written["rel → target"].keys[0, 0]) == target


def test_relations_in_image(batch, samples, parses):
    relations = {caption: extract(found) for caption, found in parses.items()}
    by_caption = {sample.caption: sample for sample in samples}
    found = grounding.relations_in_image(batch, relations, by_caption, words, written=False)
    assert tuple(found) == grounding.IMAGE_MAPS
    sides = {name: (said(one.queries[0, 0]), said(one.keys[0, 0])) for name, one in found.items()}
    # Of the two phrases that end with "dog" the longer one.
    assert sides == {
        "rel → target": ([6], [0]),
        "rel → land": ([6], [1, 2]),
        "land → target": ([7, 8, 9], [0]),
        "target → land": ([1, 2, 3], [1, 2]),
    }
    assert not any(one.keys[1].any() for one in found.values())


def test_a_part_without_a_phrase_has_no_object(batch, samples, parses):
    from dataclasses import replace

    relations = {caption: extract(found) for caption, found in parses.items()}
    bare = {sample.caption: replace(sample, phrases=(), links=()) for sample in samples}
    found = grounding.relations_in_image(batch, relations, bare, words, written=True)
    assert not any(one.keys.any() for one in found.values())


def test_by_type(batch, samples):
    from dataclasses import replace

    typed = [
        replace(
            samples[0], phrases=tuple(replace(p, types=(t,)) for p, t in zip(samples[0].phrases, "aba", strict=True))
        ),
        samples[1],
    ]
    by_caption = {sample.caption: sample for sample in typed}
    found = grounding.by_type(batch, by_caption, ["a", "b", "other"], written=False)
    assert [[said(row) for row in one.queries[0]] for one in found.values()] == [
        [[1, 2, 3], [], [3]],
        [[], [7, 8, 9], []],
        [[], [], []],
    ]
    assert said(found["other"].queries[1, 0]) == [1, 2]


def test_tags_are_dealt_out_anew(parses):
    parse_ = parses[CAPTION]
    found = grounding.dealt(parse_, 1)
    assert sorted(t.upos for t in found.tokens) == sorted(t.upos for t in parse_.tokens)
    assert [t.upos for t in found.tokens] != [t.upos for t in parse_.tokens]
    assert [(t.text, t.start) for t in found.tokens] == [(t.text, t.start) for t in parse_.tokens]
    assert grounding.dealt(parse_, 1) == found
    assert grounding.dealt(parse_, 2) != found


def test_retold(samples):
    (parsed,) = parse(["two cat near a red chair in the background"], pretokenized=True)
    found = grounding.retold(samples[0], parsed, ["red chair", "cat", "tree"])
    named = dict(zip((phrase.text for phrase in found.phrases), found.links, strict=True))
    assert "the background" not in named
    assert named["a red chair"] == {0}
    assert all(found.caption[p.start : p.end] == p.text for p in found.phrases)
    assert found.regions is samples[0].regions
