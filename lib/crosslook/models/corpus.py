"""A data set as tensors, ready for many passes: regions once for each image, captions apart."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from crosslook.data.sample import Batch, Regions, Sample, Tokenize, collate
from crosslook.progress import track

REGION_FIELDS = ("boxes", "region_mask", "sizes", "features", "class_probs")


class Corpus:
    """Images and captions of some samples; `batch` puts any pairs of them together.

    `captions_of[i]` are the numbers of image i's captions. Links are left out.
    """

    def __init__(self, samples: Sequence[Sample], tokenize: Tokenize, desc: str = "reading") -> None:
        if not samples:
            raise ValueError("samples: expected at least one, got none")
        numbers: dict[str, list[int]] = {}
        firsts, texts = [], []
        bare = Regions(np.zeros((0, 4), dtype=np.float32))
        for number, sample in enumerate(track(samples, desc=desc)):
            if sample.image_id not in numbers:
                # One small batch for each image: only tensors stay.
                firsts.append(collate([replace(sample, phrases=(), links=())]))
            numbers.setdefault(sample.image_id, []).append(number)
            texts.append(replace(sample, regions=bare, links=(frozenset(),) * len(sample.phrases)))
        self.captions_of = tuple(numbers.values())
        self.image_of = torch.empty(len(texts), dtype=torch.long)
        for image, captions in enumerate(self.captions_of):
            self.image_of[captions] = image
        self.images = _joined(firsts)
        self.texts = collate(texts, tokenize)

    def batch(self, images: Int[Tensor, " pair"], captions: Int[Tensor, " pair"]) -> Batch:
        """Pairs of an image and a caption as one batch, padded no longer than they need."""
        texts, pictures = self.texts, self.images
        text_mask = texts.text_mask[captions]
        phrase_mask = texts.phrase_mask[captions]
        length, phrases = (int(mask.any(0).sum()) for mask in (text_mask, phrase_mask))
        return Batch(
            image_ids=tuple(pictures.image_ids[i] for i in images.tolist()),
            captions=tuple(texts.captions[i] for i in captions.tolist()),
            links=torch.zeros(len(images), phrases, pictures.boxes.shape[1], dtype=torch.bool),
            phrase_mask=phrase_mask[:, :phrases],
            ids=texts.ids[captions, :length],
            text_mask=text_mask[:, :length],
            phrase_tokens=texts.phrase_tokens[captions][:, :phrases, :length],
            **{
                name: None if getattr(pictures, name) is None else getattr(pictures, name)[images]
                for name in REGION_FIELDS
            },
        )

    def alike(
        self, captions: Int[Tensor, " caption"], size: int, generator: torch.Generator
    ) -> Int[Tensor, "batch pair"]:
        """Captions in batches of about one length, so that little is padding; the batches in random order."""
        lengths = self.texts.text_mask[captions].sum(1)
        batches = captions[lengths.argsort(stable=True)].unflatten(0, (-1, size))
        return batches[torch.randperm(len(batches), generator=generator)]


def _joined(batches: list[Batch]) -> Batch:
    """Batches of one image each as one."""
    longest = max(batch.boxes.shape[1] for batch in batches)

    def padded(name: str) -> Tensor | None:
        parts = [getattr(batch, name) for batch in batches]
        if any(part is None for part in parts):
            return None
        if name == "sizes":
            return torch.cat(parts)
        return torch.cat([torch.cat([x, x.new_zeros(1, longest - x.shape[1], *x.shape[2:])], 1) for x in parts])

    found = {name: padded(name) for name in REGION_FIELDS}
    ids, captions = (tuple(getattr(batch, name)[0] for batch in batches) for name in ("image_ids", "captions"))
    none = torch.zeros(len(batches), 0, longest, dtype=torch.bool)
    return Batch(image_ids=ids, captions=captions, links=none, phrase_mask=none.any(-1), **found)
