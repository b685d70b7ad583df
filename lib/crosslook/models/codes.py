"""What a planted model knows of each position: an input vector made of blocks, each of which says one thing.

A block is a range of coordinates. Most are one-hot ("this is region 5") or multi-hot ("linked with regions 5 and 7"),
so that the product of a query's block with a key's is exactly 1 where they mean the same and 0 elsewhere. A block whose
name ends in `_log` holds the same code times the log of (keys that are not looked at) / (keys that are): with it a head
gives a wanted mass whatever their numbers. For a mass m, spread over s of n keys whose scores are higher by c,
m / (1 - m) = s exp(c) / (n - s), so c = log(m / (1 - m)) + log((n - s) / s).

The sequence is [CLS], words, [SEP], regions. Captions are padded before [SEP] and regions at the end, so that a place
means the same in every row of a batch.
"""

import hashlib

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from crosslook.data.sample import Batch
from crosslook.models.protocol import tokens

CAPACITY = 36
"""The most words a caption, and the most regions an image, may have: a one-hot code needs a coordinate for each."""
NOISE = 24
SCRATCH = 8

WIDTHS = {
    "one": 1,  # 1 everywhere
    "log_rest": 1,  # everywhere the log of (number of keys - 1)
    "cls": 1,
    "sep": 1,
    "is_word": 1,
    "is_region": 1,
    "word": CAPACITY,  # words: which one it is
    "word_log": CAPACITY,
    "region": CAPACITY,  # regions: which one it is
    "nearest": CAPACITY,  # regions: which other region has the nearest centre
    "nearest_log": CAPACITY,
    "last": CAPACITY,  # last words of phrases: the regions that the phrase is linked with
    "last_log": CAPACITY,
    "inner": CAPACITY,  # all other words of phrases: the same
    "inner_log": CAPACITY,
    "noise": NOISE,  # random numbers that are different for every example and position
    "scratch": SCRATCH,  # 0: layers write here, and no head reads it
}
_ENDS = torch.tensor(list(WIDTHS.values())).cumsum(0).tolist()
BLOCKS = {name: slice(end - width, end) for (name, width), end in zip(WIDTHS.items(), _ENDS, strict=True)}
WIDTH = _ENDS[-1]


def words(batch: Batch) -> slice:
    """Where the words stand in the sequence, padding included."""
    return slice(1, 1 + _text_mask(batch).shape[1])


def regions(batch: Batch) -> slice:
    """Where the regions stand in the sequence, padding included."""
    start = words(batch).stop + 1
    return slice(start, start + batch.region_mask.shape[1])


def present(batch: Batch) -> Bool[Tensor, "batch joint"]:
    """Which positions of the sequence are no padding."""
    one = batch.region_mask.new_ones(len(batch), 1)
    return torch.cat([one, _text_mask(batch), one, batch.region_mask], dim=1)


def phrases(batch: Batch) -> tuple[Bool[Tensor, "batch phrase joint"], Bool[Tensor, "batch phrase joint"]]:
    """Where in the sequence the words of each phrase stand, and where its regions; nowhere for a phrase without any."""
    here = present(batch)
    said, shown = (here.new_zeros(*batch.phrase_mask.shape, here.shape[1]) for _ in range(2))
    assert batch.phrase_tokens is not None
    said[..., words(batch)] = batch.phrase_tokens & batch.links.any(-1, keepdim=True)
    shown[..., regions(batch)] = batch.links & batch.phrase_tokens.any(-1, keepdim=True)
    return said, shown


def linked(batch: Batch) -> Bool[Tensor, "batch text region"]:
    """Which regions the phrases of each word are linked with."""
    assert batch.phrase_tokens is not None
    return torch.einsum("bpt,bpr->btr", batch.phrase_tokens.float(), batch.links.float()) > 0


def last_words(batch: Batch) -> Bool[Tensor, "batch text"]:
    """Which words are the last of a phrase: in English, mostly its noun."""
    assert batch.phrase_tokens is not None
    inside = batch.phrase_tokens
    is_last = inside & (inside.long().flip(-1).cumsum(-1).flip(-1) == 1)
    return is_last.any(1)


def nearest(batch: Batch) -> Bool[Tensor, "batch region other"]:
    """For each region the other one of its image whose centre is nearest; the first of several; none where alone."""
    centres = (batch.boxes[..., :2] + batch.boxes[..., 2:]) / 2
    # Squared differences, not a matrix product: an example must not change with the size of its batch.
    distance = (centres[:, :, None] - centres[:, None, :]).square().sum(-1)
    both = batch.region_mask[:, :, None] & batch.region_mask[:, None, :]
    both &= ~torch.eye(both.shape[-1], dtype=torch.bool, device=both.device)
    if not both.shape[-1]:
        return both
    first = distance.masked_fill(~both, torch.inf).argmin(-1)
    return torch.nn.functional.one_hot(first, both.shape[-1]).bool() & both


def encode(batch: Batch, seed: int) -> Float[Tensor, "batch joint width"]:
    """The input vectors of a batch, float32; 0 at padding.

    Raises:
        ValueError: for a batch without tokens, or with more words or regions than `CAPACITY`.
    """
    at_words, at_regions = words(batch), regions(batch)
    for name, place in (("words", at_words), ("regions", at_regions)):
        if place.stop - place.start > CAPACITY:
            raise ValueError(f"batch: expected at most {CAPACITY} {name}, got {place.stop - place.start}")
    here = present(batch)
    n_keys = here.sum(1)[:, None, None].float()
    hidden = torch.zeros(*here.shape, WIDTH, device=here.device)

    def put(name: str, place: slice, codes: Tensor, scaled: bool = False) -> None:
        """Write codes `(batch, place, width)`; for `scaled`, also times the log of the odds of not being looked at."""
        codes = codes.float()
        start = BLOCKS[name].start
        hidden[:, place, start : start + codes.shape[-1]] = codes
        if scaled:
            looked_at = codes.sum(-1, keepdim=True).clamp(min=1)
            put(f"{name}_log", place, codes * ((n_keys - looked_at) / looked_at).log())

    everywhere = slice(None)
    put("one", everywhere, here[..., None])
    put("log_rest", everywhere, (n_keys - 1).log().expand(*here.shape, 1))
    put("cls", slice(0, 1), torch.ones_like(n_keys))
    put("sep", slice(at_words.stop, at_regions.start), torch.ones_like(n_keys))
    put("is_word", at_words, here[:, at_words, None])
    put("is_region", at_regions, here[:, at_regions, None])
    # "word" is scaled like the others: one of the keys is looked at.
    put("word", at_words, torch.eye(at_words.stop - 1, device=here.device).expand(len(here), -1, -1), scaled=True)
    put("region", at_regions, torch.eye(batch.region_mask.shape[1], device=here.device).expand(len(here), -1, -1))
    put("nearest", at_regions, nearest(batch), scaled=True)
    is_last = last_words(batch)[..., None]
    put("last", at_words, linked(batch) & is_last, scaled=True)
    put("inner", at_words, linked(batch) & ~is_last, scaled=True)
    put("noise", everywhere, _noise(batch, seed))
    return hidden * here[..., None]


def _noise(batch: Batch, seed: int) -> Float[Tensor, "batch joint noise"]:
    """Normal random numbers: they follow from the seed, the image and the caption, not from batch or padding."""
    n_words, n_regions = _text_mask(batch).shape[1], batch.region_mask.shape[1]
    rows = []
    for image, caption in zip(batch.image_ids, batch.captions, strict=True):
        digest = hashlib.sha256(f"{seed}\n{image}\n{caption}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        drawn = torch.randn(2, CAPACITY + 1, NOISE, generator=generator)
        rows.append(torch.cat([drawn[0, : 1 + n_words], drawn[1, : 1 + n_regions]]))
    return torch.stack(rows).to(batch.region_mask.device)


def _text_mask(batch: Batch) -> Bool[Tensor, "batch text"]:
    return tokens(batch)[1]
