"""What pre-training hides: words, sometimes whole phrases, and regions together with those that overlap them."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from crosslook import boxes
from crosslook.data.sample import Batch
from crosslook.models.tokens import MASK, SPECIAL, special

SHARE = 0.15
"""How many words, and how many regions, are hidden: as in BERT."""
WHOLE = 0.75
"""How many captions lose whole phrases instead of single words."""
PHRASES = 0.5
"""How many of its phrases such a caption loses."""


def words(
    batch: Batch, generator: torch.Generator, vocab: int
) -> tuple[Int[Tensor, "batch text"], Bool[Tensor, "batch text"]]:
    """Ids with some words hidden, and which ones: half of the phrases in most captions, else 15% of the words.

    Of single words eight in ten become [MASK], one becomes another word, one stays; those of a phrase become [MASK].
    What a phrase says can often be guessed from the phrases around it, and only the image tells what two of them say.
    Every caption with a word loses at least one.
    """
    ids = batch.ids
    real = batch.text_mask & ~special(ids)
    chance = torch.rand(ids.shape, generator=generator).to(ids.device).masked_fill(~real, 2)
    first = chance == chance.amin(1, keepdim=True)  # at least this one
    single = ((chance < SHARE) | first) & real
    phrase = some_phrases(batch, generator) & real
    whole = (torch.rand(len(ids), 1, generator=generator).to(ids.device) < WHOLE) & phrase.any(1, keepdim=True)
    kind = torch.rand(ids.shape, generator=generator).to(ids.device)
    others = torch.randint(len(SPECIAL), vocab, ids.shape, generator=generator).to(ids.device)
    replaced = torch.where(kind < 0.8, MASK, torch.where(kind < 0.9, others, ids))
    hidden = torch.where(whole, phrase, single)
    return torch.where(hidden, torch.where(whole, MASK, replaced), ids), hidden


def some_phrases(batch: Batch, generator: torch.Generator) -> Bool[Tensor, "batch text"]:
    """The tokens of half of the phrases of each caption, drawn at random; at least of one that has tokens."""
    also = torch.rand(batch.phrase_mask.shape, generator=generator).to(batch.phrase_mask.device) < PHRASES
    return (batch.phrase_tokens & also[..., None]).any(1) | one_phrase(batch, generator)


def one_phrase(batch: Batch, generator: torch.Generator) -> Bool[Tensor, "batch text"]:
    """The tokens of one phrase of each caption, drawn at random among those that have tokens."""
    inside = batch.phrase_tokens
    chance = torch.rand(inside.shape[:2], generator=generator).to(inside.device)
    drawn = chance.masked_fill(~inside.any(-1), -1)
    if not inside.shape[1]:
        return torch.zeros_like(batch.text_mask)
    best = drawn.argmax(1)
    return inside[torch.arange(len(inside), device=inside.device), best]


def regions(
    batch: Batch, generator: torch.Generator, threshold: float | None = 0.4, measure: str = "iou"
) -> tuple[Bool[Tensor, "batch region"], Bool[Tensor, "batch region"]]:
    """Which regions are asked for (15%, at least one of an image's), and which are hidden with them.

    Args:
        batch: with boxes.
        generator: of random numbers, on the CPU.
        threshold: regions that overlap one that is asked for by more than this are hidden too; None: no others.
        measure: of overlap, `"iou"` or `"iot"` (`crosslook.boxes.co_mask`).
    """
    present = batch.region_mask
    if not present.shape[1]:
        return present, present
    chance = torch.rand(present.shape, generator=generator).to(present.device).masked_fill(~present, 2)
    asked = ((chance < SHARE) | (chance == chance.amin(1, keepdim=True))) & present
    if threshold is None:
        return asked, asked
    return asked, overlapping(batch, asked, threshold, measure) & present


def overlapping(
    batch: Batch, asked: Bool[Tensor, "batch region"], threshold: float, measure: str = "iou"
) -> Bool[Tensor, "batch region"]:
    """The regions in `asked` and those that overlap one of them by more than the threshold."""
    if measure not in ("iou", "iot"):
        raise ValueError(f"measure: expected 'iou' or 'iot', got {measure!r}")
    overlap = boxes.iou if measure == "iou" else boxes.iot
    near = overlap(batch.boxes, batch.boxes, inclusive=True) > threshold
    return (near & asked[:, :, None]).any(1) | asked
