"""One look for every figure of the book."""

from collections.abc import Mapping
from types import MappingProxyType

# Okabe and Ito's palette, told apart by colour-blind readers and in grey; black is for text.
COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "orange": "#E69F00",
        "sky": "#56B4E9",
        "green": "#009E73",
        "blue": "#0072B2",
        "vermilion": "#D55E00",
        "purple": "#CC79A7",
        "yellow": "#F0E442",
    }
)
CYCLE = ("blue", "vermilion", "green", "purple", "orange", "sky", "yellow")
GREY = "#767676"
INK = "#1b1f24"
HEAT = "cividis"
"""The colour map of heat maps: even in lightness, so it prints in grey and reads the same to everyone."""


def use() -> None:
    """Set matplotlib's defaults for the book. White figures: the theme lays a light panel behind them in dark mode."""
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(
        {
            "axes.axisbelow": True,
            "axes.edgecolor": GREY,
            "axes.grid": False,
            "axes.labelcolor": INK,
            "axes.prop_cycle": cycler(color=[COLOURS[name] for name in CYCLE]),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": "large",
            "axes.titleweight": "bold",
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "figure.figsize": (8.0, 4.0),
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "image.cmap": HEAT,
            "legend.frameon": False,
            "savefig.dpi": 110,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    )


def colour(index: int) -> str:
    """The colour of the index-th thing of a figure; they come round again after seven."""
    return COLOURS[CYCLE[index % len(CYCLE)]]
