"""Crops against an independent triangle filter, the backbone against what photographs show."""

import importlib.resources

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crosslook.data import features


def photograph(name: str) -> Image.Image:
    package, file = {
        "grace_hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
        "china": ("sklearn", "datasets/images/china.jpg"),
        "flower": ("sklearn", "datasets/images/flower.jpg"),
    }[name]
    with importlib.resources.as_file(importlib.resources.files(package) / file) as path, Image.open(path) as image:
        return image.convert("RGB")


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def triangle(start: float, stop: float, length: int, size: int) -> np.ndarray:
    """Weights (size, length) of a bilinear filter that is stretched when it makes smaller, in float64."""
    step = (stop - start) / size
    width = max(step, 1.0)
    centre = start + (np.arange(size)[:, None] + 0.5) * step
    weights = np.clip(1 - abs(np.arange(length)[None] + 0.5 - centre) / width, 0, None)
    return weights / weights.sum(1, keepdims=True)


@given(
    st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(1, 60), st.integers(1, 40)),
    st.sampled_from([1, 7, 16, 64]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_crops_equal_a_stretched_triangle_filter(corner, size, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    x, y, w, h = corner
    box = (x, y, min(x + w, 64), min(y + h, 48))
    rows, columns = triangle(box[1], box[3], 48, size), triangle(box[0], box[2], 64, size)
    expected = np.einsum("rh,hwc,sw->crs", rows, pixels.astype(float), columns)
    got = features.crops(Image.fromarray(pixels), boxes(box), size)[0].numpy()
    # Both passes of the resizing round to whole levels.
    assert abs(got - expected).max() <= 1.01


def test_a_crop_of_its_own_size_is_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    got = features.crops(Image.fromarray(pixels), boxes((30, 10, 94, 74)))
    assert got.dtype == torch.float32
    assert np.array_equal(got[0].numpy(), pixels[10:74, 30:94].transpose(2, 0, 1))


def test_halving_averages_instead_of_skipping():
    # Black and white columns in turn: without antialiasing a crop would be all black or all white.
    pixels = np.zeros((8, 128, 3), dtype=np.uint8)
    pixels[:, ::2] = 255
    got = features.crops(Image.fromarray(pixels), boxes((0, 0, 128, 8)), 32)
    # At both ends the filter is cut off, which tips the balance by a few levels.
    assert ((got > 115) & (got < 140)).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_any_mode(mode):
    image = photograph("china").resize((64, 48)).convert(mode)
    whole = boxes((0, 0, 64, 48))
    assert torch.equal(features.crops(image, whole), features.crops(image.convert("RGB"), whole))


@pytest.mark.parametrize(
    ("box", "number"),
    [
        ((0, 0, 65, 10), 1),
        ((-1, 0, 5, 10), 1),
        ((0, 0, 10, 49), 1),
        ((5, 5, 5, 9), 1),
        ((9, 5, 5, 9), 1),
        ((0, 0, float("nan"), 9), 1),
        ((0, 0, float("inf"), 9), 1),
    ],
)
def test_a_bad_box_is_named(box, number):
    with pytest.raises(ValueError, match=rf"boxes\[{number}\]: expected 0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 48"):
        features.crops(Image.new("RGB", (64, 48)), boxes((0, 0, 64, 48), box))


def test_no_boxes_give_no_rows():
    assert features.extract(Image.new("RGB", (9, 9)), boxes()).shape == (0, features.DIM)


def test_features_do_not_depend_on_the_batch():
    image = photograph("china")
    rng = np.random.default_rng(1)
    some = np.concatenate([rng.integers(0, 200, (40, 2)), rng.integers(210, 400, (40, 2))], 1).astype(np.float32)
    together = features.extract(image, some)
    alone = torch.cat([features.extract(image, some[i : i + 1]) for i in (0, 17, 39)])
    assert together.shape == (40, features.DIM)
    assert torch.allclose(together[[0, 17, 39]], alone, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "size", "labels"),
    # Classes of ILSVRC 2012 by number.
    [
        ("grace_hopper", 224, {652}),  # military uniform
        ("grace_hopper", 64, {457, 652}),  # bow tie, military uniform
        ("china", 64, {832}),  # stupa
        ("flower", 224, {985}),  # daisy
    ],
)
def test_photographs_get_sensible_labels(name, size, labels):
    image, net = photograph(name), features.backbone()
    logits = net.classify(net(features.crops(image, boxes((0, 0, *image.size)), size)))
    assert int(logits.argmax()) in labels


def test_classes_agree_with_the_package_itself():
    net = features.backbone()
    pixels = features.crops(photograph("flower"), boxes((0, 0, 640, 427), (100, 50, 200, 200)))
    assert torch.allclose(net.classify(net(pixels)), net.net((pixels - 127) / 128), atol=1e-4)


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"not the weights")
    with pytest.raises(ValueError, match=r"weights\.pth: expected the weights with sha256 57934424"):
        features.Backbone(tmp_path / "weights.pth")
