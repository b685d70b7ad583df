"""All heads of a model at one look: a map of layers by heads, and lines by layer. Both count from 1."""

from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from crosslook.view import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 48
"""Up to so many heads have their values written in."""
SIGNED = "PuOr"
"""The colour map of values on both sides of zero, which is white in its middle."""
MARKERS = "osD^vPX"
NOTHING: Mapping[str, Any] = MappingProxyType({})


def heads(
    values: Float[np.ndarray, "layer head"],
    *,
    title: str,
    unit: str = "",
    interval: Float[np.ndarray, "2 layer head"] | None = None,
    significant: Bool[np.ndarray, "layer head"] | None = None,
    published: Float[np.ndarray, "layer head"] | Float[np.ndarray, " _"] | None = None,
) -> "Figure":
    """A map of all heads: layer 1 at the top, head 1 on the left, as in the papers.

    Values of one sign go from dark to bright. Where both signs occur, zero is white and the scale symmetric. An
    undefined value (NaN) is hatched, never coloured. Up to 48 heads have their values written in.

    Args:
        values: one number a head.
        title: what is shown, above the map.
        unit: what the colours mean, beside their scale; written as a percentage where it is "%" (values from 0 to 1).
        interval: lower and upper end of each; half its width is written below the value.
        significant: heads to outline, for example those that pass correction over all heads.
        published: the paper's numbers, NaN where it prints none. By head: a second map on the same scale. By layer
            (any number of layers): two columns, the mean over our heads and the paper's number.

    Raises:
        ValueError: for an interval, significant or published of another shape, or when no value is defined.
    """
    from matplotlib import pyplot as plt

    values = np.asarray(values)
    layers, n_heads = values.shape
    if not np.isfinite(values).any():
        raise ValueError("values: expected at least one finite number, got none")
    _same_shape("interval", interval, (2, *values.shape))
    _same_shape("significant", significant, values.shape)
    paper = None if published is None else np.asarray(published, dtype=float)
    if paper is not None and paper.ndim == 2:
        _same_shape("published", paper, values.shape)

    columns = [("here" if paper is not None else "", values, range(1, n_heads + 1))]
    if paper is not None and paper.ndim == 2:
        columns.append(("paper", paper, range(1, n_heads + 1)))
    elif paper is not None:
        pair = np.full((max(layers, len(paper)), 2), np.nan)
        pair[:layers, 0] = _mean(values)
        pair[: len(paper), 1] = paper
        columns.append(("by layer", pair, ("mean\nhere", "paper")))

    look = _scale(np.concatenate([shown.ravel() for _, shown, _ in columns]))
    widths = [shown.shape[1] for _, shown, _ in columns]
    cell = min(0.62 if values.size <= FEW else 0.42, 8.4 / sum(widths))  # inches; a page is about 8 wide
    size = (
        max(cell * sum(widths) + 1.7 + 0.4 * len(columns), 5),
        cell * max(len(shown) for _, shown, _ in columns) + 1.4,
    )
    figure, panels = plt.subplots(1, len(columns), figsize=size, width_ratios=widths, squeeze=False)
    drawn = None
    for number, (ax, (name, shown, ticks)) in enumerate(zip(panels[0], columns, strict=True)):
        drawn = _map(ax, shown, look)
        ax.set_xticks(range(shown.shape[1]), ticks)
        ax.set_yticks(range(len(shown)), range(1, len(shown) + 1))
        ax.set_xlabel("head" if number == 0 or paper is None or paper.ndim == 2 else "")
        if name:
            ax.set_title(name, fontsize="medium", fontweight="normal")
        if values.size <= FEW:
            _write(ax, shown, drawn, unit, interval if number == 0 else None)
    panels[0, 0].set_ylabel("layer")
    if significant is not None:
        _outline(panels[0, 0], significant)
    figure.colorbar(drawn, ax=list(panels[0]), label=unit, pad=0.02, format=_percent if unit == "%" else None)
    figure.suptitle(title, x=0.01, ha="left", fontsize="large", fontweight="bold")
    return figure


def _same_shape(name: str, given: Any, wanted: tuple[int, ...]) -> None:
    if given is not None and np.shape(given) != wanted:
        raise ValueError(f"{name}: expected shape {wanted}, got {np.shape(given)}")


def _mean(values: Float[np.ndarray, "layer head"]) -> Float[np.ndarray, " layer"]:
    """The mean of each layer's defined values, NaN where there is none."""
    defined = np.isfinite(values)
    return np.where(defined, values, 0).sum(1) / np.where(defined.any(1), defined.sum(1), np.nan)


def _scale(shown: Float[np.ndarray, " value"]) -> dict[str, Any]:
    """The colour map and its ends, the same for all panels."""
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if low < 0 < high:
        end = max(-low, high)
        return {"cmap": SIGNED, "vmin": -end, "vmax": end}
    return {"cmap": style.HEAT, "vmin": low, "vmax": high if high > low else low + 1e-9}


def _map(ax: "Axes", shown: Float[np.ndarray, "layer column"], look: Mapping[str, Any]) -> Any:
    """One panel of coloured cells on a hatched ground, which shows where a value is undefined."""
    from matplotlib.patches import Rectangle

    for layer, column in np.argwhere(~np.isfinite(shown)):
        corner = (column - 0.5, layer - 0.5)
        ax.add_patch(Rectangle(corner, 1, 1, fc="white", ec="#b5bcc4", hatch="////", lw=0, zorder=2))
    drawn = ax.imshow(np.ma.masked_invalid(shown), aspect="equal", **look)
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    return drawn


def _write(ax: "Axes", shown: np.ndarray, drawn: Any, unit: str, interval: np.ndarray | None) -> None:
    """Write the values into the cells, in the ink that can be read on each colour."""
    for layer, column in np.argwhere(np.isfinite(shown)):
        value = shown[layer, column]
        ground = style.luminance(drawn.cmap(drawn.norm(value))[:3])
        ink = "white" if 1.05 / (ground + 0.05) > (ground + 0.05) / 0.05 else "black"
        ax.text(column, layer, _number(value, unit), ha="center", va="center", fontsize=8, color=ink)
        if interval is not None and np.isfinite(interval[:, layer, column]).all():
            half = (interval[1, layer, column] - interval[0, layer, column]) / 2
            text = f"± {_number(half, unit)}"
            ax.text(column, layer + 0.3, text, ha="center", va="center", fontsize=5.5, color=ink)


def _number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.0f}" if abs(value) >= 0.0995 else f"{100 * value:.1f}"
    text = f"{value:.2f}" if abs(value) < 9.995 else f"{value:.0f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.995 else text


def _percent(value: float, position: int | None = None) -> str:
    return f"{100 * value:.3g}"


def _outline(ax: "Axes", significant: Bool[np.ndarray, "layer head"]) -> None:
    """Frames, black in white, so that they are seen on dark and on bright cells."""
    from matplotlib.patches import Rectangle

    for layer, head in np.argwhere(significant):
        for width, colour in ((3.4, "white"), (1.7, "black")):
            frame = Rectangle((head - 0.45, layer - 0.45), 0.9, 0.9, fill=False, ec=colour, lw=width, zorder=3)
            ax.add_patch(frame)


def lines(
    values: Mapping[str, Float[np.ndarray, " _"]],
    *,
    title: str,
    unit: str = "",
    intervals: Mapping[str, Float[np.ndarray, "2 _"]] = NOTHING,
    controls: Sequence[str] = (),
    published: Mapping[str, Float[np.ndarray, " _"]] = NOTHING,
) -> "Figure":
    """Values by layer, each with its band, its control beside it and the paper's numbers.

    Lines differ in colour and in marker. Controls are dashed and have hollow markers; the paper's numbers, in black,
    are dotted. A value that is not defined leaves a gap.

    Args:
        values: one line each, controls among them, by the name that its label gives; they may differ in layers.
        title: what is shown, above the lines.
        unit: of the values; "%" for shares from 0 to 1, as in `heads`.
        intervals: for some of them lower and upper ends, drawn as a band.
        controls: names of those lines that are controls.
        published: the paper's numbers by layer, NaN where it prints none.

    Raises:
        ValueError: for no values, or for an interval or a control that belongs to none of them.
    """
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator

    if not values:
        raise ValueError("values: expected at least one line, got none")
    for argument, names in (("intervals", intervals), ("controls", controls)):
        strangers = [name for name in names if name not in values]
        if strangers:
            raise ValueError(f"{argument}: expected names among {', '.join(values)}; got {', '.join(strangers)}")

    figure, ax = plt.subplots(figsize=(7.2, 3.4))
    for number, (name, line) in enumerate(values.items()):
        hue, control = style.colour(number), name in controls
        layers = np.arange(1, len(line) + 1)
        ground = {"mfc": "white", "ls": "--"} if control else {"mec": "white"}
        ax.plot(layers, line, marker=MARKERS[number % len(MARKERS)], color=hue, ms=7, label=name, **ground)
        if name in intervals:
            _same_shape(f"intervals of {name!r}", intervals[name], (2, len(line)))
            ax.fill_between(layers, *intervals[name], color=hue, alpha=0.18, lw=0)
    for number, (name, line) in enumerate(published.items()):
        marker = "xP+*"[number % 4]
        label = f"{name} (paper)"
        ax.plot(np.arange(1, len(line) + 1), line, marker=marker, ms=7, mew=1.8, ls=":", color=style.INK, label=label)
    ax.set(xlabel="layer", ylabel=unit, title=title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if unit == "%":
        ax.yaxis.set_major_formatter(_percent)
    ax.grid(axis="y", color="#e3e6ea")
    figure.legend(loc="outside right upper")
    return figure


def names(chosen: Bool[np.ndarray, "layer head"]) -> list[str]:
    """Heads as a reader names them: `L6H2` is the second head of the sixth layer."""
    layers, n_heads = chosen.shape
    return [f"L{layer + 1}H{head + 1}" for layer, head in product(range(layers), range(n_heads)) if chosen[layer, head]]
