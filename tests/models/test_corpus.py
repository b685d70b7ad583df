"""Pairs that a corpus puts together are what `collate` makes of the same samples."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook.data.sample import Phrase, Regions, Sample, collate
from crosslook.models import tokens
from crosslook.models.corpus import Corpus

TEXTS = ("ids", "text_mask", "phrase_tokens", "phrase_mask")
IMAGES = ("boxes", "region_mask", "features", "class_probs", "sizes")


def mixed(image, caption):
    """The image of one sample with the caption of another."""
    none = (frozenset(),) * len(caption.phrases)
    words = {"caption": caption.caption, "phrases": caption.phrases, "links": none}
    return replace(image, **words)


def agree(found, wanted):
    """Batches are the same, but that regions may have more padding; and links are left out."""
    assert found.image_ids == wanted.image_ids
    assert found.captions == wanted.captions
    for name in TEXTS:
        assert torch.equal(getattr(found, name), getattr(wanted, name)), name
    n = wanted.boxes.shape[1]
    for name in IMAGES:
        a, b = getattr(found, name), getattr(wanted, name)
        assert (a is None) == (b is None), name
        if a is not None and name != "sizes":
            assert not a[:, n:].any(), name
            a = a[:, :n]
        assert a is None or torch.equal(a, b), name
    assert not found.links.any()
    assert found.links.shape == (*found.phrase_mask.shape, found.boxes.shape[1])


def test_own_captions_of_emoji_entities(few, little):
    assert little.captions_of == tuple([5 * i + c for c in range(5)] for i in range(12))
    assert little.image_of.tolist() == [i // 5 for i in range(60)]
    chosen = torch.tensor([3, 3, 58, 21])
    agree(little.batch(little.image_of[chosen], chosen), collate([few[i] for i in chosen.tolist()], tokens.emoji()))


def test_captions_of_strangers(few, little):
    images, captions = torch.tensor([0, 11, 4]), torch.tensor([7, 2, 30])
    pairs = zip(images.tolist(), captions.tolist(), strict=True)
    wanted = collate([mixed(few[5 * image], few[caption]) for image, caption in pairs], tokens.emoji())
    agree(little.batch(images, captions), wanted)


WORDS = "a dog sees two cats near the old house".split()


def sample(image, caption, n_words, n_regions, spans, kind):
    rng = np.random.default_rng((image, n_regions))
    text = " ".join(WORDS[:n_words])
    boxes = np.sort(rng.random((n_regions, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    return Sample(
        image_id=f"image {image}",
        caption_index=caption,
        caption=text,
        phrases=tuple(Phrase(a, b, text[a:b], ("other",), "0", boxes[:0]) for a, b in spans if b <= len(text)),
        regions=Regions(
            boxes,
            features=rng.random((n_regions, 3), dtype=np.float32) if kind else None,
            class_probs=rng.random((n_regions, 4), dtype=np.float32) if kind == 2 else None,
        ),
        links=tuple(frozenset(range(min(1, n_regions))) for a, b in spans if b <= len(text)),
        width=30 + image,
        height=20,
    )


spans = st.lists(st.sampled_from([(0, 1), (0, 5), (2, 10), (6, 18)]), max_size=3)
described = st.tuples(st.integers(0, 3), st.integers(0, 9), spans)


@settings(max_examples=40)
@given(
    st.lists(described, min_size=1, max_size=7),
    st.lists(st.integers(0, 4), min_size=4, max_size=4),
    st.integers(0, 2),
    st.data(),
)
def test_any_pairs_of_any_samples(captions, counts, kind, data):
    """Captions of an image need not stand together; images may have no regions, captions no phrases."""
    samples = [
        sample(image, number, n, counts[image], where, kind) for number, (image, n, where) in enumerate(captions)
    ]
    words = tokens.Words([*tokens.SPECIAL, *WORDS])
    corpus = Corpus(samples, words)
    order = list(dict.fromkeys(image for image, *_ in captions))
    assert [[samples[c].image_id for c in own] for own in corpus.captions_of] == [
        [f"image {image}"] * sum(image == other for other, *_ in captions) for image in order
    ]
    assert [order[i] for i in corpus.image_of.tolist()] == [image for image, *_ in captions]
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, len(order) - 1), st.integers(0, len(samples) - 1)), min_size=1, max_size=4)
    )
    wanted = [mixed(samples[corpus.captions_of[image][0]], samples[caption]) for image, caption in pairs]
    images, texts = torch.tensor(pairs).unbind(1)
    agree(corpus.batch(images, texts), collate(wanted, words))


def test_samples_that_differ_in_kind_are_refused():
    samples = [sample(0, 0, 3, 2, [], 2), sample(1, 1, 3, 2, [], 1)]
    words = tokens.Words([*tokens.SPECIAL, *WORDS])
    assert Corpus(samples, words).batch(torch.tensor([0]), torch.tensor([1])).class_probs is None
    with pytest.raises(ValueError, match="samples"):
        Corpus([], words)
