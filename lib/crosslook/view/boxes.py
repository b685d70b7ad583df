"""Pictures with the boxes of a caption's phrases, and the caption with its phrases in the same colours."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from crosslook.data.sample import Sample
from crosslook.view import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def colours(sample: Sample) -> list[str]:
    """One colour a phrase: the same for phrases of one chain, grey for a phrase without a box."""
    chains = list(dict.fromkeys(phrase.chain for phrase in sample.phrases if len(phrase.boxes)))
    return [style.colour(chains.index(phrase.chain)) if len(phrase.boxes) else style.GREY for phrase in sample.phrases]


def show(sample: Sample, ax: "Axes") -> None:
    """Draw the picture of a sample with the boxes of its phrases, and below it the caption.

    Raises:
        ValueError: if the sample has no image at hand.
    """
    picture(sample, ax)
    for phrase, colour in zip(sample.phrases, colours(sample), strict=True):
        for box in phrase.boxes:
            outline(ax, box, colour)
    caption(sample, ax)


def picture(sample: Sample, ax: "Axes") -> None:
    """Draw the bare picture, in pixels."""
    if sample.image is None:
        raise ValueError(f"sample {sample.image_id}: expected an image, got none; give the data set its images folder")
    ax.imshow(sample.image, extent=(-0.5, sample.width - 0.5, sample.height - 0.5, -0.5))
    ax.set_axis_off()
    ax.set_anchor("N")


def outline(ax: "Axes", box: Float[np.ndarray, "4"], colour: str, width: float = 2.0, dashed: bool = False) -> None:
    """Draw one box (xyxy, first and last pixel) with a white rim, so that it shows on any picture."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    x1, y1, x2, y2 = (float(edge) for edge in box)
    rim = [Stroke(linewidth=width + 1.5, foreground="white"), Normal()]
    corner = (x1 - 0.5, y1 - 0.5)
    ax.add_patch(
        Rectangle(
            corner,
            x2 - x1 + 1,
            y2 - y1 + 1,
            fill=False,
            lw=width,
            ls=(0, (4, 2)) if dashed else "-",
            ec=colour,
            path_effects=rim,
            clip_on=False,
        )
    )


def caption(sample: Sample, ax: "Axes", size: float = 9.0) -> None:
    """Write the caption below the picture, wrapped to its width, phrases bold and in their colours, darkened."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    plain, bold = FontProperties(size=size), FontProperties(size=size, weight="bold")

    def width(text: str, font: FontProperties) -> float:
        # How far the pen moves: the extent of the letters alone leaves out the room around them.
        with_margins = TextPath((0, 0), f"n{text}n", prop=font).get_extents().width
        return with_margins - TextPath((0, 0), "nn", prop=font).get_extents().width

    space = width(" ", plain)
    figure = ax.get_figure()
    if figure.get_layout_engine() is None:
        ax.apply_aspect()
    else:
        figure.draw_without_rendering()  # slow, but only now are places final
    room = ax.get_window_extent().width * 72 / figure.dpi
    x, line = 0.0, 0
    for text, colour in words(sample):
        font = bold if colour else plain
        if x and x + width(text, font) > room:
            x, line = 0.0, line + 1
        ax.annotate(
            text,
            xy=(0, 0),
            xycoords="axes fraction",
            xytext=(x, -(line + 1) * size * 1.45),
            textcoords="offset points",
            fontproperties=font,
            color=style.ink(colour) if colour else style.INK,
            annotation_clip=False,
        )
        x += width(text, font) + space


def words(sample: Sample) -> list[tuple[str, str | None]]:
    """The caption's words in order, each with the colour of the phrase it belongs to (None outside of phrases)."""
    import re

    spans = [(phrase.start, phrase.end, colour) for phrase, colour in zip(sample.phrases, colours(sample), strict=True)]
    return [
        (word.group(), next((colour for start, end, colour in spans if start <= word.start() < end), None))
        for word in re.finditer(r"\S+", sample.caption)
    ]


def gallery(samples: Sequence[Sample], columns: int = 3) -> "Figure":
    """Several samples side by side, each above its caption."""
    return _grid(samples, columns, show)


def _grid(samples: Sequence[Sample], columns: int, draw: Callable[[Sample, "Axes"], None]) -> "Figure":
    from matplotlib import pyplot as plt

    columns = min(columns, len(samples))
    rows = -(-len(samples) // columns)
    size = (3.4 * columns, 3.5 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="none")
    figure.subplots_adjust(left=0.01, right=0.99, top=0.99, bottom=0.22 / rows, wspace=0.07, hspace=0.32)
    for ax in axes.flat[len(samples) :]:
        ax.set_axis_off()
    for ax, sample in zip(axes.flat, samples, strict=False):
        draw(sample, ax)
    return figure


def links(samples: Sequence[Sample], found: Sequence[Sequence[frozenset[int]]], columns: int = 3) -> "Figure":
    """Several samples with the regions that their phrases were linked with: solid where right, dashed where not.

    Args:
        samples: as for `gallery`.
        found: for each sample, for each of its phrases the indices of the linked regions.
        columns: pictures in a row.
    """

    def draw(sample: Sample, ax: "Axes") -> None:
        picture(sample, ax)
        said = found[next(index for index, each in enumerate(samples) if each is sample)]
        for phrase, regions, gold, colour in zip(sample.phrases, said, sample.links, colours(sample), strict=True):
            if len(phrase.boxes):
                for index in sorted(regions):
                    outline(ax, sample.regions.boxes[index], colour, dashed=index not in gold)
        caption(sample, ax)

    return _grid(samples, columns, draw)
