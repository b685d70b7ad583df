"""Conditions of an ablation: batches in which something is missing. What they are made from stays as it was.

The row for the whole image, where a model has one, is made by the model as the mean of the features that it is given:
what is ablated in the regions is ablated there too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from crosslook.ablation_examples import Cases
from crosslook.data.sample import Batch
from crosslook.models import tokens


def without_regions(
    batch: Batch, gone: Bool[Tensor, "batch region"], filler: Float[Tensor, "*#batch_region dim"]
) -> Batch:
    """The batch with other features for some regions; their boxes stay, as in the paper.

    Args:
        batch: with features.
        gone: which regions lose theirs.
        filler: what they get instead, `(dim,)` for all (`mean_feature`, or zeros) or `(batch, region, dim)`
            (`strangers`).

    Raises:
        ValueError: for a batch without features, or fillers of another width.
    """
    if batch.features is None:
        raise ValueError("batch: expected region features, got none")
    if filler.shape[-1] != batch.features.shape[-1]:
        raise ValueError(f"filler: expected features of width {batch.features.shape[-1]}, got {filler.shape[-1]}")
    return replace(batch, features=torch.where(gone[..., None], filler.to(batch.features), batch.features))


def without_words(batch: Batch, gone: Bool[Tensor, "batch text"], mask: int = tokens.MASK) -> Batch:
    """The batch with some tokens replaced by the id `mask`."""
    return replace(batch, ids=batch.ids.masked_fill(gone, mask))


def unseen(batch: Batch) -> Batch:
    """The batch without any region, as for a model that never saw the image: not even how many there are, and where."""
    return replace(batch, region_mask=torch.zeros_like(batch.region_mask))


def mean_feature(parts: Iterable[Cases]) -> Float[Tensor, " dim"]:
    """The feature that says nothing: the mean over regions of each example's image, averaged over examples.

    So an image counts once for each of its phrases, as in the published study. Its row for the whole image, which is
    the mean of the others, does not change a mean.

    Raises:
        ValueError: for a part without features, or no regions in any.
    """
    total, count = None, 0
    for part in parts:
        if part.batch.features is None:
            raise ValueError("parts: expected region features, got none")
        present = part.batch.region_mask[..., None]
        each = (part.batch.features * present).sum(1) / present.sum(1).clamp(min=1)
        there = present.any(1)[:, 0]
        total = (0 if total is None else total) + each[there].double().sum(0)
        count += int(there.sum())
    if not count:
        raise ValueError("parts: expected an example with regions, got none")
    return (total / count).float()


def strangers(batch: Batch, seed: int = 0) -> Float[Tensor, "batch region dim"]:
    """For every region the feature of a region that is drawn at random from another image of the batch.

    Unlike the mean it is a feature as the model knows them, but it shows the wrong thing.

    Raises:
        ValueError: when the batch holds a single image.
    """
    generator = torch.Generator().manual_seed(seed)
    ids = np.array(batch.image_ids)
    different = torch.from_numpy(ids[:, None] != ids)
    candidates = (different[:, :, None] & batch.region_mask.cpu()).flatten(1)
    if not candidates.any(1).all():
        raise ValueError(f"batch: expected regions of at least two images, got one, {batch.image_ids[0]}")
    drawn = torch.multinomial(candidates.float(), batch.features.shape[1], True, generator=generator)
    return batch.features.flatten(0, 1)[drawn.to(batch.features.device)]


def mismatched(batch: Batch) -> Batch:
    """The captions of a batch with each other's images: pairs that do not belong together.

    A caption gets the image of the row half a batch away, or of the next one after it that shows another image.

    Raises:
        ValueError: when the batch holds a single image.
    """
    n, ids = len(batch), batch.image_ids
    places = [[(row + n // 2 + step) % n for step in range(n)] for row in range(n)]
    order = [next((place for place in row if ids[place] != ids[own]), -1) for own, row in enumerate(places)]
    if -1 in order:
        raise ValueError(f"batch: expected at least two images, got one, {ids[0]}")
    other = take(batch, torch.tensor(order, device=batch.region_mask.device))
    images = {name: getattr(other, name) for name in ("boxes", "region_mask", "sizes", "features", "class_probs")}
    return replace(batch, image_ids=other.image_ids, pictures=other.pictures, **images)


def mask_id(model: nn.Module) -> int:
    """The id of [MASK] in a model's vocabulary.

    Raises:
        ValueError: for a model whose tokenizer knows none, naming it.
    """
    if isinstance(model.tokenize, tokens.Words):
        return tokens.MASK
    ids, _ = model.tokenize("[MASK]")
    if len(ids) != 3:  # [CLS] [MASK] [SEP]
        raise ValueError(f"model: expected one that knows [MASK], got {type(model).__name__}")
    return int(ids[1])


def take(batch: Batch, rows: Int[Tensor, " row"]) -> Batch:
    """Some rows of a batch, in any order, as often as they are named."""
    chosen = rows.tolist()
    values = {entry.name: getattr(batch, entry.name) for entry in fields(Batch)}
    return Batch(
        **{
            name: value[rows] if isinstance(value, Tensor) else value and tuple(value[row] for row in chosen)
            for name, value in values.items()
        }
    )


def stacked(parts: Sequence[Batch]) -> Batch:
    """Batches of the same shape below each other."""
    first, values = parts[0], {}
    for entry in fields(Batch):
        column = [getattr(part, entry.name) for part in parts]
        if isinstance(column[0], Tensor):
            values[entry.name] = torch.cat(column)
        else:
            values[entry.name] = None if column[0] is None else sum(column, ())
    return replace(first, **values)
