"""Objects of pictures: hand-made ones, and those of the drawn scenes against what was drawn."""

from dataclasses import replace

import numpy as np
import pytest

from crosslook import structure_objects as so
from crosslook.data.emoji import dataset, records
from crosslook.data.emoji.world import categories
from crosslook.data.sample import Phrase, Regions, Sample


def phrase(start, text, kind, *boxes):
    rows = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    return Phrase(start, start + len(text), text, (kind,), "1", rows)


MAN, HAT, DOG = (0, 0, 49, 99), (10, 0, 29, 19), (60, 50, 89, 89)


def scene(labels=("man", "background", "hat", "dog_breed", "dog", "background")):
    boxes = np.array([MAN, (2, 2, 49, 99), HAT, DOG, (62, 50, 89, 89), (0, 90, 99, 99)], dtype=np.float32)
    features = np.arange(12, dtype=np.float32).reshape(6, 2)
    regions = Regions(boxes, labels=labels, features=features)
    text = "a man with a hat"
    phrases = (phrase(0, "a man", "people", MAN), phrase(11, "a hat", "clothing", HAT))
    return Sample("1", 0, text, phrases, regions, (frozenset({0}), frozenset({2})), 100, 100)


def other():
    """Another text about the same picture."""
    phrases = (phrase(0, "two of them", "notvisual", MAN, DOG), phrase(16, "the dog", "animals", DOG))
    return replace(scene(), caption="two of them and the dog", phrases=phrases, links=(frozenset(), frozenset()))


def test_objects_by_hand():
    found = so.find(scene(), [other()])
    assert found.types == ("people", "clothing", "animals")  # the phrase about the dog alone says what it is
    assert found.names == ("man", "hat", "dog breed")  # of two names once each, the first; never the background
    np.testing.assert_array_equal(found.regions, np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]]))
    np.testing.assert_allclose(found.features, [[1, 2], [4, 5], [7, 8]])
    assert so.mentioned(scene(), found).tolist() == [True, True, False]
    assert so.mentioned(other(), found).tolist() == [True, False, True]
    assert len(so.find(scene())) == 2


def test_without_labels_or_features_or_regions():
    bare = replace(scene(), regions=Regions(scene().regions.boxes))
    found = so.find(bare)
    assert found.names == ("a man", "a hat")
    assert found.features is None
    unseen = replace(scene(), regions=Regions(np.array([(90, 0, 99, 9)], dtype=np.float32)))
    nothing = so.find(unseen)
    assert len(nothing) == 0
    assert nothing.regions.shape == (0, 1)
    assert so.parts(nothing).shape == (0, 0)
    assert so.mentioned(scene(), nothing).shape == (0,)
    with pytest.raises(ValueError, match="descriptions: expected texts about 1, got one about 2"):
        so.find(scene(), [replace(scene(), image_id="2")])


def test_a_region_shows_the_object_that_it_overlaps_most():
    boxes = np.array([(0, 0, 9, 9), (0, 0, 9, 8)], dtype=np.float32)
    shown = so.shows(boxes, boxes)
    np.testing.assert_array_equal(shown, np.eye(2, dtype=bool))


@pytest.fixture(scope="module")
def scenes():
    return dataset.from_records(records.read("val")[:60], "val", "gold")


def test_what_was_drawn_is_found(scenes):
    """With gold regions, every object is one of the scene's things, of its type, and shown by its own box."""
    for number, record in enumerate(records.read("val")[:20]):
        texts = scenes[5 * number : 5 * number + 5]
        drawn = {
            (x1, y1, x2 - 1, y2 - 1): categories()[thing[0]].type
            for thing in record["things"]
            for x1, y1, x2, y2 in thing[3]
        }
        found = so.find(texts[0], list(texts))
        assert len(found) > 0
        assert [drawn[tuple(box)] for box in found.boxes.tolist()] == list(found.types)
        for box, row in zip(found.boxes, found.regions, strict=True):
            assert any((texts[0].regions.boxes[region] == box).all() for region in np.flatnonzero(row))


def test_parts_are_those_of_who_wears_or_has_them(scenes):
    """Boxes alone, against the drawn relations."""
    right = total = 0
    for number, record in enumerate(records.read("val")[:60]):
        found = so.find(scenes[5 * number], list(scenes[5 * number : 5 * number + 5]))
        place = {
            tuple(box): index
            for index, thing in enumerate(record["things"])
            for box in [(x1, y1, x2 - 1, y2 - 1) for x1, y1, x2, y2 in thing[3]]
        }
        where = [place[tuple(box)] for box in found.boxes.tolist()]
        drawn = {(relation[2], relation[0]) for relation in record["relations"]}
        for part, whole in np.argwhere(so.parts(found)):
            total += 1
            right += (where[part], where[whole]) in drawn
    assert total > 50
    assert right / total > 0.9


def test_parts_by_hand():
    found = so.parts(so.find(scene(), [other()]))
    assert np.argwhere(found).tolist() == [[1, 0]]
    # A hat that is only half inside of the man lies beside him.
    aside = (40, 0, 59, 19)
    beside = replace(scene(), phrases=(scene().phrases[0], phrase(11, "a hat", "clothing", aside)))
    seen = replace(beside, regions=Regions(np.array([MAN, aside], dtype=np.float32)))
    assert not so.parts(so.find(seen)).any()
    # Of two people around a hat the smaller one wears it.
    big = (0, 0, 99, 99)
    crowd = replace(scene(), phrases=(*scene().phrases, phrase(0, "all", "people", big)))
    wide = replace(crowd, regions=Regions(np.array([MAN, HAT, big], dtype=np.float32)))
    assert np.argwhere(so.parts(so.find(wide))).tolist() == [[1, 0]]


def test_related():
    same, across = so.related(("people", "other", "people", "other", "animals"))
    assert np.argwhere(same).tolist() == [[0, 2], [2, 0]]
    assert not across[1, 3]
    assert across[0, 1]
    assert across.sum() == 16
    same, across = so.related(np.zeros(3, dtype=np.int64))  # a single cluster
    assert same.sum() == 6
    assert not across.any()


def test_clusters_are_found_and_dealt_out():
    random = np.random.default_rng(0)
    centres = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    truth = [random.integers(0, 3, n) for n in (4, 1, 6, 5)]
    # Lengths differ, directions do not.
    features = [
        centres[each] * random.uniform(1, 9, (len(each), 1)) + 0.01 * random.random((len(each), 3)) for each in truth
    ]
    found = so.clusters(features, 3)
    assert [len(each) for each in found] == [4, 1, 6, 5]
    every, known = np.concatenate(found), np.concatenate(truth)
    for label in range(3):
        assert len(set(every[known == label])) == 1
    assert len(set(every)) == 3
    assert {int(label) for each in so.clusters(features, 1) for label in each} == {0}
    assert len(set(np.concatenate(so.clusters([np.ones((3, 2))], 5)))) == 1  # no more clusters than different objects
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        so.clusters(features, 0)
    dealt = so.shuffled(truth, seed=1)
    assert all(sorted(a) == sorted(b) for a, b in zip(dealt, truth, strict=True))
    assert any((a != b).any() for a, b in zip(dealt, truth, strict=True))
    for a, b in zip(dealt, so.shuffled(truth, seed=1), strict=True):
        np.testing.assert_array_equal(a, b)


def test_similarity_of_names_and_features():
    first, second, none = so.similarities([["dog", "puppy", "hammer"], ["dog"], []])
    np.testing.assert_allclose(np.diag(first), 1, atol=1e-5)
    np.testing.assert_allclose(first, first.T)
    assert first[0, 1] > first[0, 2] + 0.2
    np.testing.assert_allclose(second, [[1]], atol=1e-5)
    assert none.shape == (0, 0)
    np.testing.assert_allclose(
        so.cosines(np.array([[3.0, 0], [1, 1], [0, 0]])), [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 0]]
    )


def test_the_most_similar_quarter():
    values = np.random.default_rng(0).random((5, 5))
    values = values + values.T
    chosen = so.top_quarter(values)
    pairs = values[~np.eye(5, dtype=bool)]
    assert chosen.sum() == 6  # five of twenty, and the mirror of the fifth
    assert values[chosen].min() >= np.sort(pairs)[-6]
    assert so.top_quarter(np.ones((3, 3))).sum() == 6
    assert so.top_quarter(np.ones((1, 1))).sum() == 0


def test_other_descriptions_of_the_same_picture():
    objects = so.find(scene(), [other()])
    assert so.rivals([scene(), scene(), other()], objects) == (0, 2)
    assert so.rivals([scene(), scene()], objects) is None
    assert so.rivals([], objects) is None
    again = replace(scene(), caption="the man has a hat")
    assert so.alike([scene(), other(), again], objects) == (0, 2)
    assert so.alike([scene(), scene(), other()], objects) is None  # in the same words


def test_a_picture_under_another_text():
    told = so.under(scene(), other())
    assert told.caption == other().caption
    assert told.regions is not None
    np.testing.assert_array_equal(told.regions.boxes, scene().regions.boxes)
    assert told.links == (frozenset({0, 1, 3, 4}), frozenset({3, 4}))
    foreign = so.under(scene(), replace(other(), image_id="2"))
    assert foreign.image_id == "1"
    assert foreign.links == (frozenset(), frozenset())
    few = so.only(scene(), [1])
    assert [each.text for each in few.phrases] == ["a hat"]
    assert few.links == (frozenset({2}),)
