"""Counts agree with what can be counted by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crosslook.data import statistics
from crosslook.data.sample import Phrase, Regions, Sample


def _phrase(caption, text, kind, chain, boxes=0):
    start = caption.index(text)
    return Phrase(start, start + len(text), text, (kind,), chain, np.zeros((boxes, 4), dtype=np.float32))


def _sample(image_id, caption, *phrases):
    made = tuple(_phrase(caption, *phrase) for phrase in phrases)
    regions = Regions(np.zeros((0, 4), dtype=np.float32))
    return Sample(
        image_id=image_id,
        caption_index=0,
        caption=caption,
        phrases=made,
        regions=regions,
        links=tuple(frozenset() for _ in made),
        width=10,
        height=10,
    )


SAMPLES = [
    _sample(
        "1", "A man plays a brown guitar .", ("A man", "people", "1", 1), ("a brown guitar", "instruments", "2", 2)
    ),
    _sample("1", "He has a guitar .", ("He", "people", "1", 1), ("a guitar", "instruments", "2", 2)),
    _sample(
        "2", "The image shows a red guitar .", ("The image", "notvisual", "0"), ("a red guitar", "instruments", "1", 1)
    ),
]


def test_summary_by_hand():
    assert statistics.summary(SAMPLES) == statistics.Summary(
        images=2, captions=3, phrases=6, grounded=5, chains=3, boxes=4, words=16, word_types=11
    )
    assert statistics.summary([]).images == 0


def test_types_and_company_by_hand():
    assert statistics.type_counts(SAMPLES) == {"people": 2, "instruments": 3, "notvisual": 1}
    about = statistics.phrases_about(SAMPLES, "guitar")
    assert [image for image, _ in about] == ["1", "1", "2"]
    assert statistics.modifiers((phrase for _, phrase in about), {"brown", "red", "blue"}) == {"brown": 1, "red": 1}


def test_shares_are_counted_image_by_image():
    about = statistics.phrases_about(SAMPLES, "guitar")
    colours = {"brown", "red", "blue"}
    np.testing.assert_array_equal(statistics.share_of(about, "brown", colours), [[1, 1], [0, 1]])
    assert statistics.share_of([], "brown", colours).shape == (0, 2)


@given(st.lists(st.sampled_from(["man", "a", "Guitar", "dog's"])))
def test_words_of_joined_words_are_the_words(parts):
    assert statistics.words(" ".join(parts) + " 2 .") == [part.lower() for part in parts]
