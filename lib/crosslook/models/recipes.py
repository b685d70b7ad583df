"""Which models the zoo trains, and on what: one line each. Names are those that `crosslook.models.load` knows."""

from dataclasses import dataclass

from crosslook.models.pretraining import Objective

EPOCHS = 48
"""Epochs of the encoders: how often each image is seen, with one of its captions."""
SHORT = 12
"""Epochs of the models that differ in one thing from "uniter-short" or "lxmert-short"."""
WIDE = 6
"""Epochs of the models of MiniLM's shape, nine times as much work as others."""
CAPTIONER = 8
"""Epochs of the captioners."""
MINILM = "minilm"
"""A start that is no recipe: the weights of a real language model (`crosslook.models.minilm`)."""
DEFAULT = Objective()


@dataclass(frozen=True)
class Recipe:
    """How a model came about.

    `start` names the recipe whose weights it begins with, or is `MINILM`. `degrade` says how much worse than it could
    be the detector is that its regions come from (`crosslook.data.detector.detect`).
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
    # What all below differ from in one thing.
    **{f"{name}-short": Recipe(name, epochs=SHORT) for name in ("uniter", "lxmert")},
    # Another seed.
    **{f"{name}-seed{seed}": Recipe(name, seed=seed, epochs=SHORT) for name in ("uniter", "lxmert") for seed in (1, 2)},
    # What it learnt first.
    "uniter-text": Recipe("uniter", _TEXT, epochs=SHORT),
    "uniter-image": Recipe("uniter", _IMAGE, epochs=SHORT),
    "uniter-text-first": Recipe("uniter", start="uniter-text", epochs=SHORT),
    "uniter-image-first": Recipe("uniter", start="uniter-image", epochs=SHORT),
    # A real language model first, and what it differs from in that one thing.
    "uniter-wide": Recipe("uniter-wide", epochs=WIDE),
    "uniter-wide-minilm": Recipe("uniter-wide", start=MINILM, epochs=WIDE),
    # The loss for regions.
    "uniter-xe": Recipe("uniter", Objective(regions="xe"), epochs=SHORT),
    # Asked only for regions that are hidden, as in the papers.
    "uniter-hidden": Recipe("uniter", Objective(shown=False), epochs=SHORT),
    # Which regions are hidden with one that is asked for; in the others those with an IoU over 0.4.
    "uniter-alone": Recipe("uniter", Objective(threshold=None), epochs=SHORT),
    **{
        f"uniter-{measure}{round(100 * threshold)}": Recipe(
            "uniter", Objective(threshold=threshold, measure=measure), epochs=SHORT
        )
        for measure in ("iou", "iot")
        for threshold in (0.2, 0.4, 0.6)
        if (measure, threshold) != ("iou", 0.4)
    },
    # Worse detectors.
    **{f"uniter-degrade{level}": Recipe("uniter", degrade=float(level), epochs=SHORT) for level in (1, 2, 3, 4)},
}
