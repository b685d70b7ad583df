"""Count what a data set holds: images, captions, phrases, words, and which words keep company."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from crosslook.data.sample import Phrase, Sample

WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Summary:
    """Counts of a data set. A grounded phrase is one with at least one box."""

    images: int
    captions: int
    phrases: int
    grounded: int
    chains: int
    boxes: int
    words: int
    word_types: int


def words(text: str) -> list[str]:
    """The words of a text in lower case; punctuation and numerals are not words.

    >>> words("A man's 2 guitars, brown .")
    ['a', "man's", 'guitars', 'brown']
    """
    return WORD.findall(text.lower())


def summary(samples: Iterable[Sample]) -> Summary:
    """Count a data set in one pass."""
    vocabulary: Counter[str] = Counter()
    chains: dict[tuple[str, str], int] = {}
    images = set()
    captions = phrases = grounded = 0
    for sample in samples:
        captions += 1
        images.add(sample.image_id)
        vocabulary.update(words(sample.caption))
        for phrase in sample.phrases:
            phrases += 1
            grounded += len(phrase.boxes) > 0
            if len(phrase.boxes):
                chains[sample.image_id, phrase.chain] = len(phrase.boxes)
    return Summary(
        len(images), captions, phrases, grounded, len(chains), sum(chains.values()), vocabulary.total(), len(vocabulary)
    )


def word_counts(samples: Iterable[Sample]) -> Counter[str]:
    """How often each word occurs in the captions."""
    return Counter(word for sample in samples for word in words(sample.caption))


def type_counts(samples: Iterable[Sample]) -> Counter[str]:
    """How many phrases there are of each entity type (a phrase may have several types)."""
    return Counter(kind for sample in samples for phrase in sample.phrases for kind in phrase.types)


def phrases_about(samples: Iterable[Sample], noun: str) -> list[tuple[str, Phrase]]:
    """The phrases whose last word is `noun`, each with its image id: what is said of guitars, whatever else is."""
    return [
        (sample.image_id, phrase)
        for sample in samples
        for phrase in sample.phrases
        if words(phrase.text)[-1:] == [noun]
    ]


def modifiers(phrases: Iterable[Phrase], among: Collection[str]) -> Counter[str]:
    """How often each word of `among` (colours, say) modifies the last word of a phrase."""
    return Counter(word for phrase in phrases for word in words(phrase.text)[:-1] if word in among)


def share_of(phrases: Iterable[tuple[str, Phrase]], word: str, among: Collection[str]) -> Int[np.ndarray, "image 2"]:
    """For each image, how often `word` modifies its phrases, and how often any word of `among` does.

    The two columns are numerator and denominator of a pooled share, for `significance.bootstrap_ratio`. Images without
    any word of `among` are left out.

    Args:
        phrases: (image id, phrase) pairs, as `phrases_about` gives them.
        word: one of `among`.
        among: the alternatives, colours for example.
    """
    counts: dict[str, Counter[str]] = {}
    for image, phrase in phrases:
        counts.setdefault(image, Counter()).update(modifiers([phrase], among))
    rows = [(count[word], count.total()) for count in counts.values() if count.total()]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)
