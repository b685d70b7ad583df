"""How boxes lie to each other: against the formula, pair by pair, and what must follow from it."""

from math import cos, log, sin

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosslook.models import geometry


def _slowly(boxes, size, units):
    """The 64 numbers of each pair of one image's boxes, in plain Python."""
    width, height = size if units == "relative" else (1, 1)
    described = []
    for x1, y1, x2, y2 in boxes:
        x1, y1, x2, y2 = x1 / width, y1 / height, x2 / width, y2 / height
        described.append(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1 + 1, y2 - y1 + 1))
    table = []
    for xm, ym, wm, hm in described:
        row = []
        for xn, yn, wn, hn in described:
            four = [
                log(max(abs(xm - xn) / wm, 0.001)),
                log(max(abs(ym - yn) / hm, 0.001)),
                log(wm / wn),
                log(hm / hn),
            ]
            angles = [100 * number / 1000 ** (k / 8) for number in four for k in range(8)]
            row.append([sin(angle) for angle in angles] + [cos(angle) for angle in angles])
        table.append(row)
    return table


def _boxes(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(*shape, 2, generator=generator) * 200
    return torch.cat([first, first + torch.rand(*shape, 2, generator=generator) * 100], -1)


@pytest.mark.parametrize("units", geometry.UNITS)
def test_as_the_formula_says_for_each_pair(units):
    boxes, sizes = _boxes(3, 5).round(), torch.tensor([[320.0, 240.0], [500.0, 375.0], [300.0, 300.0]])
    found = geometry.features(boxes, sizes, units)
    expected = [_slowly(*each, units) for each in zip(boxes.tolist(), sizes.tolist(), strict=True)]
    # Angles reach 700, of which float32 knows four digits after the point.
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=2e-3)


def test_by_hand():
    # Centres (4.5, 4.5) and (24.5, 4.5); 10 x 10 and 20 x 10 pixels.
    boxes = torch.tensor([[[0.0, 0, 9, 9], [15, 0, 34, 9]]])
    found = geometry.displacements(boxes, torch.tensor([[100.0, 50.0]]), "pixel")[0]
    least = log(0.001)
    expected = [
        [[least, least, 0, 0], [log(20 / 10), least, log(10 / 20), 0]],
        [[log(20 / 20), least, log(20 / 10), 0], [least, least, 0, 0]],
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_relative_boxes_by_hand():
    """Divided by the image's size they still count a pixel more: 0.09 and 0.19 wide become 1.09 and 1.19."""
    boxes = torch.tensor([[[0.0, 0, 9, 9], [15, 0, 34, 9]]])
    found = geometry.displacements(boxes, torch.tensor([[100.0, 50.0]]), "relative")[0, 0, 1]
    expected = torch.tensor([log(0.2 / 1.09), log(0.001), log(1.09 / 1.19), 0])
    torch.testing.assert_close(found, expected)


@given(seed=st.integers(0, 1000), dx=st.integers(-50, 50), dy=st.integers(-50, 50))
def test_moving_all_boxes_changes_nothing(seed, dx, dy):
    boxes, sizes = _boxes(1, 4, seed=seed).round(), torch.tensor([[320.0, 240.0]])
    moved = boxes + torch.tensor([dx, dy, dx, dy])
    found, expected = (geometry.displacements(some, sizes, "pixel") for some in (moved, boxes))
    torch.testing.assert_close(found, expected)


@given(seed=st.integers(0, 1000), units=st.sampled_from(geometry.UNITS))
def test_turning_a_pair_round(seed, units):
    """Ratios of sizes change sign; distances are counted in the other box's size."""
    boxes, sizes = _boxes(1, 4, seed=seed), torch.tensor([[320.0, 240.0]])
    found = geometry.displacements(boxes, sizes, units)
    torch.testing.assert_close(found[..., 2:], -found[..., 2:].transpose(1, 2))
    far = (found[..., :2] > log(0.0011)).all(-1) & (found.transpose(1, 2)[..., :2] > log(0.0011)).all(-1)
    other = found.transpose(1, 2)[..., :2] - found[..., 2:]
    torch.testing.assert_close(found[..., :2][far], other[far], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("units", geometry.UNITS)
def test_padding_and_points_give_numbers(units):
    """Padding is a box of zeros; equal boxes have no distance at all."""
    boxes = torch.tensor([[[0.0, 0, 0, 0], [0, 0, 0, 0], [319, 239, 319, 239], [0, 0, 319, 239]]])
    found = geometry.features(boxes, torch.tensor([[320.0, 240.0]]), units)
    assert found.isfinite().all()
    assert found.abs().max() <= 1
    torch.testing.assert_close(found[0, 0, 0], found[0, 2, 2])


def test_no_regions():
    assert geometry.features(torch.zeros(2, 0, 4), torch.ones(2, 2)).shape == (2, 0, 0, geometry.DIM)


def test_each_image_by_its_own_size():
    boxes, sizes = _boxes(2, 3), torch.tensor([[320.0, 240.0], [640.0, 480.0]])
    both = geometry.features(boxes, sizes, "relative")
    for row in range(2):
        torch.testing.assert_close(both[row], geometry.features(boxes[[row]], sizes[[row]], "relative")[0])


def test_other_units_are_an_error():
    with pytest.raises(ValueError, match="units: expected one of pixel, relative, got 'inches'"):
        geometry.features(_boxes(1, 2), torch.ones(1, 2), "inches")
