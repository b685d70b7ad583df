"""All heads and one picture: choose a picture, a phrase and a head, and see where the head looks."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets
from jaxtyping import Float, Float16

from crosslook.data.sample import Sample
from crosslook.view.live import Live

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH = 480
"""Pictures are shrunk to this many pixels before they go into a page."""


@dataclass(frozen=True, eq=False)
class Example:
    """A caption of a picture, and how much each head gives from each of its phrases to each region.

    `boxes` are xyxy in pixels of the picture, first and last pixel. `phrases` holds (start, end, linked regions) for
    each phrase, `weights` the attention of a phrase, averaged over its words, from 0 to 1; NaN where undefined. `names`
    says what the regions are called.
    """

    image: "Image"
    boxes: Float[np.ndarray, "region 4"]
    caption: str
    phrases: Sequence[tuple[int, int, frozenset[int]]]
    weights: Float16[np.ndarray, "phrase layer head region"]
    names: Sequence[str] | None = None


def example(
    sample: Sample, weights: Float[np.ndarray, "phrase layer head region"], names: Sequence[str] | None = None
) -> Example:
    """A sample with the weights of its phrases, as the explorer takes it.

    Raises:
        ValueError: for a sample without a picture.
    """
    image = sample.image
    if image is None:
        raise ValueError(f"sample {sample.image_id}: expected an image, got none; give the data set its images folder")
    if image.size != (sample.width, sample.height):
        image = image.resize((sample.width, sample.height))
    phrases = [(p.start, p.end, linked) for p, linked in zip(sample.phrases, sample.links, strict=True)]
    weights = np.asarray(weights).astype(np.float16)
    return Example(image, sample.regions.boxes, sample.caption, phrases, weights, names or sample.regions.labels)


class Explorer(Live):
    """Choose a picture and a phrase, see all heads, choose one, see where it looks.

    The grid of heads is coloured by the share of the phrase's attention that goes to its own regions; the picture is
    shaded by the chosen head. In Jupyter `example`, `phrase`, `layer` and `head` (all from 0) can be read, observed and
    set; a page without a kernel carries the same piece, with the examples in it.

    Args:
        examples: at least one, with at least one phrase each, all of the same numbers of layers and heads.

    Raises:
        ValueError: for no examples, or one whose weights do not fit its phrases and regions or the other examples.
        traitlets.TraitError: when a choice is set that does not exist.
    """

    source: ClassVar[str] = "explorer.js"
    look: ClassVar[str] = "explorer.css"

    data = traitlets.Dict().tag(sync=True, page=True)
    example = traitlets.Int(0, min=0).tag(sync=True, page=True)
    phrase = traitlets.Int(0, min=0).tag(sync=True, page=True)
    layer = traitlets.Int(0, min=0).tag(sync=True, page=True)
    head = traitlets.Int(0, min=0).tag(sync=True, page=True)

    def __init__(self, examples: Sequence[Example]):
        if not examples:
            raise ValueError("examples: expected at least one, got none")
        layers, heads = examples[0].weights.shape[1:3]
        packed = [_pack(each, place, (layers, heads)) for place, each in enumerate(examples)]
        layer, head = strongest(examples[0])
        data = {"layers": layers, "heads": heads, "examples": packed}
        super().__init__(data=data, layer=layer, head=head)

    def __repr__(self) -> str:
        size = self.data
        return f"Explorer of {len(size['examples'])} captions, {size['layers']} layers of {size['heads']} heads"

    @traitlets.observe("example")
    def _first_phrase(self, change: Mapping[str, Any]) -> None:
        # A page does the same; and the new caption may have fewer phrases.
        self.phrase = 0

    @traitlets.validate("example", "phrase", "layer", "head")
    def _there(self, proposal: Mapping[str, Any]) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        examples = self.data.get("examples", ())
        counts = {"example": len(examples), "layer": self.data.get("layers"), "head": self.data.get("heads")}
        if name == "phrase":
            counts["phrase"] = len(examples[self.example]["phrases"]) if examples else 1
        if not 0 <= value < counts[name]:
            raise traitlets.TraitError(f"{name}: expected 0 to {counts[name] - 1}, got {value}")
        return value


def strongest(example: Example) -> tuple[int, int]:
    """The head (layer, head, from 0) that gives most of the first phrase's attention to its own regions."""
    linked = sorted(example.phrases[0][2])
    mass = np.nan_to_num(example.weights[0].astype(np.float32)[..., linked].sum(-1), nan=-1)
    layer, head = np.unravel_index(mass.argmax(), mass.shape)
    return int(layer), int(head)


def _pack(example: Example, place: int, size: tuple[int, int]) -> dict[str, Any]:
    """An example as JSON: the picture as JPEG, the weights as half-precision numbers in base 64."""
    wanted = (len(example.phrases), *size, len(example.boxes))
    if not example.phrases:
        raise ValueError(f"examples[{place}]: expected at least one phrase, got none")
    if example.weights.shape != wanted:
        raise ValueError(
            f"examples[{place}]: expected weights (phrase, layer, head, region) of shape {wanted}, "
            f"got {example.weights.shape}"
        )
    strangers = sorted({region for *_, linked in example.phrases for region in linked} - set(range(len(example.boxes))))
    if strangers:
        raise ValueError(f"examples[{place}]: expected linked regions below {len(example.boxes)}, got {strangers}")
    picture = example.image.convert("RGB")
    picture.thumbnail((WIDTH, WIDTH))
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=82, optimize=True)
    halves = np.ascontiguousarray(example.weights, dtype="<f2").tobytes()
    return {
        "picture": "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode(),
        "size": list(example.image.size),
        "caption": example.caption,
        # From the first and last pixel to the edges, which is what is drawn.
        "boxes": [[round(edge, 1) for edge in (x1, y1, x2 + 1, y2 + 1)] for x1, y1, x2, y2 in example.boxes.tolist()],
        "names": [name.replace("_", " ") for name in example.names] if example.names else None,
        "phrases": [{"start": start, "end": end, "linked": sorted(linked)} for start, end, linked in example.phrases],
        "weights": base64.b64encode(halves).decode(),
    }
