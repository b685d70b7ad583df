"""Samples become batches: every entry is where it was, and what is no entry is masked."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook.data.sample import Phrase, Regions, Sample, collate


def _words(text):
    """A tokenizer: [CLS], then a token for each word (its length is its id), and [SEP]."""
    spans, place = [], 0
    for word in text.split(" "):
        spans.append((place, place + len(word)))
        place += len(word) + 1
    return [101, *(end - start for start, end in spans), 102], [(0, 0), *spans, (0, 0)]


def _sample(caption="a dog runs", spans=((0, 5),), n_regions=2, links=None, dim=None, classes=None, size=(30, 20)):
    rng = np.random.default_rng(len(caption) + n_regions)
    boxes = np.sort(rng.random((n_regions, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    return Sample(
        image_id=f"image of {caption}",
        caption_index=0,
        caption=caption,
        phrases=tuple(Phrase(start, end, caption[start:end], ("animals",), "1", boxes[:1]) for start, end in spans),
        regions=Regions(
            boxes,
            features=None if dim is None else rng.random((n_regions, dim)).astype(np.float32),
            class_probs=None if classes is None else rng.random((n_regions, classes)).astype(np.float32),
        ),
        links=links or tuple(frozenset(range(min(1, n_regions))) for _ in spans),
        width=size[0],
        height=size[1],
    )


def test_two_samples_by_hand():
    first = _sample("a dog runs", [(0, 5)], 3, (frozenset({0, 2}),), dim=2)
    second = _sample("the cat sees a bird", [(0, 7), (13, 19)], 2, (frozenset({1}), frozenset()), dim=2, size=(50, 40))
    batch = collate([first, second], _words)
    assert len(batch) == 2
    assert batch.image_ids == ("image of a dog runs", "image of the cat sees a bird")
    assert batch.captions == ("a dog runs", "the cat sees a bird")
    assert batch.sizes.tolist() == [[30, 20], [50, 40]]
    assert batch.region_mask.tolist() == [[True, True, True], [True, True, False]]
    assert batch.boxes.shape == (2, 3, 4)
    assert batch.boxes[1, 2].tolist() == [0, 0, 0, 0]
    assert batch.features.shape == (2, 3, 2)
    assert batch.class_probs is None
    assert batch.phrase_mask.tolist() == [[True, False], [True, True]]
    assert batch.links.tolist() == [
        [[True, False, True], [False, False, False]],
        [[False, True, False], [False, False, False]],
    ]
    assert batch.ids.tolist() == [[101, 1, 3, 4, 102, 0, 0], [101, 3, 3, 4, 1, 4, 102]]
    assert batch.text_mask.sum(1).tolist() == [5, 7]
    assert batch.phrase_tokens.nonzero().tolist() == [[0, 0, 1], [0, 0, 2], [1, 0, 1], [1, 0, 2], [1, 1, 4], [1, 1, 5]]


def test_a_token_that_lies_partly_in_a_phrase_belongs_to_it():
    sample = _sample("a dog's tail", [(0, 5)])
    pieces = [(0, 1), (1, 4), (4, 7), (5, 7), (8, 12), (3, 3)]
    batch = collate([sample], lambda text: (list(range(1, 7)), pieces))
    assert batch.phrase_tokens[0, 0].tolist() == [True, True, True, False, False, False]


@st.composite
def arguments(draw):
    """Arguments of `_sample`, for up to four samples of one kind."""
    dim, classes = draw(st.sampled_from([(None, None), (3, None), (None, 4), (1, 2)]))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        caption = " ".join(draw(st.lists(st.sampled_from(["a", "dog", "jumps"]), min_size=1, max_size=6)))
        n_regions = draw(st.integers(0, 5))
        ends = st.lists(st.integers(0, len(caption)), min_size=2, max_size=2, unique=True).map(sorted)
        spans = draw(st.lists(ends, max_size=3))
        linked = st.frozensets(st.integers(0, n_regions - 1)) if n_regions else st.just(frozenset())
        links = tuple(draw(linked) for _ in spans)
        found.append((caption, spans, n_regions, links, dim, classes))
    return found


@settings(deadline=None, max_examples=60)
@given(arguments())
def test_every_entry_is_where_it_was_and_the_rest_is_empty(made_of):
    found = [_sample(*values) for values in made_of]
    batch = collate(found, _words)
    for b, sample in enumerate(found):
        n, p = len(sample.regions.boxes), len(sample.phrases)
        assert batch.region_mask[b].tolist() == [r < n for r in range(batch.boxes.shape[1])]
        assert batch.phrase_mask[b].tolist() == [i < p for i in range(batch.links.shape[1])]
        for name in ("boxes", "features", "class_probs"):
            whole, part = getattr(batch, name), getattr(sample.regions, name)
            assert (whole is None) == (part is None)
            if part is not None:
                assert np.array_equal(whole[b, :n].numpy(), part)
                assert not whole[b, n:].any()
        pairs = {(i, r) for i, linked in enumerate(sample.links) for r in linked}
        assert {tuple(pair) for pair in batch.links[b].nonzero().tolist()} == pairs
        ids, spans = _words(sample.caption)
        assert batch.ids[b][batch.text_mask[b]].tolist() == ids
        assert not batch.ids[b][~batch.text_mask[b]].any()
        inside = {
            (i, t)
            for i, phrase in enumerate(sample.phrases)
            for t, (start, end) in enumerate(spans)
            if set(range(start, end)) & set(range(phrase.start, phrase.end))
        }
        assert {tuple(pair) for pair in batch.phrase_tokens[b].nonzero().tolist()} == inside


def test_without_a_tokenizer_there_is_no_text():
    batch = collate([_sample()])
    assert batch.ids is None
    assert batch.text_mask is None
    assert batch.phrase_tokens is None


def test_to_moves_every_tensor():
    batch = collate([_sample(dim=2, classes=3)], _words)
    moved = batch.to("meta")
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 10
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert moved.captions == batch.captions
    assert batch.boxes.device.type == "cpu"


@pytest.mark.parametrize("name", ["features", "class_probs"])
def test_features_in_some_samples_only_are_an_error(name):
    option = {"features": "dim", "class_probs": "classes"}[name]
    with pytest.raises(ValueError, match=f"expected {name} in all .* got widths image of a dog runs 2, .* none"):
        collate([_sample(**{option: 2}), _sample("a cat", [(0, 5)])])
    with pytest.raises(ValueError, match=f"{name} in all"):
        collate([_sample(**{option: 2}), _sample("a cat", [(0, 5)], **{option: 3})])


def test_nothing_to_collate_and_a_tokenizer_that_miscounts_are_errors():
    with pytest.raises(ValueError, match="expected at least one"):
        collate([])
    with pytest.raises(ValueError, match=r"tokenize: expected as many spans as ids, got 1 and 2 for 'a dog runs'"):
        collate([_sample()], lambda text: ([1, 2], [(0, 1)]))


def test_regions_of_different_number_are_an_error():
    boxes = np.zeros((2, 4), dtype=np.float32)
    with pytest.raises(ValueError, match="labels: expected 2, one for each region, got 1"):
        Regions(boxes, labels=("dog",))
    with pytest.raises(ValueError, match="attributes: expected 2, one for each region, got 3"):
        Regions(boxes, attributes=((), (), ()))


def test_the_image_is_made_when_it_is_asked_for():
    asked = []
    sample = Sample("1", 0, "", (), Regions(np.zeros((0, 4), np.float32)), (), 1, 1, picture=lambda: asked.append(1))
    assert not asked
    batch = collate([sample, _sample()])
    assert not asked
    assert sample.image is None
    assert asked == [1]
    assert _sample().image is None
    first, second = batch.pictures
    first()
    assert asked == [1, 1]
    assert second is None
    assert batch.to("meta").pictures == batch.pictures
