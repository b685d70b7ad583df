"""Transformers whose heads are *built* to do a known thing, to see whether a measure finds it.

A planted model is a single-stream transformer like any other: a sequence of [CLS], words, [SEP] and regions, linear
queries and keys, scores divided by the root of the head's width, a softmax, values, an output projection, a residual
connection. Only its weights are not trained. The input says in separate coordinates what there is to know of a
position (`codes.py`), and the query and key weights of a planted head read those that it is about, scaled so that the
softmax gives the wanted mass. Values are written where no head reads, so every layer sees the same input; there are no
layer norms and no feed-forward layers, which would only disturb it.

| a plant | which queries | look with its mass at |
|---|---|---|
| `linked` | the words of a linked phrase | the regions of the phrase |
| `noun` | the last word of a linked phrase | the regions of the phrase |
| `previous` | all words but the first | the word before |
| `neighbour` | regions, where there are two | the other region with the nearest centre |
| `cls` | all positions | [CLS] |
| `sink` | all positions | [CLS], whose value is a tenth as long as all others |
| `uniform` | all positions | all positions alike (no mass) |

The rest of the mass is spread evenly over all other present positions, and a query that is not in the table looks at
all present positions alike. All of this is exact but for float32: a mass of 0.6 comes out as 0.6 within 1e-5. Values of
planted heads have length 1, but for the sink, so weighting them by norms changes nothing else.

All other heads are random: their weights are random projections of noise, which is drawn anew for each example and
position, and of whether a position is [CLS], a word, [SEP] or a region. They have favourites, may prefer one modality,
and can be sharp; but they know nothing of the links, of what the words say or of where the boxes lie.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from crosslook.data.sample import Batch
from crosslook.models import codes
from crosslook.models.codes import BLOCKS, CAPACITY, WIDTH
from crosslook.models.protocol import Places

if TYPE_CHECKING:
    from crosslook.capture import Positions

KINDS = ("linked", "noun", "previous", "neighbour", "cls", "sink", "uniform")
MASKED = -1e9
QUIET = 0.1
"""How long the value of [CLS] is in a sink; all others have length 1."""
READ_BY_RANDOM = ("noise", "cls", "sep", "is_word", "is_region", "one")


@dataclass(frozen=True)
class Plant:
    """What one head is built to do. Layers and heads count from 0; `mass` is between 0 and 1 (not for `uniform`).

    Raises:
        ValueError: for another kind, or a mass that a softmax cannot give.
    """

    layer: int
    head: int
    what: str
    mass: float | None = None

    def __post_init__(self) -> None:
        if self.what not in KINDS:
            raise ValueError(f"what: expected one of {', '.join(KINDS)}, got {self.what!r}")
        if self.what == "uniform":
            if self.mass is not None:
                raise ValueError(f"mass: expected none for a uniform head, got {self.mass}")
        elif self.mass is None or not 0 < self.mass < 1:
            raise ValueError(f"mass: expected a number between 0 and 1 for {self.what!r}, got {self.mass}")

    def __str__(self) -> str:
        mass = "" if self.mass is None else f" {self.mass:g}"
        return f"L{self.layer + 1}H{self.head + 1} {self.what}{mass}"


PLANTS = {
    "grounding": (
        Plant(0, 3, "linked", 0.08),
        Plant(1, 8, "linked", 0.1),
        Plant(2, 5, "linked", 0.15),
        Plant(3, 0, "linked", 0.2),
        Plant(4, 10, "linked", 0.3),
        Plant(5, 2, "linked", 0.4),
        Plant(7, 7, "linked", 0.5),
        Plant(8, 1, "linked", 0.6),
        Plant(9, 11, "linked", 0.75),
        Plant(11, 6, "linked", 0.9),
    ),
    "all": (
        Plant(0, 1, "previous", 0.7),
        Plant(0, 6, "uniform"),
        Plant(1, 4, "previous", 0.4),
        Plant(2, 9, "neighbour", 0.5),
        Plant(3, 2, "cls", 0.6),
        Plant(4, 7, "neighbour", 0.8),
        Plant(5, 1, "linked", 0.6),
        Plant(6, 10, "sink", 0.6),
        Plant(8, 3, "noun", 0.8),
        Plant(10, 5, "linked", 0.3),
    ),
    "null": (),
}


class Heads(nn.Module):
    """Self-attention in BERT's style, without dropout."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.num_attention_heads = heads
        self.attention_head_size = CAPACITY
        self.query = nn.Linear(WIDTH, heads * CAPACITY, bias=False)
        self.key = nn.Linear(WIDTH, heads * CAPACITY, bias=False)
        self.value = nn.Linear(WIDTH, heads * CAPACITY, bias=False)

    def forward(
        self, hidden: Float[Tensor, "batch joint width"], attention_mask: Float[Tensor, "batch 1 1 joint"]
    ) -> Float[Tensor, "batch joint value"]:
        """What each position gathers; `attention_mask` is added to the scores."""
        q, k, v = (
            linear(hidden).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        weights = (q @ k.mT / sqrt(self.attention_head_size) + attention_mask).softmax(-1)
        return (weights @ v).transpose(1, 2).flatten(2)


class Output(nn.Module):
    """The output projection and the residual connection."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.dense = nn.Linear(heads * CAPACITY, WIDTH, bias=False)

    def forward(
        self, gathered: Float[Tensor, "batch joint value"], hidden: Float[Tensor, "batch joint width"]
    ) -> Float[Tensor, "batch joint width"]:
        return hidden + self.dense(gathered)


class Layer(nn.Module):
    """One layer, with the names that BERT's has."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": Heads(heads), "output": Output(heads)})

    def forward(
        self, hidden: Float[Tensor, "batch joint width"], attention_mask: Float[Tensor, "batch 1 1 joint"]
    ) -> Float[Tensor, "batch joint width"]:
        gathered = self.attention["self"](hidden, attention_mask=attention_mask)
        return self.attention["output"](gathered, hidden)


class Planted(nn.Module):
    """A planted model; `plants` says what was planted. Make one with `build` or `load`."""

    def __init__(self, plants: Sequence[Plant], layers: int, heads: int, seed: int) -> None:
        super().__init__()
        self.plants = tuple(plants)
        self.seed = seed
        self.layer = nn.ModuleList(Layer(heads) for _ in range(layers))

    def forward(self, batch: Batch) -> Float[Tensor, "batch joint width"]:
        """Run a batch through all layers; it needs tokens, links and boxes, since these are what the heads know.

        The tokens should be words alone, as `tokenize` gives them: the model adds [CLS] and [SEP].

        Raises:
            ValueError: for a batch without tokens, or with more words or regions than `codes.CAPACITY`.
        """
        hidden = codes.encode(batch, self.seed)
        mask = torch.where(codes.present(batch), 0.0, MASKED)[:, None, None, :]
        for layer in self.layer:
            hidden = layer(hidden, mask)
        return hidden

    def attention_positions(self, batch: Batch) -> "Positions":
        """Which positions of the sequence are words and which are regions; [CLS] and [SEP] are neither."""
        from crosslook.capture import Positions

        here = codes.present(batch)
        is_word, is_region = torch.zeros_like(here), torch.zeros_like(here)
        is_word[:, codes.words(batch)] = here[:, codes.words(batch)]
        is_region[:, codes.regions(batch)] = here[:, codes.regions(batch)]
        return Positions(text=None, image=None, joint_text=is_word, joint_image=is_region)

    def places(self, batch: Batch) -> Places:
        """Where words and regions stand, as `crosslook.models.protocol` has it."""
        n, device = len(batch), batch.region_mask.device
        words, regions = (
            torch.arange(at.start, at.stop, device=device) for at in (codes.words(batch), codes.regions(batch))
        )
        own = torch.eye(len(regions), dtype=torch.bool, device=device).expand(n, -1, -1)
        return Places(words.expand(n, -1), own, words.expand(n, -1), regions.expand(n, -1))


def tokenize(caption: str) -> tuple[list[int], list[tuple[int, int]]]:
    """What lies between blanks, for `collate`; no [CLS] and [SEP]. Ids are mere places, since no head reads them."""
    spans = [match.span() for match in re.finditer(r"\S+", caption)]
    return list(range(len(spans))), spans


def load(name: str, seed: int = 0) -> Planted:
    """One of the models of `PLANTS`, with 12 layers of 12 heads."""
    return build(PLANTS[name], seed=seed)


@torch.no_grad()
def build(plants: Sequence[Plant] = (), layers: int = 12, heads: int = 12, seed: int = 0) -> Planted:
    """A model with these heads planted and all others random.

    Args:
        plants: what to plant, at most one for a head.
        layers, heads: the size of the model.
        seed: of the random heads and of the noise that they read.

    Raises:
        ValueError: for a plant outside the model, or two in one place.
    """
    places = {}
    for plant in plants:
        if not (0 <= plant.layer < layers and 0 <= plant.head < heads):
            raise ValueError(f"plants: expected places within {layers} layers of {heads} heads, got {plant}")
        if (plant.layer, plant.head) in places:
            raise ValueError(f"plants: expected one for a head, got {places[plant.layer, plant.head]} and {plant}")
        places[plant.layer, plant.head] = plant
    model = Planted(plants, layers, heads, seed)
    generator = torch.Generator().manual_seed(seed)
    for index, layer in enumerate(model.layer):
        inner, dense = layer.attention["self"], layer.attention["output"].dense
        for head in range(heads):
            part = slice(head * CAPACITY, (head + 1) * CAPACITY)
            # Drawn for planted heads too, so that planting one leaves all others as they are.
            query, key, value = _random(generator)
            plant = places.get((index, head))
            if plant is not None:
                query, key, value = _planted(plant)
            inner.query.weight[part], inner.key.weight[part], inner.value.weight[part] = query, key, value
        dense.weight.zero_()
        for head in range(heads):
            dense.weight[BLOCKS["scratch"], head * CAPACITY : head * CAPACITY + codes.SCRATCH] = torch.eye(
                codes.SCRATCH
            )
    return model.eval().requires_grad_(False)


def _planted(plant: Plant) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value weights `(CAPACITY, WIDTH)` of one head."""
    query, key, value = (torch.zeros(CAPACITY, WIDTH) for _ in range(3))
    value[0, BLOCKS["one"]] = 1
    if plant.what == "sink":
        value[0, BLOCKS["cls"]] = QUIET - 1
    if plant.mass is None:
        return query, key, value
    odds = log(plant.mass / (1 - plant.mass))
    same = torch.eye(CAPACITY)
    if plant.what in ("cls", "sink"):
        query[0, BLOCKS["one"]], query[0, BLOCKS["log_rest"]] = odds, 1
        key[0, BLOCKS["cls"]] = 1
    elif plant.what == "previous":
        # Row p of the query reads word p + 1: a word asks for the one before.
        query[:-1, BLOCKS["word"]], query[:-1, BLOCKS["word_log"]] = odds * same[1:], same[1:]
        key[:, BLOCKS["word"]] = same
    else:
        blocks = {"linked": ("last", "inner"), "noun": ("last",), "neighbour": ("nearest",)}[plant.what]
        for block in blocks:
            query[:, BLOCKS[block]], query[:, BLOCKS[f"{block}_log"]] = odds * same, same
        key[:, BLOCKS["region"]] = same
    return query * sqrt(CAPACITY), key, value


def _random(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The same for a random head; its scores have a standard deviation between about 0.5 and 2."""
    read = torch.cat([torch.arange(WIDTH)[BLOCKS[name]] for name in READ_BY_RANDOM])
    query, key, value = (torch.zeros(CAPACITY, WIDTH) for _ in range(3))
    for weights in (query, key, value):
        weights[:, read] = torch.randn(CAPACITY, len(read), generator=generator) / sqrt(len(read))
    sharpness = 0.5 + 1.5 * torch.rand((), generator=generator)
    return query * sharpness, key, value
