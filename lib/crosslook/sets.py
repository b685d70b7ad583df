"""Attention from sets of positions to sets of positions, over a corpus, for any model behind the protocol.

Most of what the papers measure of heads is this: phrases and their regions, words and earlier words of some part of
speech, the two ends of a relation. A `Sets` says for each pair which positions look and which are looked at; `read`
takes a model through the corpus once and gives for every pair its sums, and for pairs that may be shuffled the cells of
all with all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from crosslook.data.sample import Batch
from crosslook.models.protocol import Places, on_image, on_text
from crosslook.significance import Permutation, bootstrap_ratio, permutation_links

if TYPE_CHECKING:
    from crosslook.capture import Site

KINDS = ("text_to_text", "text_to_image", "image_to_text", "image_to_image")


@dataclass(frozen=True, eq=False)
class Sets:
    """Pairs of a set that looks and a set that is looked at, of a batch.

    `kind` says what they are sets of: `"text_to_image"` pairs tokens `queries (batch, pair, text)` with regions `keys
    (batch, pair, region)`. A pair with an empty side counts nowhere.
    """

    kind: str
    queries: Bool[Tensor, "batch pair query"]
    keys: Bool[Tensor, "batch pair key"]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.queries.shape[:2] != self.keys.shape[:2]:
            pairs = tuple(self.queries.shape[:2])
            raise ValueError(f"keys: expected the pairs of queries, {pairs}, got {tuple(self.keys.shape[:2])}")


def shuffled(sets: Sets) -> Sets:
    """The same pairs with each other's keys: those of the next pair of the example that shares no key with it.

    A control for what belongs together: of two phrases that speak of the same thing, neither is one for the other.
    Behind the last pair comes the first. Pairs for which there is no other count nowhere.
    """
    alive = sets.queries.any(-1) & sets.keys.any(-1)
    keys = torch.zeros_like(sets.keys)
    for row, own, here in zip(keys, sets.keys, alive, strict=True):
        some = own[here]
        n = len(some)
        if not n:
            continue
        apart = (some.float() @ some.float().T) == 0
        places = torch.arange(n, device=some.device)
        steps = (places[None] - places[:, None]) % n  # from a pair to another
        nearest = torch.where(apart, steps, n).argmin(1)
        row[here] = some[nearest] & apart.any(1)[:, None]
    return Sets(sets.kind, sets.queries, keys)


@dataclass(eq=False)
class Reading:
    """What the heads of a model give from queries to keys; arrays `(image, layer, head)`, sums over an image's pairs.

    `on_keys`: weight on the pair's keys. `on_all`: weight on all keys of that modality. `by_pair`: the sum over pairs
    of the mean over a pair's queries of the share on its keys, `pairs (image,)` being how many. `cells`: for each image
    `(pair, candidate, layer, head)`, means over both, for `permutation_links`; empty unless they were asked for.
    """

    on_keys: Float[np.ndarray, "image layer head"]
    on_all: Float[np.ndarray, "image layer head"]
    by_pair: Float[np.ndarray, "image layer head"]
    pairs: Int[np.ndarray, " image"]
    cells: list[np.ndarray] = field(default_factory=list)

    @property
    def proportion(self) -> Float[np.ndarray, "layer head"]:
        """Ilinykh and Dobnik (2022, Eq. 3): pooled over everything; NaN where no pair counts."""
        with np.errstate(invalid="ignore"):
            return self.on_keys.sum(0) / self.on_all.sum(0)

    @property
    def sums(self) -> tuple[Float[np.ndarray, "image layer head"], Float[np.ndarray, "image layer head"]]:
        """What `crosslook.maps` takes."""
        return self.on_keys, self.on_all

    @property
    def averaged(self) -> tuple[Float[np.ndarray, "image layer head"], Float[np.ndarray, "image layer head"]]:
        """The same, so that every pair counts alike, however much attention it has: means over pairs."""
        return self.by_pair, np.broadcast_to(self.pairs[:, None, None].astype(np.float64), self.by_pair.shape)

    def interval(self, n_resamples: int = 2_000, seed: int = 0) -> Float[np.ndarray, "2 layer head"]:
        """Ends of its 95% interval, by resampling images."""
        return bootstrap_ratio(self.on_keys, self.on_all, n_resamples=n_resamples, seed=seed)

    def shuffled(self, n_resamples: int = 2_000, seed: int = 0) -> Permutation:
        """Against pairs shuffled within each image; the images that have some."""
        if not self.cells:
            raise ValueError("cells: expected a reading with cells, got none; read with cells=True")
        return permutation_links(self.cells, n_resamples=n_resamples, seed=seed)


Batches = Iterable[tuple[Int[Tensor, " batch"], Batch]]
"""Batches, each with the place of every example's image in the corpus, from 0."""


@torch.no_grad()
def read(
    model: nn.Module,
    corpus: Batches,
    sets: Callable[[Batch], Mapping[str, Sets]],
    n_images: int,
    *,
    cells: bool = False,
) -> dict[str, Reading]:
    """Run a model over a corpus once and read its heads.

    Args:
        model: behind `crosslook.models.protocol`. Of one with a joint sequence that is read, of others the attention of
            the pairs' own kind.
        corpus: batches with the places of their images.
        sets: gives the sets of a batch by name, the same names for every batch.
        n_images: how many images there are.
        cells: whether to keep all pairs with all, for `Reading.shuffled`.

    Returns:
        A `Reading` for each name. Layers count the attention of that kind, in the order in which it runs.

    Raises:
        ValueError: for a model without attention of that kind.
    """
    from crosslook.capture import capture

    tables: dict[str, _Table] = {}
    for images, batch in corpus:
        chosen, places = dict(sets(batch)), model.places(batch)
        for name, one in chosen.items():
            tables.setdefault(name, _Table(n_images)).count(images, one)

        def measure(site: "Site", images=images, chosen=chosen, places=places) -> None:
            for name, one in chosen.items():
                if site.kind == _where(one.kind, places):
                    tables[name].add(images, site.layer, _of_site(site, one, places, cells))

        with capture(model, on_site=measure):
            model(batch)
        for name, one in chosen.items():
            if not tables[name].sums:
                raise ValueError(f"model: expected attention for {name!r} ({one.kind}), found none")
    return {name: table.reading() for name, table in tables.items()}


@torch.no_grad()
def weights(model: nn.Module, batch: Batch, one: Sets) -> Float[Tensor, "batch pair layer head key"]:
    """How much each head gives from a pair's queries, on average, to every key of that modality, one by one.

    `key` counts the tokens, or regions, of the batch. For single examples: nothing is summed over a corpus.

    Raises:
        ValueError: for a model without such attention.
    """
    from crosslook.capture import capture

    places, layers = model.places(batch), {}
    asks, answers = one.kind.split("_to_")
    n_keys = one.keys.shape[-1]
    each = torch.eye(n_keys, dtype=torch.bool, device=one.keys.device).expand(len(one.keys), -1, -1)

    def measure(site: "Site") -> None:
        if site.kind == _where(one.kind, places):
            queries = _positions(asks, places, site.kind, one.queries, site.q.shape[2]).float()
            groups = _positions(answers, places, site.kind, each, site.k.shape[2]).mT
            mass = torch.nan_to_num(site.statistics(groups).mass)
            share = queries / queries.sum(-1, keepdim=True).clamp(min=1)
            layers[site.layer] = torch.einsum("bpq,bhqk->bphk", share, mass)

    with capture(model, on_site=measure):
        model(batch)
    if not layers:
        raise ValueError(f"model: expected attention of {one.kind}, found none")
    return torch.stack([layers[layer] for layer in sorted(layers)], 2)


def _where(kind: str, places: Places) -> str:
    """The `Site.kind` of the attention that sets of this kind are read from."""
    if places.joint_text is not None:
        return "joint"
    return {"text_to_text": "text", "image_to_image": "image"}.get(kind, kind)


def _of_site(site: "Site", one: Sets, places: Places, cells: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Of one attention call: weight on keys, on all keys, shares by pair, each `(batch, pair, head)`, and the cells."""
    asks, answers = one.kind.split("_to_")
    queries = _positions(asks, places, site.kind, one.queries, site.q.shape[2]).float()
    keys = _positions(answers, places, site.kind, one.keys, site.k.shape[2])
    universe = getattr(site, f"key_{answers}")
    groups = torch.cat([keys.mT, universe[..., None]], -1)
    mass = torch.nan_to_num(site.statistics(groups).mass)
    total = torch.einsum("bpq,bhq->bph", queries, mass[..., -1])
    rows = queries.sum(-1).clamp(min=1)[..., None]
    if cells:
        size = keys.sum(-1).clamp(min=1)
        between = torch.einsum("bpq,bhqg->bpgh", queries, mass[..., :-1])
        on_keys = between.diagonal(dim1=1, dim2=2).mT
        averaged = between / rows[..., None] / size[:, None, :, None]
    else:
        on_keys, averaged = torch.einsum("bpq,bhqp->bph", queries, mass[..., :-1]), None
    share = torch.einsum("bpq,bhqp->bph", queries, mass[..., :-1] / mass[..., -1:].clamp(min=1e-12)) / rows
    alive = (one.queries.any(-1) & one.keys.any(-1))[..., None]
    return on_keys * alive, total * alive, share * alive, averaged


def _positions(modality: str, places: Places, kind: str, members: Tensor, length: int) -> Tensor:
    return (on_text if modality == "text" else on_image)(places, kind, members, length)


class _Table:
    """Sums by image, and cells, as layers come in."""

    def __init__(self, n_images: int) -> None:
        self.n_images = n_images
        self.sums: dict[int, np.ndarray] = {}
        self.pairs = np.zeros(n_images, dtype=np.int64)
        self.cells: dict[int, list[np.ndarray]] = {}
        self.alive: list[np.ndarray] = []

    def add(self, images: Tensor, layer: int, numbers: tuple[Tensor, Tensor, Tensor, Tensor | None]) -> None:
        *sums, averaged = (None if each is None else each.double().numpy(force=True) for each in numbers)
        heads = sums[0].shape[-1]
        state = self.sums.setdefault(layer, np.zeros((3, self.n_images, heads)))
        for row, each in zip(state, sums, strict=True):
            np.add.at(row, images.numpy(force=True), each.sum(1))
        if averaged is not None:
            self.cells.setdefault(layer, []).extend(averaged)

    def count(self, images: Tensor, one: Sets) -> None:
        alive = (one.queries.any(-1) & one.keys.any(-1)).numpy(force=True)
        np.add.at(self.pairs, images.numpy(force=True), alive.sum(1))
        self.alive.extend(alive)

    def reading(self) -> Reading:
        layers = sorted(self.sums)
        on_keys, on_all, by_pair = np.stack([self.sums[layer] for layer in layers], 2)
        cells = []
        if self.cells:
            for place, alive in enumerate(self.alive):
                if alive.any():
                    stack = np.stack([self.cells[layer][place] for layer in layers], 2)
                    cells.append(stack[alive][:, alive])
        return Reading(on_keys, on_all, by_pair, self.pairs, cells)
