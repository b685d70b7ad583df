"""Overlap of boxes against pycocotools: `.venv/bin/python benchmarks/boxes.py` writes benchmarks/results/boxes.json."""

import json
from pathlib import Path

import measure
import numpy as np
import torch
from pycocotools import mask

from crosslook import boxes

RESULTS = Path(__file__).with_name("results") / "boxes.json"


def draw(*shape: int) -> torch.Tensor:
    corner, size = (torch.rand(2, *shape, 2, generator=torch.Generator().manual_seed(0)) * 300).unbind()
    return torch.cat([corner, corner + size], -1)


def coco(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Takes xywh in float64, one image at a time."""
    a, b = (torch.cat([x[:, :2], x[:, 2:] - x[:, :2]], -1).double().numpy() for x in (a, b))
    return mask.iou(a, b, np.zeros(len(b), dtype=np.uint8))


def main() -> None:
    many, large = draw(1000, 36), draw(5000)
    found = {"machine": measure.machine(), "cases": []}
    for name, ours, theirs in (
        (
            "1,000 images of 36 x 36",
            lambda: boxes.iou(many, many),
            lambda: [coco(image, image) for image in many],
        ),
        ("5,000 x 5,000", lambda: boxes.iou(large, large), lambda: coco(large, large)),
    ):
        seconds = measure.times({"crosslook": ours, "pycocotools": theirs}, seconds=5)
        found["cases"].append({"name": name, "seconds": seconds})
        print(name, seconds)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
