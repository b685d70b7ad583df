"""Overlap of boxes: intersection over union, over target, and which regions to hide with a target.

Boxes are `xyxy` in pixels. Two conventions are in use. Read as real intervals, (0, 0, 10, 10) is 10 pixels wide
(`inclusive=False`); read as first and last pixel, as Pascal VOC and the published studies do, it is 11 pixels wide
(`inclusive=True`).
"""

import math

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

ELEMENTS = 1 << 17  # pairs at a time: what stays in cache, and in memory that is used again


def iou(
    a: Num[Tensor, "*#batch n 4"], b: Num[Tensor, "*#batch m 4"], inclusive: bool = False
) -> Float[Tensor, "*batch n m"]:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: boxes `(..., n, 4)`, xyxy, pixels. Leading axes of `a` and `b` broadcast.
        b: boxes `(..., m, 4)`.
        inclusive: the right and bottom edge belong to the box (+1 pixel).

    Returns:
        Between 0 and 1; 0 where a box has no area. Computed in float32 or wider. A padding box (0, 0, 0, 0) has no
        area, but with `inclusive=True` it is one pixel large: mask it, or pad with (0, 0, -1, -1).

    Raises:
        ValueError: if `a` or `b` is not `(..., n, 4)`, or a coordinate is not finite, or a right edge lies left of
            its left edge (or a bottom edge above its top edge), as when `xywh` is taken for `xyxy`.
    """
    return _overlap(_extents("a", a, inclusive), _extents("b", b, inclusive), union=True)


def iot(
    target: Num[Tensor, "*#batch n 4"], other: Num[Tensor, "*#batch m 4"], inclusive: bool = False
) -> Float[Tensor, "*batch n m"]:
    """Intersection over the area of `target`: how much of each target is covered by each other box.

    Unlike IoU it is not symmetric: a large region that swallows a small target scores 1. Frank et al. (2021, section 4)
    find the regions that may give a target away with it (Eq. 4). Arguments, result and errors are those of `iou`.
    """
    return _overlap(_extents("target", target, inclusive), _extents("other", other, inclusive), union=False)


def co_mask(
    targets: Num[Tensor, "*#batch n 4"],
    others: Num[Tensor, "*#batch m 4"],
    threshold: float = 0.5,
    measure: str = "iot",
    inclusive: bool = False,
) -> Bool[Tensor, "*batch m"]:
    """Which of `others` to hide together with the targets: those strictly over the threshold with any of them.

    Args:
        targets: `(..., n, 4)`; with none (n = 0) nothing is hidden.
        others: `(..., m, 4)`.
        threshold: 0.5 in Frank et al. (2021). Below 0 it takes every box, from 1 upwards none.
        measure: `"iot"` or `"iou"`.
        inclusive: as in `iou`.

    Raises:
        ValueError: for another measure, and as in `iou`.
    """
    if measure not in ("iot", "iou"):
        raise ValueError(f"measure: expected 'iot' or 'iou', got {measure!r}")
    extents = _extents("targets", targets, inclusive), _extents("others", others, inclusive)
    return (_overlap(*extents, union=measure == "iou") > threshold).any(dim=-2)


def _extents(name: str, boxes: Tensor, inclusive: bool) -> Tensor:
    """Boxes as real intervals, in a precision in which areas of images are exact."""
    if boxes.ndim < 2 or boxes.shape[-1] != 4:
        raise ValueError(f"{name}: expected shape (..., n, 4), got {tuple(boxes.shape)}")
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    if inclusive:
        boxes = boxes + boxes.new_tensor([0, 0, 1, 1])
    wrong = ~(boxes.isfinite().all(-1) & (boxes[..., 2:] >= boxes[..., :2]).all(-1))
    if wrong.any():
        place = wrong.nonzero()[0].tolist()
        edges = "x1 <= x2 + 1, y1 <= y2 + 1" if inclusive else "x1 <= x2, y1 <= y2"
        got = (boxes[tuple(place)] - boxes.new_tensor([0, 0, 1, 1] if inclusive else [0, 0, 0, 0])).tolist()
        raise ValueError(f"{name}{place}: expected finite xyxy with {edges}, got {got}")
    return boxes


def _overlap(a: Tensor, b: Tensor, union: bool) -> Tensor:
    batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    n, m = a.shape[-2], b.shape[-2]
    # Coordinates of their own, next to each other in memory: x1, y1, x2, y2, each (image, box).
    a, b = (
        boxes.expand(*batch, -1, 4).reshape(math.prod(batch), -1, 4).permute(2, 0, 1).contiguous()
        if boxes.numel()
        else boxes.new_empty(4, math.prod(batch), boxes.shape[-2])
        for boxes in (a, b)
    )
    found = a.new_empty(a.shape[1], n, m)
    rows = max(1, min(n, ELEMENTS // max(1, m)))
    images = max(1, ELEMENTS // max(1, rows * m))
    for image in range(0, len(found), images):
        some = b[:, image : image + images, None, :]
        for row in range(0, n, rows):
            block = a[:, image : image + images, row : row + rows, None]
            found[image : image + images, row : row + rows] = _block(block, some, union)
    return found.view(*batch, n, m)


def _block(a: Tensor, b: Tensor, union: bool) -> Tensor:
    width = torch.minimum(a[2], b[2]).sub_(torch.maximum(a[0], b[0])).clamp_(min=0)
    height = torch.minimum(a[3], b[3]).sub_(torch.maximum(a[1], b[1])).clamp_(min=0)
    intersection = width.mul_(height)
    whole = (_area(a) + _area(b)).sub_(intersection) if union else _area(a)
    # Where the whole is 0 the intersection is 0 too, so any divisor gives the promised 0.
    return intersection.div_(whole.clamp_(min=torch.finfo(whole.dtype).tiny))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])
