"""How two boxes lie to each other, as numbers for attention (Herdade et al. 2019, section 3.2).

The paper measures boxes in pixels. The pipeline that was published with it divides them by the size of the image
first, and then still counts the last pixel in (+ 1), so that all widths and heights lie between 1 and 2: how far apart
two boxes are is measured in images then, and their sizes differ little. Both are here.
"""

import torch
from jaxtyping import Float
from torch import Tensor

UNITS = ("pixel", "relative")
DIM = 64
"""How many numbers a pair of boxes has: the sine and cosine of 4 displacements at 8 wavelengths."""
CLOSEST = 1e-3
"""Displacements of the centres are at least this much of a box's size, so that their logarithm exists."""


def displacements(
    boxes: Float[Tensor, "batch region 4"], sizes: Float[Tensor, "batch 2"], units: str = "pixel"
) -> Float[Tensor, "batch region region 4"]:
    """The displacement of box n from box m, at `[m, n]`: its centre's and its size's.

    log(|x_m - x_n| / w_m), log(|y_m - y_n| / h_m), log(w_m / w_n), log(h_m / h_n), where x, y are centres;
    signs as in the published program.

    Args:
        boxes: `xyxy`, pixels, the last pixel included.
        sizes: of the images, (width, height), in pixels.
        units: `"pixel"`, or `"relative"` for boxes divided by the size of the image, as in the published pipeline.

    Raises:
        ValueError: for other units.
    """
    if units not in UNITS:
        raise ValueError(f"units: expected one of {', '.join(UNITS)}, got {units!r}")
    if units == "relative":
        boxes = boxes / sizes.repeat(1, 2)[:, None]
    first, last = boxes.split(2, -1)
    centre, extent = (first + last) / 2, last - first + 1
    apart = (centre[:, :, None] - centre[:, None]).abs() / extent[:, :, None]
    ratio = extent[:, :, None] / extent[:, None]
    return torch.cat([apart.clamp(min=CLOSEST), ratio], -1).log()


def features(
    boxes: Float[Tensor, "batch region 4"], sizes: Float[Tensor, "batch 2"], units: str = "pixel"
) -> Float[Tensor, "batch region region 64"]:
    """`displacements` as waves: 100 times each, at wavelengths from 2 pi to 2 pi 1000^(7/8); sines, then cosines.

    Arguments and errors are those of `displacements`.
    """
    moved = displacements(boxes, sizes, units)
    frequencies = 1000 ** -(torch.arange(8, device=boxes.device) / 8)
    angles = (100 * moved[..., None] * frequencies).flatten(-2)
    return torch.cat([angles.sin(), angles.cos()], -1)
