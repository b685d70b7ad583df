"""Overlap of boxes against pycocotools, a naive loop, and cases worked by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from crosslook import boxes

# A target of 4 x 4 and a region of 8 x 4 that share 3 x 4.
TARGET = torch.tensor([[2.0, 2, 6, 6]])
REGION = torch.tensor([[3.0, 2, 11, 6]])


def corners(limit: int = 12):
    """A box with whole-numbered corners, possibly without area."""
    edge = st.integers(0, limit)
    pair = st.tuples(edge, edge).map(sorted)
    return st.tuples(pair, pair).map(lambda xy: [xy[0][0], xy[1][0], xy[0][1], xy[1][1]])


def stacks(least: int = 0, most: int = 5):
    return st.lists(corners(), min_size=least, max_size=most).map(
        lambda rows: torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)
    )


def pixels(box, inclusive: bool) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (int(edge) for edge in box)
    return {(x, y) for x in range(x1, x2 + inclusive) for y in range(y1, y2 + inclusive)}


def naive(a, b, measure: str, inclusive: bool) -> np.ndarray:
    """Count pixels, pair by pair."""
    out = np.zeros((len(a), len(b)))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            p, q = pixels(one, inclusive), pixels(other, inclusive)
            whole = len(p | q) if measure == "iou" else len(p)
            out[i, j] = len(p & q) / whole if whole else 0
    return out


@settings(deadline=None, max_examples=60)
@given(stacks(), stacks(), st.booleans())
def test_counts_pixels(a, b, inclusive):
    np.testing.assert_allclose(boxes.iou(a, b, inclusive), naive(a, b, "iou", inclusive))
    np.testing.assert_allclose(boxes.iot(a, b, inclusive), naive(a, b, "iot", inclusive))


@settings(deadline=None, max_examples=60)
@given(stacks(1), stacks(1), st.booleans())
def test_agrees_with_pycocotools(a, b, inclusive):
    def xywh(each):
        return np.concatenate([each[:, :2], each[:, 2:] - each[:, :2] + inclusive], axis=1)

    for crowd, ours in ((0, boxes.iou), (1, boxes.iot)):
        theirs = coco.iou(xywh(a.numpy()), xywh(b.numpy()), [crowd] * len(b))
        np.testing.assert_allclose(ours(a, b, inclusive), np.nan_to_num(theirs), atol=1e-12)


def test_by_hand():
    assert boxes.iou(TARGET, REGION).item() == pytest.approx(12 / 36)
    assert boxes.iot(TARGET, REGION).item() == 12 / 16
    assert boxes.iot(REGION, TARGET).item() == 12 / 32, "the area of the first argument divides"
    assert boxes.iou(TARGET, REGION, inclusive=True).item() == pytest.approx(20 / 50)
    assert boxes.iot(TARGET, REGION, inclusive=True).item() == pytest.approx(20 / 25)
    touching = torch.tensor([[6.0, 2, 8, 6]])
    assert boxes.iou(TARGET, touching).item() == 0
    assert boxes.iou(TARGET, touching, inclusive=True).item() == pytest.approx(5 / (25 + 15 - 5))


@settings(deadline=None, max_examples=60)
@given(stacks(1), stacks(1), st.booleans())
def test_properties(a, b, inclusive):
    iou, iot = boxes.iou(a, b, inclusive), boxes.iot(a, b, inclusive)
    assert ((iou >= 0) & (iou <= 1) & (iot >= 0) & (iot <= 1)).all()
    assert (iou <= iot).all(), "the union holds the target"
    torch.testing.assert_close(iou, boxes.iou(b, a, inclusive).T, msg="IoU is symmetric")
    moved = boxes.iou(a + 7, b + 7, inclusive)
    torch.testing.assert_close(moved, iou, msg="only where boxes lie relative to each other matters")
    assert all(value in (0, 1) for value in boxes.iou(a, a, inclusive).diagonal().tolist())


@settings(deadline=None, max_examples=60)
@given(st.lists(stacks(3, 3), min_size=2, max_size=2), st.lists(stacks(2, 2), min_size=2, max_size=2))
def test_batches_are_what_one_by_one_gives(a, b):
    together = boxes.iou(torch.stack(a), torch.stack(b))
    assert together.shape == (2, 3, 2)
    torch.testing.assert_close(together, torch.stack([boxes.iou(x, y) for x, y in zip(a, b, strict=True)]))
    torch.testing.assert_close(boxes.iot(torch.stack(a), b[0]), torch.stack([boxes.iot(x, b[0]) for x in a]))


@pytest.mark.parametrize("elements", [1, 7, 100, 10_000])
def test_many_boxes_are_done_in_blocks_with_the_same_answer(elements, monkeypatch):
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(5, 13, 2, generator=random) * 100
    many = torch.cat([corner, corner + 30], dim=-1)
    expected = torch.stack([torch.cat([boxes.iou(row[None], image) for row in image]) for image in many])
    monkeypatch.setattr(boxes, "ELEMENTS", elements)
    torch.testing.assert_close(boxes.iou(many, many), expected)


def test_zero_area_gives_zero_and_its_gradient_is_finite():
    empty = torch.tensor([[3.0, 3, 3, 3], [0, 0, 0, 9]], requires_grad=True)
    for measure in (boxes.iou, boxes.iot):
        values = measure(empty, torch.cat([empty.detach(), TARGET]))
        assert (values == 0).all()
    boxes.iou(empty, TARGET).sum().backward()
    assert empty.grad.isfinite().all()


def test_gradient():
    a = TARGET.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda box: boxes.iou(box, REGION.double()), a)
    assert torch.autograd.gradcheck(lambda box: boxes.iot(box, REGION.double()), a)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.float32, torch.float64])
def test_precision(dtype):
    large = torch.tensor([[0, 0, 2000, 2000]], dtype=dtype)  # its area is over the range of float16
    half = torch.tensor([[0, 0, 1000, 2000]], dtype=dtype)
    answer = boxes.iot(large, half)
    assert answer.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert answer.item() == 0.5


def test_co_mask_by_hand():
    others = torch.cat([REGION, TARGET, torch.tensor([[4.0, 2, 9, 6], [20, 20, 30, 30]])])
    assert boxes.iot(TARGET, others)[0].tolist() == [0.75, 1, 0.5, 0]
    assert boxes.co_mask(TARGET, others).tolist() == [True, True, False, False], "exactly the threshold is not over it"
    assert boxes.co_mask(TARGET, others, measure="iou").tolist() == [False, True, False, False]
    assert boxes.co_mask(TARGET, others, threshold=0.8).tolist() == [False, True, False, False]
    assert boxes.co_mask(TARGET, others, threshold=-1).all()
    assert not boxes.co_mask(TARGET, others, threshold=1).any()


@settings(deadline=None, max_examples=60)
@given(stacks(), stacks(), st.floats(0, 1), st.sampled_from(["iou", "iot"]), st.booleans())
def test_co_mask_is_any_target_over_the_threshold(targets, others, threshold, measure, inclusive):
    over = (naive(targets, others, measure, inclusive) > threshold + 1e-9).any(0)
    under = (naive(targets, others, measure, inclusive) < threshold - 1e-9).all(0)
    found = boxes.co_mask(targets, others, threshold, measure, inclusive).numpy()
    assert found[over].all()
    assert not found[under].any()


def test_nothing_to_compare():
    none = torch.zeros(0, 4)
    assert boxes.iou(none, REGION).shape == (0, 1)
    assert boxes.iot(REGION, none).shape == (1, 0)
    assert boxes.co_mask(none, REGION).tolist() == [False]
    assert boxes.co_mask(REGION, none).shape == (0,)


@pytest.mark.parametrize(
    ("wrong", "inclusive", "message"),
    [
        ([[0.0, 0, 1, float("nan")]], False, r"b\[0\]: expected finite xyxy with x1 <= x2, y1 <= y2, got \[0.0, 0.0"),
        ([[0.0, 0, 1, 1], [0, 0, float("inf"), 1]], False, r"b\[1\]: expected finite"),
        ([[100.0, 100, 20, 30]], False, r"b\[0\]: .*got \[100.0, 100.0, 20.0, 30.0\]"),
        ([[4.0, 0, 2, 3]], True, r"b\[0\]: expected finite xyxy with x1 <= x2 \+ 1.*got \[4.0, 0.0, 2.0, 3.0\]"),
    ],
)
def test_boxes_that_are_none(wrong, inclusive, message):
    for measure in (boxes.iou, lambda a, b, inclusive: boxes.iot(b, a, inclusive)):
        with pytest.raises(ValueError, match=message if measure is boxes.iou else "target"):
            measure(TARGET, torch.tensor(wrong), inclusive)


def test_padding_in_the_inclusive_convention():
    """As documented: all zeros is one pixel there, (0, 0, -1, -1) is nothing."""
    corner = torch.tensor([[0.0, 0, 5, 5]])
    assert boxes.co_mask(torch.zeros(1, 4), corner, inclusive=True).tolist() == [True]
    assert boxes.co_mask(torch.tensor([[0.0, 0, -1, -1]]), corner, inclusive=True).tolist() == [False]


def test_wrong_arguments(plain):
    with pytest.raises(ValueError, match=r"a: expected shape \(\.\.\., n, 4\), got \(4,\)"):
        plain("boxes").iou(TARGET[0], REGION)
    with pytest.raises(ValueError, match=r"other: expected shape \(\.\.\., n, 4\), got \(1, 5\)"):
        plain("boxes").iot(TARGET, torch.zeros(1, 5))
    with pytest.raises(ValueError, match="measure: expected 'iot' or 'iou', got 'giou'"):
        boxes.co_mask(TARGET, REGION, measure="giou")
