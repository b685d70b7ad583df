"""Which models the zoo trains, and on what: one line each. Names are those that `crosslook.models.load` knows."""

from dataclasses import dataclass

from crosslook.models.pretraining import Objective

EPOCHS = 24
CAPTIONER = 8
"""Epochs of the captioners."""
DEFAULT = Objective()


@dataclass(frozen=True)
class Recipe:
    """How a model came about.

    `start` names the recipe whose weights it begins with, `degrade` how much worse than it could be the detector is
    that its regions come from (`crosslook.data.detector.detect`).
    """

    architecture: str
    objective: Objective = DEFAULT
    seed: int = 0
    start: str | None = None
    degrade: float = 0.0
    epochs: int = EPOCHS


ARCHITECTURES = ("uniter", "lxmert", "ort", "vilbert", "vl-bert", "visualbert", "bert")
"""In the order in which they are trained."""

_TEXT, _IMAGE = Objective(modality="text"), Objective(modality="image")

RECIPES: dict[str, Recipe] = {
    **{name: Recipe(name, _TEXT if name == "bert" else DEFAULT) for name in ARCHITECTURES},
    "ort": Recipe("ort", epochs=CAPTIONER),
    # The captioner without geometry attention, and with the boxes that the published program gives it.
    "ort-flat": Recipe("ort-flat", epochs=CAPTIONER),
    "ort-relative": Recipe("ort-relative", epochs=CAPTIONER),
    # More seeds.
    **{f"{name}-seed{seed}": Recipe(name, seed=seed) for name in ("uniter", "lxmert") for seed in (1, 2)},
    # What it learnt first.
    "uniter-text": Recipe("uniter", _TEXT),
    "uniter-image": Recipe("uniter", _IMAGE),
    "uniter-text-first": Recipe("uniter", start="uniter-text"),
    "uniter-image-first": Recipe("uniter", start="uniter-image"),
    # The loss for regions.
    "uniter-xe": Recipe("uniter", Objective(regions="xe")),
    # Which regions are hidden with one that is asked for; "uniter" itself is IoU over 0.4.
    "uniter-alone": Recipe("uniter", Objective(threshold=None)),
    **{
        f"uniter-{measure}{round(100 * threshold)}": Recipe("uniter", Objective(threshold=threshold, measure=measure))
        for measure in ("iou", "iot")
        for threshold in (0.2, 0.4, 0.6)
        if (measure, threshold) != ("iou", 0.4)
    },
    # Worse detectors.
    **{f"uniter-degrade{level}": Recipe("uniter", degrade=float(level)) for level in (1, 2, 3, 4)},
}
