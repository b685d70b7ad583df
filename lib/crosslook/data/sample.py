"""What every data set is made of: a caption with its phrases, an image with its regions, and what links them.

All boxes of a sample are `xyxy`, float32, in pixels counted from 0 with the last pixel included: the value in a
Flickr30k Entities file minus 1, as in the published studies (`inclusive=True` in `crosslook.boxes`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

Tokenize = Callable[[str], tuple[Sequence[int], Sequence[tuple[int, int]]]]
"""Gives the ids of a text's tokens and, for each, its first character and the one after its last (equal: no text)."""


@dataclass(frozen=True, eq=False)
class Phrase:
    """A marked phrase of a caption: characters `start` to `end` (exclusive).

    `types` are those of Flickr30k Entities; `chain` is the id of what it refers to within its image, "0" where that
    cannot be seen; `boxes` `(box, 4)` are the annotated ones, none for what cannot be boxed.
    """

    start: int
    end: int
    text: str
    types: tuple[str, ...]
    chain: str
    boxes: Float32[np.ndarray, "box 4"]


def first_name(names: str) -> str:
    """The first of a class' names, which commas part: "stop sign" of "stop sign,stopsign"."""
    return names.split(",")[0].strip()


@dataclass(frozen=True, eq=False)
class Regions:
    """What a detector, or an annotator, found in an image. Everything but the boxes is optional.

    `labels` are class names; `attributes` hold (name, confidence) pairs for each region; `class_probs` is a
    distribution over `classes`. A class may have several names, parted by commas as in "stop sign,stopsign"; a label is
    the first. Raises ValueError when something has another number of regions than `boxes`.
    """

    boxes: Float32[np.ndarray, "region 4"]
    labels: tuple[str, ...] | None = None
    attributes: tuple[tuple[tuple[str, float], ...], ...] | None = None
    class_probs: Float32[np.ndarray, "region class"] | None = None
    features: Float32[np.ndarray, "region dim"] | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("labels", "attributes", "class_probs", "features"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.boxes):
                raise ValueError(f"{name}: expected {len(self.boxes)}, one for each region, got {len(value)}")


@dataclass(frozen=True, eq=False)
class Sample:
    """One caption of one image. `links` holds, for each phrase, the indices of the regions that show it.

    `width` and `height` are the image's, in pixels. `picture` opens or draws the image; use `image`.
    """

    image_id: str
    caption_index: int
    caption: str
    phrases: tuple[Phrase, ...]
    regions: Regions
    links: tuple[frozenset[int], ...]
    width: int
    height: int
    picture: Callable[[], Image.Image | None] | None = field(default=None, repr=False)

    @property
    def image(self) -> Image.Image | None:
        """The image (RGB), opened or drawn now; None where there is none."""
        return None if self.picture is None else self.picture()


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples as padded tensors. Masks are true for what is present; everything else is 0 or false.

    `sizes` are (width, height) in pixels. `features`, `class_probs` are None where the samples have none; `ids`,
    `text_mask` and `phrase_tokens` where `collate` got no tokenizer. `phrase_tokens[b, p, t]`: token t of caption b
    lies in its phrase p. `pictures` are the samples' own: they open or draw an image when they are called.
    """

    image_ids: tuple[str, ...]
    captions: tuple[str, ...]
    boxes: Float[Tensor, "batch region 4"]
    region_mask: Bool[Tensor, "batch region"]
    sizes: Float[Tensor, "batch 2"]
    links: Bool[Tensor, "batch phrase region"]
    phrase_mask: Bool[Tensor, "batch phrase"]
    features: Float[Tensor, "batch region dim"] | None = None
    class_probs: Float[Tensor, "batch region class"] | None = None
    ids: Int[Tensor, "batch text"] | None = None
    text_mask: Bool[Tensor, "batch text"] | None = None
    phrase_tokens: Bool[Tensor, "batch phrase text"] | None = None
    pictures: tuple[Callable[[], Image.Image | None] | None, ...] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.captions)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on a device."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)})


def collate(samples: Sequence[Sample], tokenize: Tokenize | None = None) -> Batch:
    """Samples as one padded `Batch`.

    Args:
        samples: at least one; all with features (of one width) or none, and the same for class distributions.
        tokenize: gives token ids and their character spans; special tokens have an empty span, e.g. (0, 0).

    Raises:
        ValueError: no samples; some have features or class distributions and others not, or of another width; a
            tokenizer gives different numbers of ids and spans.
    """
    if not samples:
        raise ValueError("samples: expected at least one, got none")
    boxes, region_mask = _pad([torch.tensor(sample.regions.boxes) for sample in samples])
    links, phrase_mask = _pad([_links(sample, boxes.shape[1]) for sample in samples])
    batch = Batch(
        image_ids=tuple(sample.image_id for sample in samples),
        captions=tuple(sample.caption for sample in samples),
        boxes=boxes,
        region_mask=region_mask,
        sizes=torch.tensor([[sample.width, sample.height] for sample in samples], dtype=torch.float32),
        links=links,
        phrase_mask=phrase_mask,
        features=_per_region(samples, "features"),
        class_probs=_per_region(samples, "class_probs"),
        pictures=tuple(sample.picture for sample in samples),
    )
    if tokenize is None:
        return batch
    tokens = [_tokens(sample.caption, tokenize) for sample in samples]
    ids, text_mask = _pad([ids for ids, _ in tokens])
    pairs = zip(samples, tokens, strict=True)
    inside, _ = _pad([_inside(sample, spans, ids.shape[1]) for sample, (_, spans) in pairs])
    return replace(batch, ids=ids, text_mask=text_mask, phrase_tokens=inside)


def _pad(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Tensors `(n_i, ...)` as one `(batch, max n, ...)`, and the mask `(batch, max n)` of what is no padding."""
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return padded, torch.arange(padded.shape[1]) < lengths[:, None]


def _per_region(samples: Sequence[Sample], name: str) -> Tensor | None:
    values = [getattr(sample.regions, name) for sample in samples]
    shapes = {None if value is None else value.shape[1] for value in values}
    if len(shapes) > 1:
        kinds = ", ".join(
            f"{sample.image_id} {'none' if value is None else value.shape[1]}"
            for sample, value in zip(samples, values, strict=True)
        )
        raise ValueError(f"samples: expected {name} in all (of one width) or in none, got widths {kinds}")
    if shapes == {None}:
        return None
    return _pad([torch.tensor(value) for value in values])[0]


def _links(sample: Sample, n_regions: int) -> Tensor:
    linked = torch.zeros(len(sample.phrases), n_regions, dtype=torch.bool)
    for row, regions in zip(linked, sample.links, strict=True):
        row[list(regions)] = True
    return linked


def _tokens(caption: str, tokenize: Tokenize) -> tuple[Tensor, Tensor]:
    ids, spans = tokenize(caption)
    if len(ids) != len(spans):
        raise ValueError(f"tokenize: expected as many spans as ids, got {len(spans)} and {len(ids)} for {caption!r}")
    return torch.tensor(ids, dtype=torch.long), torch.tensor(spans, dtype=torch.long).reshape(-1, 2)


def _inside(sample: Sample, spans: Tensor, n_tokens: int) -> Tensor:
    """`(phrase, n_tokens)`: which tokens share a character with which phrases."""
    inside = torch.zeros(len(sample.phrases), n_tokens, dtype=torch.bool)
    start, end = spans.unbind(-1)
    for row, phrase in zip(inside, sample.phrases, strict=True):
        row[: len(spans)] = (start < end) & (start < phrase.end) & (end > phrase.start)
    return inside
