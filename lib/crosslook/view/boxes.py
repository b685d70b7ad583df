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


PAGE, GAP = 8.0, 0.14
"""The width of a page and the space between pictures, in inches."""
DPI = 150  # sharp on a dense screen
SIZE, SPACING, POINTS = 9.0, 1.45, 72
"""Of captions: the size in points, from line to line in sizes; points in an inch."""


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
    ax.set_anchor("NW")  # so that a narrow picture starts where its caption does


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


def caption(sample: Sample, ax: "Axes", size: float = SIZE) -> None:
    """Write the caption below the picture, as wide as its place in the figure, phrases bold and in their colours."""
    figure = ax.get_figure()
    if figure.get_layout_engine() is None:
        ax.apply_aspect()
    else:
        figure.draw_without_rendering()  # slow, but only now are places final
    place = ax.get_position(original=True)
    room = place.width * figure.get_figwidth() * POINTS
    indent = (ax.get_position().x0 - place.x0) * figure.get_figwidth() * POINTS
    for number, line in enumerate(_lines(sample, room, size), 1):
        for x, text, colour in line:
            ax.annotate(
                text,
                xy=(0, 0),
                xycoords="axes fraction",
                xytext=(x - indent, -number * size * SPACING),
                textcoords="offset points",
                fontsize=size,
                fontweight="bold" if colour else "normal",
                color=style.ink(colour) if colour else style.INK,
                annotation_clip=False,
            )


def _lines(sample: Sample, room: float, size: float) -> list[list[tuple[float, str, str | None]]]:
    """The caption's words, wrapped to `room` points: (place in the line, word, colour)."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    plain, bold = FontProperties(size=size), FontProperties(size=size, weight="bold")

    def width(text: str, font: FontProperties) -> float:
        # How far the pen moves: the extent of the letters alone leaves out the room around them.
        with_margins = TextPath((0, 0), f"n{text}n", prop=font).get_extents().width
        return with_margins - TextPath((0, 0), "nn", prop=font).get_extents().width

    space = width(" ", plain)
    lines: list[list[tuple[float, str, str | None]]] = [[]]
    x = 0.0
    for text, colour in words(sample):
        long = width(text, bold if colour else plain)
        if x and x + long > room:
            lines.append([])
            x = 0.0
        lines[-1].append((x, text, colour))
        x += long + space
    return lines


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
    return _grid(samples, columns, lambda index, ax: show(samples[index], ax))


def _grid(samples: Sequence[Sample], columns: int, draw: Callable[[int, "Axes"], None]) -> "Figure":
    """A figure as wide as a page, its rows as high as their pictures and captions need."""
    from matplotlib import pyplot as plt

    columns = min(columns, len(samples))
    cell = min(PAGE / columns, PAGE / 2)
    width = cell - GAP
    rows = [range(start, min(start + columns, len(samples))) for start in range(0, len(samples), columns)]
    pictures = [max(min(samples[i].height / samples[i].width, 1) for i in row) * width for row in rows]
    lines = [max(len(_lines(samples[i], width * POINTS, SIZE)) for i in row) for row in rows]
    heights = [high + (n + 0.6) * SIZE * SPACING / POINTS for high, n in zip(pictures, lines, strict=True)]
    total = sum(heights) + GAP * len(rows)
    figure = plt.figure(figsize=(cell * columns, total), dpi=DPI, layout="none")
    top = total
    for row, high, below in zip(rows, pictures, heights, strict=True):
        for column, index in enumerate(row):
            place = ((column * cell + GAP / 2) / (cell * columns), (top - GAP / 2 - high) / total)
            draw(index, figure.add_axes((*place, width / (cell * columns), high / total)))
        top -= below + GAP
    return figure


def links(samples: Sequence[Sample], found: Sequence[Sequence[frozenset[int]]], columns: int = 3) -> "Figure":
    """Several samples with the regions that their phrases were linked with: solid where right, dashed where not.

    Args:
        samples: as for `gallery`.
        found: for each sample, for each of its phrases the indices of the linked regions.
        columns: pictures in a row.
    """

    def draw(index: int, ax: "Axes") -> None:
        sample = samples[index]
        picture(sample, ax)
        for phrase, regions, gold, colour in zip(
            sample.phrases, found[index], sample.links, colours(sample), strict=True
        ):
            if len(phrase.boxes):
                for region in sorted(regions):
                    outline(ax, sample.regions.boxes[region], colour, dashed=region not in gold)
        caption(sample, ax)

    return _grid(samples, columns, draw)
