"""Names, attributes and features of regions, from their pixels: small trained heads on an ImageNet network.

What a detector hands to a vision-and-language model for each region: a feature vector, a distribution over classes
with background, the class's name, and attributes with confidences (as Anderson et al. 2018). Nothing here looks at how
an image came about, so it works on any picture; the classes are those of Emoji Entities, on which it was trained.
"""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from PIL import Image
from torch import Tensor, nn

from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.world import FOLDER
from crosslook.data.features import DIM as BACKBONE_DIM
from crosslook.data.features import check_boxes, extract
from crosslook.data.sample import Regions

WEIGHTS = FOLDER / "detector.safetensors"
DIM = 128
BACKGROUND = "background"
MATCH = 0.5
"""A region shows the object that it overlaps most, if their IoU is at least this; else it is background."""
SHOWN = 0.3
"""Attributes less sure than this are left out."""


class Heads(nn.Module):
    """What is trained: backbone features -> 128 features -> class logits and attribute logits.

    `spread` is the standard deviation of each of the 128 features over the training regions.
    """

    def __init__(self, classes: tuple[str, ...], attributes: tuple[str, ...]) -> None:
        super().__init__()
        self.classes, self.attributes = classes, attributes
        self.projection = nn.Sequential(nn.Linear(BACKBONE_DIM, DIM), nn.LayerNorm(DIM), nn.GELU())
        self.name = nn.Linear(DIM, len(classes))
        # A crop is always 64 pixels wide, so how large the region was has to be told.
        self.attribute = nn.Linear(DIM + 3, len(attributes))
        self.register_buffer("spread", torch.ones(DIM))

    def attribute_logits(
        self, features: Float[Tensor, "region 128"], geometry: Float[Tensor, "region 3"]
    ) -> Float[Tensor, "region attribute"]:
        return self.attribute(torch.cat([features, geometry], dim=-1))


def geometry(boxes: Float[np.ndarray, "region 4"], width: int, height: int) -> Float32[Tensor, "region 3"]:
    """Logarithms of width and height and the lower edge of boxes (edge to edge), relative to the image."""
    x1, y1, x2, y2 = np.asarray(boxes, dtype=np.float32).T
    rows = np.stack([np.log((x2 - x1) / width), np.log((y2 - y1) / height), y2 / height], axis=1)
    return torch.from_numpy(rows.astype(np.float32))


@cache
def heads(path: Path = WEIGHTS) -> Heads:
    """The trained heads, in float32. Raises ValueError naming the file when it does not hold them."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        net = Heads(tuple(about["classes"]), tuple(about["attributes"]))
        net.load_state_dict(tensors)
    except (SafetensorError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: expected the detector's weights ({error})") from error
    return net.eval().requires_grad_(False)


@cache
def fingerprint(path: Path = WEIGHTS) -> str:
    """Identifies the trained heads: features made with others do not fit."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def detect(image: Image.Image, boxes: Float[np.ndarray, "region 4"], degrade: float = 0.0, seed: int = 0) -> Regions:
    """Look at the given regions of any picture.

    Args:
        image: in any mode and size.
        boxes: `xyxy` in pixels with the last pixel included, as in a `Sample`. A right or lower edge that lies on the
            image's own edge, as boxes without that pixel have it, is taken back by one.
        degrade: how much noise is added to the features before they are named, in standard deviations of each; 0 is
            the detector as trained.
        seed: of the noise; give every image its own.

    Raises:
        ValueError: naming the first box that has no area or leaves the image, or a `degrade` below 0.
    """
    limits = np.array([image.width, image.height], dtype=np.float32)
    edges = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    edges[:, 2:] = np.where(edges[:, 2:] <= limits, np.minimum(edges[:, 2:] + 1, limits), edges[:, 2:])
    edges = check_boxes(edges, image.width, image.height)
    with torch.inference_mode():
        features = heads().projection(extract(image, edges))
    return describe(features, edges, image.width, image.height, degrade, seed)


@torch.inference_mode()
def describe(
    features: Float[Tensor, "region 128"],
    edges: Float[np.ndarray, "region 4"],
    width: int,
    height: int,
    degrade: float = 0.0,
    seed: int = 0,
) -> Regions:
    """What follows from features. `edges` are boxes from edge to edge; the rest is as in `detect`."""
    net = heads()
    features = degraded(features, degrade, seed)
    probs = net.name(features).softmax(-1)
    sure = net.attribute_logits(features, geometry(edges, width, height)).sigmoid()
    return Regions(
        boxes=np.asarray(edges, dtype=np.float32) - np.array([0, 0, 1, 1], dtype=np.float32),
        labels=tuple(net.classes[i] for i in probs.argmax(-1).tolist()),
        attributes=tuple(_shown(net.attributes, row) for row in sure.tolist()),
        class_probs=probs.numpy(),
        features=features.numpy(),
        classes=net.classes,
    )


def _shown(names: tuple[str, ...], confidences: list[float]) -> tuple[tuple[str, float], ...]:
    """Those sure enough, surest first."""
    pairs = sorted(zip(confidences, names, strict=True), reverse=True)
    return tuple((name, confidence) for confidence, name in pairs if confidence >= SHOWN)


def degraded(features: Float[Tensor, "region 128"], degrade: float, seed: int) -> Float[Tensor, "region 128"]:
    """Features with Gaussian noise of `degrade` standard deviations. The same seed gives the same noise, scaled."""
    if not degrade >= 0:
        raise ValueError(f"degrade: expected a number from 0 upwards, got {degrade}")
    if degrade == 0:
        return features
    noise = np.random.default_rng(seed).standard_normal(tuple(features.shape), dtype=np.float32)
    return features + degrade * heads().spread * torch.from_numpy(noise)


def matches(scene: Scene, edges: Float[np.ndarray, "region 4"]) -> Int64[np.ndarray, "region"]:
    """Which thing of a scene each box (edge to edge) shows, as an index; -1 where it is background."""
    from crosslook.boxes import iou

    owners = np.array([i for i, thing in enumerate(scene.things) for _ in thing.boxes])
    objects = torch.tensor([box for thing in scene.things for box in thing.boxes], dtype=torch.float32)
    best, which = iou(torch.as_tensor(edges, dtype=torch.float32), objects).max(-1)
    return np.where(best.numpy() >= MATCH, owners[which.numpy()], -1)
