"""One look for every figure of the book."""

from collections.abc import Mapping, Sequence
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
            "text.hinting": "no_hinting",  # letters as wide as computed: words that are set one by one keep distance
            "xtick.color": INK,
            "ytick.color": INK,
        }
    )


def colour(index: int) -> str:
    """The colour of the index-th thing of a figure; they come round again after seven."""
    return COLOURS[CYCLE[index % len(CYCLE)]]


def ink(colour: str) -> str:
    """The same hue, dark enough to be read as text on white: a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(colour)
    while 1.05 / (luminance((red, green, blue)) + 0.05) < 4.5:
        red, green, blue = 0.97 * red, 0.97 * green, 0.97 * blue
    return to_hex((red, green, blue))


def luminance(rgb: Sequence[float]) -> float:
    """Relative luminance of an sRGB colour (0 to 1), as the Web Content Accessibility Guidelines define it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in rgb]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
