"""Image self-attention, region by region: what a model's heads look at among the things of a picture.

For the questions of Ilinykh (2022): do regions look at what belongs to the same theme, at what is near, at what has a
similar meaning, at what a description will mention? `look` goes through a corpus once and keeps, for every picture,
what objects give to objects; `crosslook.structure_pairs` turns that into numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from crosslook import attention
from crosslook.data.sample import Batch
from crosslook.maps import Sums
from crosslook.models.protocol import Places, on_image

if TYPE_CHECKING:
    from crosslook.capture import Site

Corpus = Iterable[tuple[Int[Tensor, " _"], Batch]]
"""Batches, each with the place of every example's picture in the corpus, from 0."""
TARGETS = ("itself", "the same object", "another object", "no object")
"""What a region can look at."""


@dataclass(eq=False)
class Looking:
    """What the heads of a model do among the regions of each picture; every row is a distribution over these alone.

    `among`: for each picture `(layer, head, object, object)`, what the regions of one object give to those of another,
    mean over both, times the number of regions: 1 is what even attention gives. `onto`: for each picture `(layer, head,
    object)`, the share of all regions' attention that the object's regions get together. The rest are sums for each
    picture, as `crosslook.maps` takes them: `entropy`, of regions, as a share of its maximum; `distance`, from a region
    to the others that it looks at, as a share of the picture's diagonal; `targets`, of regions that show an object, the
    share of attention on each of `TARGETS`.
    """

    among: list[Float[np.ndarray, "layer head _ _"]]
    onto: list[Float[np.ndarray, "layer head _"]]
    entropy: Sums
    distance: Sums
    targets: Mapping[str, Sums]


def distances(
    boxes: Float[Tensor, "batch region 4"], sizes: Float[Tensor, "batch 2"]
) -> Float[Tensor, "batch region region"]:
    """How far the centres of boxes are from each other, as a share of the picture's diagonal."""
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    apart = centres[:, :, None] - centres[:, None]
    return apart.pow(2).sum(-1).sqrt() / sizes.pow(2).sum(-1).sqrt()[:, None, None]


def between_regions(
    site: "Site", places: Places, present: Bool[Tensor, "batch region"]
) -> Float[Tensor, "batch head region region"]:
    """Attention from region to region of one call, as a distribution over regions alone.

    A region that several positions show looks with the mean of them and is looked at with their sum. Words, a row for
    the whole image and other positions are left out. Rows of absent regions are 0, as are those without any weight.
    """
    own = torch.diag_embed(present)
    shown = on_image(places, site.kind, own, site.k.shape[2]).float()
    rows = shown / shown.sum(-1, keepdim=True).clamp(min=1)
    weights = rows[:, None] @ site.weights().float() @ shown.mT[:, None]
    return attention.renormalize(weights, present).nan_to_num()


def among(
    weights: Float[Tensor, "batch head region region"],
    objects: Bool[Tensor, "batch object region"],
    present: Bool[Tensor, "batch region"],
) -> Float[Tensor, "batch head object object"]:
    """What the regions of each object give to those of each other, mean over both; 1 is what even attention gives."""
    share = objects / objects.sum(-1, keepdim=True).clamp(min=1)
    return share[:, None] @ weights @ share.mT[:, None] * present.sum(-1)[:, None, None, None]


def targets(
    weights: Float[Tensor, "batch head region region"], objects: Bool[Tensor, "batch object region"]
) -> Float[Tensor, "batch head region 4"]:
    """What each region gives to each of `TARGETS`."""
    alike = objects.float().mT @ objects.float() > 0
    own = torch.eye(weights.shape[-1], dtype=torch.bool, device=weights.device).expand_as(alike)
    known = objects.any(1)[:, None]
    kinds = (own, alike & ~own, known & ~alike & ~own, ~known & ~own)
    return torch.stack([(weights * kind[:, None]).sum(-1) for kind in kinds], -1)


@torch.no_grad()
def look(model: nn.Module, corpus: Corpus, objects: Sequence[Bool[np.ndarray, "_ _"]]) -> Looking:
    """Take a model through a corpus once.

    Args:
        model: behind `crosslook.models.protocol`, with attention between regions.
        corpus: batches with the places of their pictures, each picture once.
        objects: for each picture the regions that show each object, `(object, region)`.

    Raises:
        ValueError: for a model without attention between regions.
    """
    n = len(objects)
    among_, onto, sums = {}, {}, {}
    for images, batch in corpus:
        chosen = [objects[image] for image in images.tolist()]
        padded = _padded(chosen, batch)
        apart = distances(batch.boxes, batch.sizes)
        others = _others(batch.region_mask)
        for layer, weights in _layers(model, batch):
            table = sums.setdefault(layer, np.zeros((2 + len(TARGETS), 2, n, weights.shape[1])))
            rows = batch.region_mask[:, None].expand(weights.shape[:3])
            showing = padded.any(1)[:, None].expand(weights.shape[:3])
            counted = [
                (attention.entropy(weights, batch.region_mask).nan_to_num(), rows),
                ((weights * (apart * others)[:, None]).sum(-1), (weights * others[:, None]).sum(-1)),
            ]
            counted += [(share, showing) for share in (targets(weights, padded) * showing[..., None]).unbind(-1)]
            for row, pair in zip(table, counted, strict=True):
                row[:, images.tolist()] = [each.sum(-1).double().numpy(force=True) for each in pair]
            cells = among(weights, padded, batch.region_mask).numpy(force=True)
            got = torch.einsum("bhqr,bor->bho", weights, padded.float()) / batch.region_mask.sum(-1)[:, None, None]
            for image, some, cell, part in zip(images.tolist(), chosen, cells, got.numpy(force=True), strict=True):
                among_.setdefault(image, {})[layer] = cell[:, : len(some), : len(some)]
                onto.setdefault(image, {})[layer] = part[:, : len(some)]
    layers = sorted(sums)
    tables = [np.stack([sums[layer][row] for layer in layers], 2) for row in range(2 + len(TARGETS))]
    return Looking(
        [np.stack([among_[image][layer] for layer in layers]) for image in range(n)],
        [np.stack([onto[image][layer] for layer in layers]) for image in range(n)],
        tuple(tables[0]),
        tuple(tables[1]),
        {name: tuple(table) for name, table in zip(TARGETS, tables[2:], strict=True)},
    )


@torch.no_grad()
def changed(model: nn.Module, first: Corpus, second: Corpus, n_images: int) -> Float[np.ndarray, "image layer head"]:
    """How much of the attention between regions moves elsewhere when the description of a picture is another.

    The mean over regions of half the sum of absolute differences (total variation): 0 where nothing changes, 1 where
    everything goes to other regions.

    Args:
        model: as in `look`.
        first, second: the same pictures with two descriptions, in the same batches.
        n_images: how many there are.

    Raises:
        ValueError: for other pictures, or none.
    """
    found: dict[int, np.ndarray] = {}
    for (images, batch), (again, other) in zip(first, second, strict=True):
        if not torch.equal(images, again) or batch.image_ids != other.image_ids:
            raise ValueError(f"second: expected the pictures of first, got {other.image_ids[:3]} in their place")
        rows = batch.region_mask.sum(-1)[:, None]
        for (layer, one), (_, two) in zip(list(_layers(model, batch)), list(_layers(model, other)), strict=True):
            moved = (one - two).abs().sum((-2, -1)) / 2 / rows
            table = found.setdefault(layer, np.full((n_images, moved.shape[1]), np.nan))
            table[images.tolist()] = moved.numpy(force=True)
    if not found:
        raise ValueError("first: expected at least one batch, got none")
    return np.stack([found[layer] for layer in sorted(found)], 1)


@torch.no_grad()
def bias_entropy(model: nn.Module, corpus: Corpus, n_images: int) -> dict[str, Sums]:
    """What makes a head sure: normalised entropy of its rows by what regions are alone, and by where they lie alone.

    Where a model adds a number to its scores (`ort`: the log of a pair's geometry weight), weights are a product of
    both. `"content"` leaves that number out, `"geometry"` leaves out the scores, `"both"` is the model as it is.

    Raises:
        ValueError: for a model that adds nothing to the scores of its image attention.
    """
    from crosslook.capture import capture

    found: dict[str, dict[int, np.ndarray]] = {"both": {}, "content": {}, "geometry": {}}
    for images, batch in corpus:
        present = batch.region_mask

        def measure(site: "Site", images=images, present=present) -> None:
            added = site.mask
            if site.kind != "image" or added is None or added.dtype == torch.bool:
                return
            if added.shape[1:3] != site.q.shape[1:3]:
                return  # padding alone
            scores = (site.q @ site.k.mT).float() * site.scale
            for name, logits in (("both", scores + added), ("content", scores), ("geometry", added)):
                closed = logits.masked_fill(~present[:, None, None], -torch.inf)
                nats = attention.entropy(closed.softmax(-1), present)
                table = found[name].setdefault(site.layer, np.zeros((2, n_images, nats.shape[1])))
                rows = present[:, None].expand_as(nats)
                table[:, images.tolist()] = [(each * rows).sum(-1).numpy(force=True) for each in (nats, rows.float())]

        with capture(model, on_site=measure):
            model(batch)
    if not found["both"]:
        raise ValueError("model: expected one that adds to the scores of its image attention, got one that does not")
    return {name: tuple(np.stack([by[layer] for layer in sorted(by)], 2)) for name, by in found.items()}


def _layers(model: nn.Module, batch: Batch) -> Iterator[tuple[int, Float[Tensor, "batch head region region"]]]:
    """The attention between regions of each layer."""
    from crosslook.capture import capture

    places, found = model.places(batch), []
    kind = "image" if places.joint_text is None else "joint"

    def measure(site: "Site") -> None:
        if site.kind == kind:
            found.append((site.layer, between_regions(site, places, batch.region_mask)))

    with capture(model, on_site=measure):
        model(batch)
    if not found:
        raise ValueError(f"model: expected attention between regions, {type(model).__name__} has none")
    return iter(found)


def _padded(objects: Sequence[Bool[np.ndarray, "_ _"]], batch: Batch) -> Bool[Tensor, "batch object region"]:
    most = max((len(each) for each in objects), default=0)
    padded = torch.zeros(len(objects), most, batch.boxes.shape[1], dtype=torch.bool)
    for row, each in zip(padded, objects, strict=True):
        row[: each.shape[0], : each.shape[1]] = torch.from_numpy(each)
    return padded.to(batch.boxes.device)


def _others(present: Bool[Tensor, "batch region"]) -> Bool[Tensor, "batch region region"]:
    """Pairs of different regions that are both present."""
    return (
        present[:, :, None] & present[:, None] & ~torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
    )
