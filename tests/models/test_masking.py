"""What is hidden: at least something, never what has no meaning, whole phrases, and regions with their neighbours."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook.data.sample import Batch
from crosslook.models import masking
from crosslook.models.tokens import CLS, MASK, PAD, SEP

VOCAB = 30


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@st.composite
def fields(draw, fewest=0):
    """Of a batch: captions of some words with some phrases, images with some regions; any of them may have none."""
    n = draw(st.integers(1, 4))
    rows = [draw(st.integers(fewest, 7)) for _ in range(n)]
    longest = max(rows) + 2 + draw(st.integers(0, 1))
    ids = torch.full((n, longest), PAD)
    phrases = draw(st.integers(0, 3))
    inside = torch.zeros(n, phrases, longest, dtype=torch.bool)
    for b, words in enumerate(rows):
        chosen = draw(st.lists(st.integers(5, VOCAB - 1) | st.just(1), min_size=words, max_size=words))
        ids[b, : words + 2] = torch.tensor([CLS, *chosen, SEP])
        for p in range(phrases if words else 0):
            start = draw(st.integers(1, words))
            inside[b, p, start : draw(st.integers(start, words)) + 1] = True
    regions = [draw(st.integers(0, 6)) for _ in range(n)]
    most = max(max(regions), 1)
    boxes = torch.zeros(n, most, 4)
    for b, count in enumerate(regions):
        for r in range(count):
            x, y, w, h = (draw(st.integers(0, 12)) for _ in range(4))
            boxes[b, r] = torch.tensor([x, y, x + w, y + h])
    return {
        "image_ids": ("i",) * n,
        "captions": ("c",) * n,
        "boxes": boxes,
        "region_mask": torch.arange(most) < torch.tensor(regions)[:, None],
        "sizes": torch.full((n, 2), 30.0),
        "links": torch.zeros(n, phrases, most, dtype=torch.bool),
        "phrase_mask": inside.any(-1),
        "ids": ids,
        "text_mask": ids != PAD,
        "phrase_tokens": inside,
    }


def real_words(batch, b):
    return {t for t, i in enumerate(batch.ids[b].tolist()) if i not in (PAD, CLS, SEP)}


def phrase_sets(batch, b):
    return [set(row.nonzero().flatten().tolist()) for row in batch.phrase_tokens[b] if row.any()]


def unions(sets):
    """Every union of some of them."""
    return [set().union(*some) for n in range(1, len(sets) + 1) for some in combinations(sets, n)]


@settings(max_examples=80)
@given(fields(), st.integers(0, 2**31))
def test_words_that_are_hidden(made, seed):
    batch = Batch(**made)
    ids, hidden = masking.words(batch, seeded(seed), VOCAB)
    assert ids.shape == hidden.shape == batch.ids.shape
    assert torch.equal(ids[~hidden], batch.ids[~hidden])
    for b in range(len(batch)):
        gone = set(hidden[b].nonzero().flatten().tolist())
        assert gone <= real_words(batch, b)  # special tokens and padding never
        assert bool(gone) == bool(real_words(batch, b))  # at least one
        if gone not in unions(phrase_sets(batch, b)):
            # Single words: [MASK], another word, or itself; never a special token but [MASK].
            assert all(i == MASK or i >= 5 or i == batch.ids[b, t] for t, i in enumerate(ids[b].tolist()) if t in gone)


@given(fields(fewest=1), st.integers(0, 2**31))
def test_phrases_are_hidden_whole_with_masks(made, seed):
    """With every caption losing phrases where it has any, whatever is hidden is some phrases."""
    batch = Batch(**made)
    before, masking.WHOLE = masking.WHOLE, 1.1
    try:
        ids, hidden = masking.words(batch, seeded(seed), VOCAB)
    finally:
        masking.WHOLE = before
    for b in range(len(batch)):
        phrases = phrase_sets(batch, b)
        if phrases:
            gone = hidden[b].nonzero().flatten().tolist()
            assert set(gone) in unions(phrases)
            assert (ids[b, gone] == MASK).all()


@given(fields(), st.integers(0, 2**31))
def test_one_phrase_is_one_of_the_captions(made, seed):
    batch = Batch(**made)
    found = masking.one_phrase(batch, seeded(seed))
    assert found.shape == batch.ids.shape
    for b in range(len(batch)):
        chosen = set(found[b].nonzero().flatten().tolist())
        assert chosen in phrase_sets(batch, b) if phrase_sets(batch, b) else not chosen


def test_half_of_the_phrases_and_at_least_one():
    """Of three phrases one is drawn for certain and each of the others with chance a half: two of them on average."""
    inside = torch.eye(6, dtype=torch.bool)[None, 1:4].expand(500, -1, -1)
    batch = plain(torch.tensor([[CLS, 6, 7, 8, 9, 10]]).expand(500, -1), inside)
    found = masking.some_phrases(batch, seeded(0))
    counts = found.sum(1)
    assert set(counts.tolist()) == {1, 2, 3}
    assert counts.float().mean().item() == pytest.approx(2, abs=0.1)
    assert not found[:, [0, 4, 5]].any()
    assert found[:, 1:4].float().mean(0).tolist() == pytest.approx([2 / 3] * 3, abs=0.07)


def test_every_phrase_has_its_turn():
    inside = torch.tensor([[[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]], dtype=torch.bool)
    batch = plain(torch.tensor([[CLS, 6, 7, 8]]), inside)
    drawn = [tuple(masking.one_phrase(batch, seeded(seed))[0].tolist()) for seed in range(200)]
    shares = [drawn.count(tuple(row.tolist())) / 200 for row in inside[0]]
    assert shares[1] == 0  # a phrase without tokens never
    assert 0.35 < shares[0] < 0.65
    assert shares[0] + shares[2] == 1


def plain(ids, inside=None, boxes=None):
    n = len(ids)
    boxes = torch.zeros(n, 1, 4) if boxes is None else boxes
    inside = torch.zeros(n, 0, ids.shape[1], dtype=torch.bool) if inside is None else inside
    present = torch.ones(boxes.shape[:2], dtype=torch.bool)
    links = torch.zeros(n, inside.shape[1], boxes.shape[1], dtype=torch.bool)
    sizes = torch.full((n, 2), 50.0)
    return Batch(
        ("i",) * n, ("c",) * n, boxes, present, sizes, links, inside.any(-1), None, None, ids, ids != 0, inside
    )


def test_shares_are_those_of_bert():
    """Of 40,000 words 15% are hidden; of those 80% are masks, 10% another word, 10% as they were."""
    ids = torch.randint(5, 1000, (400, 100), generator=seeded(0))
    found, hidden = masking.words(plain(ids), seeded(1), 1000)
    assert hidden.float().mean().item() == pytest.approx(0.15, abs=0.006)
    mask, same = (found == MASK)[hidden], (found == ids)[hidden]
    assert mask.float().mean().item() == pytest.approx(0.8, abs=0.02)
    assert same.float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert found[hidden][~mask & ~same].unique().numel() > 300
    # Regions likewise, when nothing overlaps.
    boxes = torch.arange(100.0)[:, None] * 10 + torch.tensor([0.0, 0, 5, 5])
    asked, _ = masking.regions(plain(ids, boxes=boxes.expand(400, -1, -1)), seeded(2))
    assert asked.float().mean().item() == pytest.approx(0.15, abs=0.006)


def test_other_words_are_words_of_the_vocabulary():
    ids = torch.full((200, 30), 7)
    found, hidden = masking.words(plain(ids), seeded(0), 9)
    assert set(found[hidden].tolist()) == {MASK, 5, 6, 7, 8}


def test_three_in_four_captions_lose_a_phrase():
    ids = torch.full((1000, 12), 7)
    inside = torch.zeros(1000, 1, 12, dtype=torch.bool)
    inside[:, :, 3:9] = True
    _, hidden = masking.words(plain(ids, inside), seeded(0), VOCAB)
    whole = (hidden == inside[:, 0]).all(1)
    assert whole.float().mean().item() == pytest.approx(0.75, abs=0.05)


def inclusive(box):
    x1, y1, x2, y2 = box
    return {(x, y) for x in range(int(x1), int(x2) + 1) for y in range(int(y1), int(y2) + 1)}


@settings(max_examples=60)
@given(fields(), st.integers(0, 2**31), st.sampled_from([None, 0.2, 0.4, 0.6]), st.sampled_from(["iou", "iot"]))
def test_regions_that_are_hidden_are_those_that_share_pixels(made, seed, threshold, measure):
    """Against a loop over pairs that counts pixels."""
    batch = Batch(**made)
    asked, hidden = masking.regions(batch, seeded(seed), threshold, measure)
    for b in range(len(batch)):
        present = [r for r in range(batch.boxes.shape[1]) if batch.region_mask[b, r]]
        chosen = set(asked[b].nonzero().flatten().tolist())
        assert chosen <= set(present)
        assert bool(chosen) == bool(present)
        wanted = set(chosen)
        for target in chosen if threshold is not None else ():
            mine = inclusive(batch.boxes[b, target].tolist())
            for r in present:
                other = inclusive(batch.boxes[b, r].tolist())
                whole = mine | other if measure == "iou" else mine
                if len(mine & other) / len(whole) > threshold + 1e-7:
                    wanted.add(r)
        assert set(hidden[b].nonzero().flatten().tolist()) == wanted


def test_co_masking_by_hand():
    """A small box within a large one: by its own area the large one covers it, by their union hardly."""
    boxes = torch.tensor([[[0.0, 0, 9, 9], [0, 0, 3, 3], [20, 20, 29, 29], [20, 20, 29, 28]]])
    batch = plain(torch.full((1, 3), 7), boxes=boxes)
    small, large = (torch.arange(4)[None] == place for place in (1, 0))
    assert masking.overlapping(batch, small, 0.5, "iot")[0].tolist() == [True, True, False, False]
    assert masking.overlapping(batch, small, 0.5, "iou")[0].tolist() == [False, True, False, False]
    assert masking.overlapping(batch, large, 0.5, "iot")[0].tolist() == [True, False, False, False]
    assert masking.overlapping(batch, large, 0.15, "iot")[0].tolist() == [True, True, False, False]  # 16 of 100 pixels
    third = torch.arange(4)[None] == 2
    assert masking.overlapping(batch, third, 0.89, "iou")[0].tolist() == [False, False, True, True]
    assert masking.overlapping(batch, third, 0.9, "iou")[0].tolist() == [False, False, True, False]  # not over 0.9


def test_another_measure_is_refused():
    batch = plain(torch.full((1, 3), 7))
    with pytest.raises(ValueError, match="measure: expected 'iou' or 'iot', got 'giou'"):
        masking.regions(batch, seeded(0), 0.4, "giou")


def test_everything_follows_from_the_generator(pairs):
    for hide in (masking.regions, lambda batch, generator: masking.words(batch, generator, 700)):
        first, again, other = (hide(pairs, seeded(seed)) for seed in (3, 3, 4))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
        state = torch.get_rng_state()
        hide(pairs, seeded(5))
        assert torch.equal(torch.get_rng_state(), state)  # torch's own numbers are left alone


def test_captions_without_phrases_and_images_without_regions(pairs):
    bare = replace(
        pairs,
        phrase_tokens=pairs.phrase_tokens[:, :0],
        phrase_mask=pairs.phrase_mask[:, :0],
        links=pairs.links[:, :0],
        region_mask=torch.zeros_like(pairs.region_mask),
    )
    _, hidden = masking.words(bare, seeded(0), 700)
    assert hidden.any(1).all()
    assert not masking.one_phrase(bare, seeded(0)).any()
    asked, gone = masking.regions(bare, seeded(0))
    assert not asked.any()
    assert not gone.any()
    empty = {name: getattr(bare, name)[:, :0] for name in ("boxes", "region_mask", "features", "class_probs")}
    none = replace(bare, **empty, links=bare.links[..., :0])
    asked, gone = masking.regions(none, seeded(0))
    assert asked.shape == gone.shape == (len(pairs), 0)
