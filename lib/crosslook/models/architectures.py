"""Five architectures as lists of sublayers, after the controlled study of Bugliarello et al. (2021).

A model has a stream of text and a stream of image positions. A sublayer updates one or both: by attention, to one or
both streams, or by a feed-forward network; `shared` says that both streams use the same weights. All else is the same,
so that architectures differ in nothing but this list, their embeddings and what they pool.
"""

from collections.abc import Iterable
from dataclasses import dataclass

TEXT, IMAGE, BOTH = ("text",), ("image",), ("text", "image")
EMBEDDINGS = ("uniter", "visualbert", "vl-bert", "vilbert", "lxmert", "text")


@dataclass(frozen=True)
class Attend:
    """An attention sublayer: what the queries of the text stream look at, and those of the image stream.

    Nothing (`()`) where a stream passes by.

    Raises:
        ValueError: for what none of the architectures has and the encoder does not do: queries of one stream that see
            both, unless those of the other do too and the weights are shared; weights shared with a stream that passes.
    """

    text: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    shared: bool = False

    def __post_init__(self) -> None:
        if BOTH in (self.text, self.image) and not (self.text == self.image and self.shared):
            raise ValueError(
                f"sublayers: expected both streams to see both with shared weights, or neither, got {self}"
            )
        if self.shared and not (self.text and self.image):
            raise ValueError(f"sublayers: expected two streams to share weights, got {self}")
        if (self.text == IMAGE) != (self.image == TEXT):
            raise ValueError(f"sublayers: expected streams to look at each other in the same sublayer, got {self}")

    @property
    def joint(self) -> bool:
        """Whether text and image are one sequence here."""
        return self.text == BOTH


@dataclass(frozen=True)
class Feed:
    """A feed-forward sublayer: which streams go through it."""

    text: bool = False
    image: bool = False
    shared: bool = False

    def __post_init__(self) -> None:
        if self.shared and not (self.text and self.image):
            raise ValueError(f"sublayers: expected two streams to share weights, got {self}")


Sublayer = Attend | Feed


@dataclass(frozen=True)
class Config:
    """All that a model is, but its weights. Sizes are widths, unless they say otherwise.

    `positions`: longest text. `types`: segments. `features`, `classes`: of the regions. `locations`: numbers that
    describe a box, 5 (corners and area, as shares of the image) or 4. `whole_image`: a row for the whole image first.
    `coordinates`: VL-BERT's sines for each number of a box. `shortest_ends`: see `embeddings.VlBert`.
    `region_head_norm`: layer norm in the head for regions. `standardise`: see `embeddings.Standard`.
    """

    embeddings: str
    sublayers: tuple[Sublayer, ...]
    vocab: int
    features: int
    classes: int
    width: int = 128
    heads: int = 8
    feed_forward: int = 512
    pooled: int = 128
    positions: int = 64
    types: int = 2
    locations: int = 5
    whole_image: bool = True
    coordinates: int = 0
    shortest_ends: bool = False
    region_head_norm: bool = True
    standardise: bool = False
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.embeddings not in EMBEDDINGS:
            raise ValueError(f"embeddings: expected one of {', '.join(EMBEDDINGS)}, got {self.embeddings!r}")
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of the width {self.width}, got {self.heads}")
        if self.locations not in (4, 5):
            raise ValueError(f"locations: expected 4 or 5, got {self.locations}")
        if self.embeddings == "vl-bert" and 8 * self.coordinates != self.features:
            raise ValueError(
                f"coordinates: expected an eighth of the {self.features} features (VL-BERT's box codes are as wide "
                f"as they are), got {self.coordinates}"
            )


JOINT = (Attend(BOTH, BOTH, shared=True), Feed(True, True, shared=True))
TEXT_ONLY = (Attend(text=TEXT), Feed(text=True))
SIDE_BY_SIDE = (Attend(TEXT, IMAGE), Feed(True, True))


def single_stream(layers: int) -> tuple[Sublayer, ...]:
    """UNITER (Chen et al. 2020), VisualBERT (Li et al. 2019), VL-BERT (Su et al. 2020): one sequence of both."""
    return JOINT * layers


def lxmert(text: int, image: int, cross: int) -> tuple[Sublayer, ...]:
    """LXMERT (Tan & Bansal 2019): each stream alone, then layers that cross over first, with shared weights.

    Args:
        text: layers of the text alone, at least `image`.
        image: layers of the image alone.
        cross: layers that cross over.
    """
    crossing = (Attend(IMAGE, TEXT, shared=True), *SIDE_BY_SIDE)
    return SIDE_BY_SIDE * image + TEXT_ONLY * (text - image) + crossing * cross


def vilbert(text: int, cross: int) -> tuple[Sublayer, ...]:
    """ViLBERT (Lu et al. 2019): layers of text alone, then pairs that cross over and look at themselves.

    Args:
        text: layers of the text alone.
        cross: such pairs.
    """
    crossing = (Attend(IMAGE, TEXT), Feed(True, True), *SIDE_BY_SIDE)
    return TEXT_ONLY * text + crossing * cross


def small(name: str, *, vocab: int, features: int, classes: int) -> Config:
    """The zoo's model of that name, for the book's own world.

    Raises:
        ValueError: for another name.
    """
    sublayers: dict[str, tuple[Sublayer, ...]] = {
        "uniter": single_stream(6),
        "uniter-wide": single_stream(6),
        "visualbert": single_stream(6),
        "vl-bert": single_stream(6),
        "vilbert": vilbert(text=1, cross=2),
        "lxmert": lxmert(text=2, image=1, cross=2),
        "bert": TEXT_ONLY * 6,
    }
    if name not in sublayers:
        raise ValueError(f"name: expected one of {', '.join(sublayers)}, got {name!r}")
    embeddings = {"bert": "text", "uniter-wide": "uniter"}.get(name, name)
    differences: dict[str, dict[str, int]] = {
        "vl-bert": {"coordinates": features // 8, "types": 3},
        # The shape of MiniLM (Wang et al. 2020).
        "uniter-wide": {"width": 384, "heads": 12, "feed_forward": 1536},
    }
    only = differences.get(name, {})
    # No dropout: the settings in which models of this size learnt to look at the image had none.
    return Config(
        embeddings, sublayers[name], vocab, features, classes, standardise=name != "bert", dropout=0.0, **only
    )


def layers(sublayers: Iterable[Sublayer]) -> int:
    """How many layers: a layer ends with its feed-forward network."""
    return sum(isinstance(sublayer, Feed) for sublayer in sublayers)
