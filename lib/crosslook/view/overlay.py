"""Attention on a picture: regions shaded by what they are given, words by what they give or get, own boxes dotted."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from crosslook.data.sample import Sample
from crosslook.view import style
from crosslook.view.boxes import POINTS, SIZE, SPACING, _grid, _lines, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGE, TEXT = style.COLOURS["vermilion"], style.COLOURS["sky"]
"""The colours of attention to regions and to words."""
STRONGEST = 0.65
"""How opaque the shade of the largest weight is; others in proportion."""
NAMED = 3
"""So many regions at most have their share written on them, of those with at least half of the largest."""


def regions(
    sample: Sample, weights: Float[np.ndarray, " region"], ax: "Axes", *, own: Iterable[int] = (), label: str = ""
) -> None:
    """Draw the picture of a sample with its regions shaded by weight, relative to the largest.

    Args:
        sample: with a picture.
        weights: one a region, at least 0; an undefined one (NaN) is not shaded.
        ax: where to draw.
        own: regions to outline: those that belong to the phrase or word in question.
        label: written in the corner, a head's name for example.

    Raises:
        ValueError: for another number of weights than regions, a negative weight, or a sample without a picture.
    """
    from matplotlib.patches import Rectangle

    boxes = sample.regions.boxes
    weights = _weights("weights", weights, len(boxes), f"one for each region of sample {sample.image_id}")
    picture(sample, ax)
    everything = {"width": sample.width, "height": sample.height, "fc": "white", "alpha": 0.35, "lw": 0}
    ax.add_patch(Rectangle((-0.5, -0.5), **everything))  # pale, so that shades are seen
    largest = max(float(weights.max(initial=0)), 1e-9)
    order = np.argsort(weights, kind="stable")
    for region in order:
        strength = float(weights[region]) / largest
        corner, width, height = _edges(boxes[region])
        if strength > 0:
            ax.add_patch(Rectangle(corner, width, height, fc=IMAGE, alpha=STRONGEST * strength, lw=0))
    for region in sorted(own):
        corner, width, height = _edges(boxes[region])
        for line, colour, thick in (("-", "white", 2.4), ((0, (1.2, 1.2)), style.INK, 1.4)):
            ax.add_patch(Rectangle(corner, width, height, fill=False, ec=colour, lw=thick, ls=line))
    # From the corner's label on: a share is not written where it would cover one that is there.
    written = [(0.0, 0.0)] if label else []
    for region in order[::-1][:NAMED]:
        x, y = (float(edge) for edge in boxes[region][:2])
        y = 0.08 * sample.height if label and x < 0.2 * sample.width and y < 0.08 * sample.height else y
        free = all(abs(x - a) > 0.12 * sample.width or abs(y - b) >= 0.07 * sample.height for a, b in written)
        if free and weights[region] > 0 and weights[region] >= largest / 2:
            written.append((x, y))
            frame = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
            ax.text(x + 2, y + 2, f"{100 * weights[region]:.0f} %", fontsize=7, va="top", bbox=frame, clip_on=True)
    if label:
        frame = {"facecolor": style.INK, "edgecolor": "none", "pad": 2.5}
        place = {"transform": ax.transAxes, "va": "top", "fontweight": "bold"}
        ax.text(0.012, 0.985, label, color="white", fontsize=8, bbox=frame, **place)


def sentence(sample: Sample, weights: Float[np.ndarray, " word"] | None, ax: "Axes") -> None:
    """Write the caption below the picture, its words shaded by weight, relative to the largest.

    Args:
        sample: whose caption.
        weights: one for each word between blanks, at least 0 (NaN: not shaded); None shades nothing.
        ax: where the picture is.

    Raises:
        ValueError: for another number of weights than words, or a negative one.
    """
    words = sample.caption.split()
    given = np.zeros(len(words)) if weights is None else weights
    given = _weights("weights", given, len(words), f"one for each word of {sample.caption!r}")
    largest = max(float(given.max(initial=0)), 1e-9)
    ax.apply_aspect()
    place, figure = ax.get_position(original=True), ax.get_figure()
    indent = (ax.get_position().x0 - place.x0) * figure.get_figwidth() * POINTS
    lines = _lines(sample, place.width * figure.get_figwidth() * POINTS, SIZE)
    at = iter(given / largest)
    for number, line in enumerate(lines, 1):
        for x, text, coloured in line:
            shade = {"facecolor": TEXT, "alpha": float(next(at)), "edgecolor": "none", "pad": 1.2}
            ax.annotate(
                text,
                xy=(0, 0),
                xycoords="axes fraction",
                xytext=(x - indent, -number * SIZE * SPACING),
                textcoords="offset points",
                fontsize=SIZE,
                fontweight="bold" if coloured else "normal",
                color=style.INK,
                bbox=shade,
                annotation_clip=False,
            )


def overlays(
    samples: Sequence[Sample],
    weights: Sequence[Float[np.ndarray, " region"]],
    *,
    words: Sequence[Float[np.ndarray, " word"] | None] | None = None,
    own: Sequence[Iterable[int]] | None = None,
    labels: Sequence[str] | None = None,
    columns: int = 3,
) -> "Figure":
    """Several pictures with their captions, or one under several heads (the same sample again and again).

    Args:
        samples: with pictures.
        weights: for each, one a region.
        words: for each, one a word, or None.
        own: for each, the regions to outline.
        labels: for each, what to write in its corner.
        columns: pictures in a row.

    Raises:
        ValueError: when one of these has another length than samples, or as `regions` and `sentence` do.
    """
    for name, each in (("weights", weights), ("words", words), ("own", own), ("labels", labels)):
        if each is not None and len(each) != len(samples):
            raise ValueError(f"{name}: expected {len(samples)}, one for each sample, got {len(each)}")

    def draw(index: int, ax: "Axes") -> None:
        outlined, label = own[index] if own else (), labels[index] if labels else ""
        regions(samples[index], weights[index], ax, own=outlined, label=label)
        sentence(samples[index], words[index] if words else None, ax)

    return _grid(samples, columns, draw)


def _weights(name: str, given: Float[np.ndarray, " place"], count: int, what: str) -> Float[np.ndarray, " place"]:
    if np.shape(given) != (count,):
        raise ValueError(f"{name}: expected {count} numbers, {what}, got shape {np.shape(given)}")
    found = np.nan_to_num(np.asarray(given, dtype=np.float64), nan=0)
    if (found < 0).any():
        raise ValueError(f"{name}: expected numbers of at least 0, got {found.min()}")
    return found


def _edges(box: Float[np.ndarray, "4"]) -> tuple[tuple[float, float], float, float]:
    """The corner, width and height that cover a box's first to last pixel."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    return (x1 - 0.5, y1 - 0.5), x2 - x1 + 1, y2 - y1 + 1
