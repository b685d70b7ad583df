"""What Ilinykh and Dobnik (2022) let a captioner's heads be measured on, as `Sets` of a batch.

Words look when they are *written*: a model that writes from left to right gives word i its probability at the position
of word i - 1, so that is the row whose attention counts. `written=False` takes the word's own row, which is what there
is in a model that reads the whole caption.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from crosslook import linking
from crosslook.data.sample import Batch, Phrase, Sample, Tokenize
from crosslook.models.tokens import special
from crosslook.relations import Relation
from crosslook.sets import Sets
from crosslook.spans import generated, tokens_in
from crosslook.text import Parse
from crosslook.text_statistics import OBJECTS, RELATIONS

OBJECT_WORDS, RELATION_WORDS = frozenset(OBJECTS), frozenset(RELATIONS)
"""Universal parts of speech of words for objects, and of words for relations (their Fig. 5)."""

TEXT_MAPS = ("rel → target", "land → rel", "land → target", "land → target + rel")
IMAGE_MAPS = ("rel → target", "rel → land", "land → target", "target → land")
"""The eight maps of their Fig. 6: which part of a relation looks at which, or at its object."""


def phrases(batch: Batch, *, written: bool) -> Sets:
    """Phrases, and the regions that show what they speak of (their Fig. 4)."""
    return Sets("text_to_image", _rows(batch.phrase_tokens, written), batch.links)


def parts_of_speech(
    batch: Batch, parses: Mapping[str, Parse], tags: Collection[str], tokenize: Tokenize, *, written: bool
) -> Sets:
    """All words of a caption, and its words of some parts of speech (their Fig. 5): one pair a caption.

    Args:
        batch: with tokens.
        parses: of its captions.
        tags: universal parts of speech.
        tokenize: the model's.
        written: see above. What comes later is not looked at by a model that writes.
    """
    spans = [[(t.start, t.end) for t in parses[caption].tokens if t.upos in tags] for caption in batch.captions]
    keys = _padded(tokens_in(batch.captions, spans, tokenize).any(1, keepdim=True), batch)
    words = (batch.text_mask & ~special(batch.ids))[:, None]
    return Sets("text_to_text", _rows(words, written), keys)


def relations_in_text(
    batch: Batch, relations: Mapping[str, Sequence[Relation]], tokenize: Tokenize, *, written: bool
) -> dict[str, Sets]:
    """Parts of spatial relations that look at other parts (their Fig. 6a to 6d): `TEXT_MAPS`.

    Args:
        batch: with tokens.
        relations: of its captions; those without a landmark are left out.
        tokenize, written: as above.
    """
    target, rel, land = _parts(batch, relations, tokenize)
    pairs = ((rel, target), (land, rel), (land, target), (land, target | rel))
    return {
        name: Sets("text_to_text", _rows(asks, written), answers)
        for name, (asks, answers) in zip(TEXT_MAPS, pairs, strict=True)
    }


def relations_in_image(
    batch: Batch,
    relations: Mapping[str, Sequence[Relation]],
    samples: Mapping[str, Sample],
    tokenize: Tokenize,
    *,
    written: bool,
) -> dict[str, Sets]:
    """Parts of spatial relations that look at the objects of others (their Fig. 6e to 6h): `IMAGE_MAPS`.

    The object of a part is what its phrase is linked with: of the phrases that end where it ends, the longest.

    Args:
        samples: caption -> sample, with phrases and links.
    """
    target, rel, land = _parts(batch, relations, tokenize)
    nowhere = batch.region_mask.new_zeros(*target.shape[:2], batch.region_mask.shape[1])
    shown = {"target": nowhere, "landmark": nowhere.clone()}
    for row, caption in enumerate(batch.captions):
        for number, relation in enumerate(_complete(relations[caption])):
            for side, where in shown.items():
                where[row, number, list(_linked(samples[caption], getattr(relation, side).end))] = True
    to_target, to_land = shown["target"], shown["landmark"]
    pairs = ((rel, to_target), (rel, to_land), (land, to_target), (target, to_land))
    return {
        name: Sets("text_to_image", _rows(asks, written), answers)
        for name, (asks, answers) in zip(IMAGE_MAPS, pairs, strict=True)
    }


def by_type(batch: Batch, samples: Mapping[str, Sample], kinds: Sequence[str], *, written: bool) -> dict[str, Sets]:
    """`phrases` for each type of entity; `samples`: caption -> sample."""
    every = phrases(batch, written=written)
    found = {}
    for kind in kinds:
        member = torch.zeros_like(batch.phrase_mask)
        for row, caption in zip(member, batch.captions, strict=True):
            said = samples[caption].phrases
            row[: len(said)] = torch.tensor([kind in phrase.types for phrase in said], dtype=torch.bool)
        found[kind] = Sets(every.kind, every.queries & member[..., None], every.keys)
    return found


def dealt(parse: Parse, seed: int) -> Parse:
    """The parse with its parts of speech dealt out anew among its words: a control for what the words are."""
    tags = random.Random(f"{seed} {parse.text}").sample([token.upos for token in parse.tokens], len(parse.tokens))
    return replace(parse, tokens=tuple(replace(t, upos=tag) for t, tag in zip(parse.tokens, tags, strict=True)))


def retold(sample: Sample, parse: Parse, labels: Sequence[str]) -> Sample:
    """The sample with another text: its noun phrases, those that name no object left out, and links by their words.

    Args:
        sample: whose regions and picture stay.
        parse: of the other text.
        labels: what the regions are called.
    """
    spans = [(found.start, found.end) for found in parse.noun_phrases() if not linking.ignored(found.text)]
    none = np.zeros((0, 4), dtype=np.float32)
    said = tuple(Phrase(start, end, parse.text[start:end], ("other",), "0", none) for start, end in spans)
    links = tuple(linking.link([phrase.text for phrase in said], labels))
    return replace(sample, caption=parse.text, phrases=said, links=links)


def _linked(sample: Sample, end: int) -> frozenset[int]:
    """The regions of the longest phrase that ends at a character."""
    there = [
        (phrase.start, links) for phrase, links in zip(sample.phrases, sample.links, strict=True) if phrase.end == end
    ]
    return min(there, key=lambda pair: pair[0])[1] if there else frozenset()


def _parts(batch: Batch, relations: Mapping[str, Sequence[Relation]], tokenize: Tokenize) -> list[Tensor]:
    """Tokens of targets, relations and landmarks, each `(batch, relation, text)`."""
    complete = [_complete(relations[caption]) for caption in batch.captions]
    sides = ("target", "relation", "landmark")
    spans = (
        [[(part.start, part.end) for r in some for part in [getattr(r, side)]] for some in complete] for side in sides
    )
    return [_padded(tokens_in(batch.captions, some, tokenize), batch) for some in spans]


def _complete(relations: Sequence[Relation]) -> list[Relation]:
    return [relation for relation in relations if relation.landmark is not None]


def _rows(tokens: Bool[Tensor, "batch pair text"], written: bool) -> Bool[Tensor, "batch pair text"]:
    return generated(tokens) if written else tokens


def _padded(tokens: Bool[Tensor, "batch pair tokens"], batch: Batch) -> Bool[Tensor, "batch pair text"]:
    """As many tokens as the batch has: a tokenizer gives no padding."""
    return torch.nn.functional.pad(tokens, (0, batch.ids.shape[1] - tokens.shape[-1])).to(batch.ids.device)
