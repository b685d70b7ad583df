"""Sprites and dyeing: the named colour is the colour seen."""

import numpy as np
import pytest

from crosslook.data.emoji.sprites import RGB, dye_mask, dyed, hue, index, lightness, load, sized
from crosslook.data.emoji.world import COLOURS, FOLDER, categories

COLOURED = [(key, colour) for key, c in categories().items() if c.type != "bodyparts" for colour in c.colours]


def test_palette_names():
    assert tuple(RGB) == COLOURS


@pytest.mark.parametrize("key", dict.fromkeys(key for key, _ in COLOURED))
def test_a_dyed_sprite_has_its_colour(key):
    """The median of the dyed pixels is nearer to the named colour than to any other, in every colour it comes in."""
    original = np.array(load(key))
    mask = dye_mask(original, tuple(index()["things"][key]["dye"])) & (original[..., 3] > 128)
    assert mask.sum() > 0.12 * (original[..., 3] > 128).sum(), key
    for colour in categories()[key].colours:
        pixels = np.array(dyed(key, colour))[mask][:, :3].astype(int)
        median = np.median(pixels, axis=0)
        distances = {name: float(np.abs(median - np.array(rgb)).sum()) for name, rgb in RGB.items()}
        assert min(distances, key=distances.get) == colour, (key, colour, median)


def test_dyeing_keeps_shape_and_the_rest():
    for key in ("guitar", "car", "t_shirt", "dog"):
        before, after = np.array(load(key)), np.array(dyed(key, "blue"))
        np.testing.assert_array_equal(before[..., 3], after[..., 3])
        mask = dye_mask(before, tuple(index()["things"][key]["dye"]))
        np.testing.assert_array_equal(before[~mask], after[~mask])


def test_no_colour_or_no_dye_leaves_the_sprite():
    assert dyed("car", None) is load("car")
    assert dyed("giraffe", None) is load("giraffe")


def test_hue_against_colorsys():
    import colorsys

    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (500, 3)).astype(np.int32)
    degrees, chroma = hue(rgb)
    for (r, g, b), found, c in zip(rgb.tolist(), degrees.tolist(), chroma.tolist(), strict=True):
        expected = 360 * colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)[0]
        assert abs((found - expected + 180) % 360 - 180) <= 1.01
        assert c == max(r, g, b) - min(r, g, b)
    assert hue(np.array([[7, 7, 7]], dtype=np.int32))[0].tolist() == [0]


def test_lightness_against_pillow():
    from PIL import Image

    rgb = np.random.default_rng(1).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    expected = np.array(Image.fromarray(rgb).convert("L")).astype(int)
    assert np.abs(lightness(rgb.astype(np.int32)) - expected).max() <= 1


def test_sized_and_flipped():
    image = sized("horse", "brown", 60, 50)
    assert image.size == (60, 50)
    assert image.mode == "RGBA"
    flipped = np.array(sized("horse", "brown", 60, 50, True)).astype(int)
    assert np.abs(flipped[:, ::-1] - np.array(image)).mean() < 2


def test_sprites_are_small():
    files = list((FOLDER / "sprites").iterdir())
    assert sum(f.stat().st_size for f in files) <= 1_500_000
    names = {e["name"] for people in index()["people"].values() for e in people} | set(index()["things"])
    assert {f.stem for f in files if f.suffix == ".png"} == names


def test_people_of_every_hair_and_skin():
    entries = index()["people"]["man"]
    assert {e["hair_colour"] for e in entries} == {"black", "brown", "yellow", "red", "gray"}
    assert len({tuple(e["skin"]) for e in entries}) >= 5
    for people in index()["people"].values():
        for entry in people:
            for part in ("hair", "beard", "box"):
                if part in entry:
                    x1, y1, x2, y2 = entry[part]
                    assert x1 < x2
                    assert y1 < y2
