"""What cross-modal input ablation asks about: phrases of captions, and the regions that may give them away.

One example is one annotated phrase, of one caption of one image, whose chain has a box (Frank et al. 2021, section 4).
Overlaps of its boxes with all regions are kept as numbers, so that any threshold can be had without computing again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from crosslook.boxes import iot, iou
from crosslook.data.sample import Batch, Phrase, Regions, Sample, Tokenize, collate, first_name

THRESHOLD = 0.5
"""Regions that cover more of a phrase's box than this may give it away (section 4.4)."""


@dataclass(frozen=True, slots=True)
class Example:
    """A phrase with a box: `sample` is its caption's place in the data set, `phrase` its own in the caption.

    `type` is the first of the phrase's entity types, as in the published list.
    """

    sample: int
    phrase: int
    image_id: str
    type: str
    text: str


def examples(samples: Sequence[Sample]) -> list[Example]:
    """Every phrase of a data set that has a box, caption by caption, from left to right."""
    return [
        Example(place, number, sample.image_id, phrase.types[0], phrase.text)
        for place, sample in enumerate(samples)
        for number, phrase in enumerate(sample.phrases)
        if len(phrase.boxes)
    ]


def images(chosen: Sequence[Example]) -> Int[np.ndarray, " example"]:
    """The place of each example's image among the images, from 0, for whatever resamples images."""
    place = {image: number for number, image in enumerate(dict.fromkeys(one.image_id for one in chosen))}
    return np.array([place[one.image_id] for one in chosen], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Cases:
    """Examples as tensors; row i of `batch` is the caption and the image of example i.

    `phrase` are the tokens of the phrase, `words` all tokens that are part of the caption. `covered` says how much of
    the phrase's box a region covers (IoT), `overlap` its IoU with it; of several boxes of a phrase that with the
    largest value counts. Both are computed with the last pixel included, and are -1 where there is no region.
    """

    examples: tuple[Example, ...]
    batch: Batch
    phrase: Bool[Tensor, "batch text"]
    words: Bool[Tensor, "batch text"]
    covered: Float[Tensor, "batch region"]
    overlap: Float[Tensor, "batch region"]

    def __len__(self) -> int:
        return len(self.examples)

    def hits(self, threshold: float = THRESHOLD) -> Bool[Tensor, "batch region"]:
        """The regions that cover strictly more of one of the phrase's boxes than the threshold.

        From 1 upwards none, below 0 every region that there is.
        """
        return (self.covered > threshold) & self.batch.region_mask

    def target(self, threshold: float = THRESHOLD) -> Int[Tensor, " batch"]:
        """The region that is asked for: the hit one with the highest IoU; -1 where none is hit."""
        hits = self.hits(threshold)
        if not hits.shape[1]:
            return torch.full((len(self),), -1, device=hits.device)
        best = self.overlap.masked_fill(~hits, -2).argmax(1)
        return torch.where(hits.any(1), best, -1)

    def to(self, device: torch.device | str) -> "Cases":
        """The same cases with their tensors on a device."""
        return replace(self, **{entry.name: getattr(self, entry.name).to(device) for entry in fields(self)[1:]})


def cases(samples: Sequence[Sample], chosen: Sequence[Example], tokenize: Tokenize) -> Cases:
    """Examples of a data set as one padded batch. The batch keeps two phrases: the example's own and the whole caption.

    Where regions have names but no class distribution, as in files of bottom-up attention, all of it goes to the named
    class; background, where it is none of them, is put before the classes, as the published models have it.

    Raises:
        ValueError: for no examples, for regions whose names are of no class, and as `collate` does.
    """
    if not chosen:
        raise ValueError("chosen: expected at least one example, got none")
    rows = [_narrowed(samples[one.sample], one.phrase) for one in chosen]
    batch = collate(rows, tokenize)
    covered, overlap = batch.boxes.new_full((2, *batch.region_mask.shape), -1)
    for place, row in enumerate(rows):
        boxes, regions = torch.tensor(row.phrases[0].boxes), torch.tensor(row.regions.boxes)
        covered[place, : len(regions)] = iot(boxes, regions, inclusive=True).amax(0)
        overlap[place, : len(regions)] = iou(boxes, regions, inclusive=True).amax(0)
    return Cases(tuple(chosen), batch, batch.phrase_tokens[:, 0], batch.phrase_tokens[:, 1], covered, overlap)


def batches(
    samples: Sequence[Sample], chosen: Sequence[Example], tokenize: Tokenize, size: int = 64
) -> Iterator[Cases]:
    """Examples at most `size` at a time, in order, in parts that are equally long, give or take one."""
    for part in np.array_split(np.arange(len(chosen)), -(-len(chosen) // size)) if chosen else ():
        yield cases(samples, [chosen[place] for place in part], tokenize)


def _narrowed(sample: Sample, number: int) -> Sample:
    """A sample with one of its phrases, and the whole caption as another."""
    whole = Phrase(0, len(sample.caption), sample.caption, (), "0", np.zeros((0, 4), dtype=np.float32))
    return replace(
        sample,
        phrases=(sample.phrases[number], whole),
        links=(sample.links[number], frozenset()),
        regions=_with_distribution(sample.regions),
    )


def _with_distribution(regions: Regions) -> Regions:
    if regions.class_probs is not None or regions.labels is None or regions.classes is None:
        return regions
    without = all(name.strip("_") != "background" for name in regions.classes)
    column = {first_name(names): place for place, names in enumerate(regions.classes, int(without))}
    if unknown := {*regions.labels} - {*column}:
        raise ValueError(f"labels: expected names of classes, got {', '.join(sorted(unknown)[:5])}")
    named = np.zeros((len(regions.boxes), int(without) + len(regions.classes)), dtype=np.float32)
    named[np.arange(len(named)), [column[label] for label in regions.labels]] = 1
    return replace(regions, class_probs=named)
