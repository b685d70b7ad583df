"""Which patches of an image show a box, and which part of a picture an image processor hands on."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosslook.models.hub_decoders import window
from crosslook.models.hub_pixels import patches


def test_patches_by_hand():
    boxes = torch.tensor(
        [
            [0, 0, 9, 9],  # the first patch
            [5, 0, 19, 9],  # half of the first and the second
            [6, 0, 19, 9],  # less than half of the first
            [1, 1, 2, 2],  # next to nothing
            [0, 0, 29, 19],  # all
            [25, 15, 99, 99],  # most of it is outside: a quarter of the last patch, which is under its centre
            [30, 0, 40, 9],  # outside
            [-20, 0, -1, 9],  # outside, up to the edge
        ]
    ).float()
    expected = [[0], [0, 1], [1], [0], [0, 1, 2, 3, 4, 5], [5], [], []]
    found = patches(boxes, (30, 20), (2, 3))
    assert [row.nonzero()[:, 0].tolist() for row in found] == expected
    assert patches(torch.zeros(0, 4), (30, 20), (2, 3)).shape == (0, 6)


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.lists(st.integers(-10, 40), min_size=4, max_size=4),
)
def test_patches_by_counting_pixels(grid, cell, numbers):
    (rows, columns), (w, h) = grid, cell
    (x1, x2), (y1, y2) = sorted(numbers[:2]), sorted(numbers[2:])
    found = patches(torch.tensor([[x1, y1, x2, y2]]).float(), (columns * w, rows * h), grid)[0].view(rows, columns)
    counts = np.zeros((rows, columns), int)
    for y in range(max(y1, 0), min(y2 + 1, rows * h)):
        for x in range(max(x1, 0), min(x2 + 1, columns * w)):
            counts[y // h, x // w] += 1
    assert found.any() == counts.any()
    assert not found[torch.tensor(counts == 0)].any()
    half = torch.tensor(2 * counts >= w * h)
    assert found[half].all()
    assert int((found & ~half).sum()) <= 1


def test_patches_of_nothing_are_an_error():
    boxes = torch.tensor([[0.0, 0, 1, 1]])
    with pytest.raises(ValueError, match=r"size, grid: expected positive numbers, got \(0, 2\) and \(1, 1\)"):
        patches(boxes, (0, 2), (1, 1))
    with pytest.raises(ValueError, match="expected finite xyxy"):
        patches(torch.tensor([[5.0, 0, 1, 1]]), (2, 2), (1, 1))


def test_windows_by_hand():
    from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

    clip = CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    # 640 x 480 becomes 448 x 336, of which 56 columns are cut on either side: 80 pixels of the picture.
    assert window(clip, 640, 480) == pytest.approx((80, 0, 480, 480))
    assert window(clip, 480, 640) == pytest.approx((0, 80, 480, 480))
    assert window(SiglipImageProcessorPil(), 640, 480) == (0, 0, 640, 480)
