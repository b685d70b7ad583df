"""Architectures as pictures: layer by layer, which modality looks at which, and what shares its weights."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from crosslook.view.style import COLOURS, GREY, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crosslook.models.architectures import Attend

STREAMS = ("text", "image")
OWN = {"text": COLOURS["orange"], "image": COLOURS["sky"]}
SHARED = COLOURS["blue"]


def architectures(models: "Mapping[str, Sequence[Attend]]") -> "Figure":
    """One column for each model, with its attention sublayers, the first at the bottom.

    Each is a square of four: rows are what looks (text above, image below), columns what is looked at (text left, image
    right); a quarter that is filled exists. Quarters of one colour use the same weights, and a framed square is one
    sequence of both.
    """
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    tallest = max(map(len, models.values()))
    figure, axes = plt.subplots(figsize=(1.2 * len(models) + 1.2, 0.55 * tallest + 0.7))
    for column, sublayers in enumerate(models.values()):
        left = 1.9 * column
        for level, gates in enumerate(sublayers):
            for row, asking in enumerate(STREAMS):
                for place, key in enumerate(STREAMS):
                    face = (SHARED if gates.shared else OWN[asking]) if key in getattr(gates, asking) else "none"
                    corner = (left + 0.5 * place, 1.2 * level + 0.5 * (1 - row))
                    axes.add_patch(Rectangle(corner, 0.5, 0.5, facecolor=face, edgecolor=GREY, linewidth=0.5))
            if gates.joint:
                frame = (left - 0.05, 1.2 * level - 0.05)
                axes.add_patch(Rectangle(frame, 1.1, 1.1, facecolor="none", edgecolor=INK, linewidth=1.5))
    axes.set(
        xlim=(-0.3, 1.9 * len(models) - 0.6), ylim=(-0.2, 1.2 * tallest), aspect="equal", title="Who looks at whom"
    )
    axes.set_xticks([1.9 * column + 0.5 for column in range(len(models))], list(models))
    axes.set_yticks([1.2 * level + 0.5 for level in range(tallest)], [str(level + 1) for level in range(tallest)])
    axes.set_ylabel("attention sublayer")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    colours = {"text looks": OWN["text"], "the image looks": OWN["image"], "both, same weights": SHARED}
    handles = [Rectangle((0, 0), 1, 1, facecolor=colour, label=name) for name, colour in colours.items()]
    title = "rows look at columns:\ntext first, image second"
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), title=title, alignment="left")
    return figure
