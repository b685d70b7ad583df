"""What a detector proposes, what it calls things, and how often it is wrong."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crosslook.data.detector_quality import Quality
from crosslook.data.sample import Sample
from crosslook.view import style
from crosslook.view.boxes import outline, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BACKGROUND = "background"


def surest(sample: Sample, count: int) -> list[int]:
    """The regions with the surest names, at most one of each name and none of the background, surest first."""
    regions = sample.regions
    if regions.class_probs is None or regions.labels is None or regions.classes is None:
        raise ValueError(f"sample {sample.image_id}: expected detected regions with class_probs, labels and classes")
    things = [name != BACKGROUND for name in regions.classes]
    order = np.argsort(-regions.class_probs[:, things].max(1), kind="stable")
    first: dict[str, int] = {}
    for index in order.tolist():
        first.setdefault(regions.labels[index], index)
    return [index for name, index in first.items() if name != BACKGROUND][:count]


def proposals(sample: Sample, count: int = 7) -> "Figure":
    """All regions of a sample (left), and the surest with their names (right)."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.3))
    for ax in (left, right):
        picture(sample, ax)
    left.set_title(f"{len(sample.regions.boxes)} proposals")
    right.set_title("the surest names")
    for box in sample.regions.boxes:
        outline(left, box, style.colour(0), width=0.8)
    for place, index in enumerate(surest(sample, count)):
        box, name = sample.regions.boxes[index], sample.regions.labels[index].replace("_", " ")
        outline(right, box, style.colour(place), width=1.5)
        frame = {"facecolor": "white", "edgecolor": style.colour(place), "pad": 1.5, "linewidth": 1}
        right.text(box[0] + 3, box[1] + 3, name, fontsize=7, va="top", bbox=frame)
    return figure


def confusion(quality: Quality) -> "Figure":
    """Types that regions show against types they are called, as shares of each row."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 5))
    total = quality.confusion.sum(1)
    share = quality.confusion / total[:, None].clip(1)
    drawn = ax.imshow(share, vmin=0, vmax=1)
    places = range(len(quality.types))
    ax.set_xticks(places, quality.types, rotation=40, ha="right")
    ax.set_yticks(places, [f"{name} ({count:,})" for name, count in zip(quality.types, total.tolist(), strict=True)])
    ax.set(
        xlabel="what the detector calls them", ylabel="what regions show (how many)", title="Types, shown and called"
    )
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.005:
            ink = "black" if value > 0.6 else "white"
            ax.text(column, row, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=8, color=ink)
    figure.colorbar(drawn, ax=ax, label="share of the row")
    return figure


def mistakes(quality: Quality) -> "Figure":
    """The commonest mistakes, by category."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 3.4))
    names = [f"{shown} called {called}".replace("_", " ") for shown, called, _ in quality.confused][::-1]
    ax.barh(names, [count for *_, count in quality.confused][::-1], color=style.colour(0))
    ax.set(xlabel="regions", title="Commonest mistakes")
    return figure


def dial(degrade: Sequence[float], curve: Sequence[Quality]) -> "Figure":
    """Accuracy with its intervals as the detector is degraded, against always giving the commonest name."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 3.4))
    accuracy = np.array([each.accuracy for each in curve])
    low, high = np.array([each.interval for each in curve]).T
    ax.errorbar(degrade, accuracy, [accuracy - low, high - accuracy], fmt="o-", capsize=3, label="detector")
    ax.axhline(curve[0].commonest, ls="--", color=style.colour(1), label="always the commonest name")
    ax.set(xlabel="degrade: noise in standard deviations of the features", ylabel="regions named rightly", ylim=(0, 1))
    ax.set_title("The dial")
    ax.legend()
    return figure
