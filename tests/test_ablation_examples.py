"""Examples of ablation: which phrases, which regions may give them away, and what people call them."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosslook import data as datasets
from crosslook.ablation_examples import batches, cases, examples, images
from crosslook.data.sample import Phrase, Regions, Sample
from crosslook.models import tokens

NO_BOX = np.zeros((0, 4), dtype=np.float32)


def sample(phrases, regions, caption="a man and a red guitar", image="1", **options):
    """`phrases`: (start, end, boxes, types); boxes as lists."""
    made = tuple(
        Phrase(start, end, caption[start:end], types, "7", np.array(boxes, dtype=np.float32).reshape(-1, 4))
        for start, end, boxes, types in phrases
    )
    found = Regions(np.array(regions, dtype=np.float32).reshape(-1, 4), **options)
    return Sample(image, 0, caption, made, found, (frozenset(),) * len(made), 20, 20)


TWO = sample(
    [(0, 5, [[0, 0, 9, 9]], ("people",)), (10, 22, [], ("instruments",))],
    [[0, 0, 9, 4], [0, 0, 19, 19], [12, 12, 19, 19], [0, 0, 9, 8]],
)


def test_a_phrase_without_a_box_is_no_example():
    found = examples([TWO])
    assert [(one.sample, one.phrase, one.type, one.text, one.image_id) for one in found] == [
        (0, 0, "people", "a man", "1")
    ]


def test_of_several_types_the_first_counts():
    vehicle = sample([(0, 5, [[0, 0, 9, 9]], ("vehicles", "scene"))], [[0, 0, 9, 9]])
    assert examples([vehicle])[0].type == "vehicles"


def test_overlaps_by_hand():
    found = cases([TWO], examples([TWO]), tokens.emoji())
    # The phrase's box has 10 x 10 pixels; the first region has its upper half.
    torch.testing.assert_close(found.covered, torch.tensor([[0.5, 1.0, 0.0, 0.9]]))
    torch.testing.assert_close(found.overlap, torch.tensor([[0.5, 0.25, 0.0, 0.9]]))
    assert found.hits(0.5).tolist() == [[False, True, False, True]]  # strictly more than the threshold
    assert found.hits(0.49).tolist() == [[True, True, False, True]]
    assert found.hits(0).tolist() == [[True, True, False, True]]
    assert found.hits(-1).all()
    assert not found.hits(1).any()
    assert found.target().tolist() == [3]  # the highest IoU, not the highest IoT


def test_the_target_is_a_hit_region_even_where_another_overlaps_more():
    # Two boxes: the first region covers the small one, the second has a higher IoU with the large one and covers none.
    one = sample([(0, 5, [[0, 0, 1, 1], [0, 10, 19, 19]], ("people",))], [[0, 0, 3, 3], [0, 10, 8, 19]])
    found = cases([one], examples([one]), tokens.emoji())
    assert found.overlap[0, 1] > found.overlap[0, 0]
    assert found.target().tolist() == [0]
    assert found.target(0.3).tolist() == [1]


def test_there_is_no_target_where_nothing_is_hit():
    one = sample([(0, 5, [[0, 0, 9, 9]], ("people",))], [[15, 15, 19, 19]])
    bare = sample([(0, 5, [[0, 0, 9, 9]], ("people",))], [], image="2")
    found = cases([one, bare], examples([one, bare]), tokens.emoji())
    assert found.target(0).tolist() == [-1, -1]
    assert found.target(-1).tolist() == [0, -1]
    alone = cases([bare], examples([bare]), tokens.emoji())
    assert alone.target(-1).tolist() == [-1]


def test_padding_is_never_hit():
    short = sample([(0, 5, [[0, 0, 9, 9]], ("people",))], [[0, 0, 9, 9]], image="2")
    found = cases([TWO, short], examples([TWO, short]), tokens.emoji())
    assert found.hits(-1).tolist() == [[True] * 4, [True, False, False, False]]


box = st.tuples(*[st.integers(0, 6)] * 4).map(
    lambda c: [min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3])]
)
boxes = st.lists(box, min_size=1, max_size=4)


def pixels(one):
    return set(product(range(one[0], one[2] + 1), range(one[1], one[3] + 1)))


@given(boxes, boxes, st.sampled_from([-1, 0, 0.25, 0.5, 0.9]))
def test_hits_and_target_are_those_of_counted_pixels(gold, regions, threshold):
    one = sample([(0, 5, gold, ("people",))], regions)
    found = cases([one], examples([one]), tokens.emoji())
    shown = [[len(pixels(g) & pixels(r)) for g in gold] for r in regions]
    covered = [max(n / len(pixels(g)) for n, g in zip(row, gold, strict=True)) for row in shown]
    overlap = [max(len(pixels(g) & pixels(r)) / len(pixels(g) | pixels(r)) for g in gold) for r in regions]
    hit = [share > threshold for share in covered]
    assert found.hits(threshold)[0].tolist() == hit
    target = found.target(threshold).item()
    assert (target >= 0) == any(hit)
    if any(hit):
        assert hit[target]
        assert overlap[target] == pytest.approx(max(share for share, yes in zip(overlap, hit, strict=True) if yes))


def test_tokens_of_the_phrase_and_of_the_caption():
    found = cases([TWO], examples([TWO]), tokens.emoji())
    assert found.phrase.tolist() == [[False, True, True, False, False, False, False, False]]
    assert found.words.tolist() == [[False] + [True] * 6 + [False]]  # all but [CLS] and [SEP]


def test_names_without_a_distribution_get_all_of_it_behind_background():
    one = sample(
        [(0, 5, [[0, 0, 9, 9]], ("people",))], [[0, 0, 9, 9]] * 2, labels=("guitar", "man"), classes=("man", "guitar")
    )
    probs = cases([one], examples([one]), tokens.emoji()).batch.class_probs
    assert probs.tolist() == [[[0, 0, 1], [0, 1, 0]]]
    known = replace(one, regions=replace(one.regions, classes=("man", "__background__", "guitar")))
    probs = cases([known], examples([known]), tokens.emoji()).batch.class_probs
    assert probs.tolist() == [[[0, 0, 1], [1, 0, 0]]]
    several = replace(one, regions=replace(one.regions, classes=("man,gentleman", "guitar,lute")))
    probs = cases([several], examples([several]), tokens.emoji()).batch.class_probs
    assert probs.tolist() == [[[0, 0, 1], [0, 1, 0]]]
    other = replace(one, regions=replace(one.regions, classes=("man", "lute")))
    with pytest.raises(ValueError, match="labels: expected names of classes, got guitar"):
        cases([other], examples([other]), tokens.emoji())


def test_a_distribution_stays_as_it_is():
    given_probs = np.array([[0.2, 0.3]], dtype=np.float32)
    one = sample([(0, 5, [[0, 0, 9, 9]], ("people",))], [[0, 0, 9, 9]], class_probs=given_probs)
    probs = cases([one], examples([one]), tokens.emoji()).batch.class_probs
    torch.testing.assert_close(probs[0], torch.tensor(given_probs))


def test_batches_go_through_all_examples_in_order():
    several = [TWO, sample([(0, 5, [[0, 0, 9, 9]], ("people",))], [[0, 0, 9, 9]], image="2")] * 3
    chosen = examples(several)
    parts = list(batches(several, chosen, tokens.emoji(), size=4))
    assert [len(part) for part in parts] == [3, 3]
    assert [one for part in parts for one in part.examples] == chosen
    assert images(chosen).tolist() == [0, 1] * 3
    assert list(batches(several, [], tokens.emoji())) == []


def test_on_another_device_everything_is_there():
    found = cases([TWO], examples([TWO]), tokens.emoji()).to("meta")
    tensors = (found.phrase, found.words, found.covered, found.overlap, found.batch.boxes, found.batch.ids)
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match="chosen: expected at least one example"):
        cases([TWO], [], tokens.emoji())


@pytest.fixture(scope="module")
def emoji():
    return datasets.load("emoji:val", regions="gold")[:100]


def test_works_on_emoji_entities(emoji):
    chosen = examples(emoji)
    assert len(chosen) == sum(len(phrase.boxes) > 0 for one in emoji for phrase in one.phrases) > 100
    found = cases(emoji, chosen[:20], tokens.emoji())
    # A gold region is its phrase's own box, so it is hit, and asked for.
    own = found.batch.links[:, 0]
    assert (found.hits() | ~own).all()
    assert own[torch.arange(20), found.target()].all()


# ---------------------------------------------------------------- the published counts


@pytest.mark.realdata
def test_flickr30k_has_exactly_the_published_examples(shared):
    source = shared / "data" / "flickr30k_entities" / "flickr30k_entities_v1_full.tar.xz"
    chosen = examples(datasets.load(f"flickr30k:{source}:val"))
    published = json.loads((shared / "data" / "frank2021" / "ix2type.json").read_text())
    assert len(chosen) == 14_433
    assert [one.type for one in chosen] == [published[str(i)] for i in range(14_433)]
    assert len(set(images(chosen))) == 1_000
