"""Making the sprites: small cases by hand, and the committed ones against the font where it is installed."""

import json

import numpy as np
import pytest
from PIL import Image, ImageFont, features

from crosslook.data.emoji.furniture import FURNITURE
from crosslook.data.emoji.make_sprites import FONT, PEOPLE, dye_of, fit, mirrored, render, sprites
from crosslook.data.emoji.sprites import index, load
from crosslook.data.emoji.world import categories


def canvas() -> Image.Image:
    return Image.new("RGBA", (136, 136))


def test_fit_crops_and_reduces():
    image = canvas()
    image.paste((200, 10, 10, 255), (20, 30, 100, 70))
    assert fit(image, 200).size == (80, 40)
    small = fit(image, 20)
    assert small.size == (20, 10)
    assert np.abs(np.asarray(small).astype(int) - [200, 10, 10, 255]).max() <= 2


def test_edges_keep_their_colour():
    """Reducing must not mix in the black of transparent pixels."""
    image = canvas()
    image.paste((250, 240, 60, 255), (20, 20, 117, 117))
    small = np.asarray(fit(image, 41)).astype(int)
    assert np.abs(small[small[..., 3] > 8][:, :3] - [250, 240, 60]).max() <= 8


def test_dye_is_the_commonest_colour():
    image = canvas()
    image.paste((10, 20, 200, 255), (0, 0, 50, 50))
    image.paste((200, 20, 10, 255), (60, 60, 130, 130))
    assert dye_of(image) == (200, 20, 10)


def test_mirrored_is_symmetric():
    image = canvas()
    image.paste((9, 9, 9, 255), (30, 40, 50, 60))
    both = np.asarray(mirrored(image, 58))
    np.testing.assert_array_equal(both, both[:, ::-1])
    assert both[50, 45, 3] == 255


def test_furniture_fills_its_canvas():
    for name, make in FURNITURE.items():
        image = make()
        assert name in categories()
        left, top, right, bottom = image.getbbox()
        assert right - left >= 0.9 * image.width, name
        assert bottom - top >= 0.9 * image.height, name


def test_every_person_has_a_head():
    people = {key for key, c in categories().items() if c.type == "people"}
    assert people == set(PEOPLE)


@pytest.fixture(scope="module")
def font() -> ImageFont.FreeTypeFont:
    if not FONT.is_file() or not features.check("raqm"):
        pytest.skip(f"needs {FONT} and Pillow with libraqm")
    return ImageFont.truetype(str(FONT), 109)


def test_what_is_no_emoji_is_an_error(font):
    with pytest.raises(ValueError, match="expected one glyph"):
        render("🐕🐕🐕", font)


def test_committed_sprites_are_made_from_the_font(font):
    """The index is the same, the pictures are but for their palettes."""
    images, found = sprites(font)
    assert json.loads(json.dumps(found)) == index()
    for name, image in images.items():
        committed, made = np.asarray(load(name)).astype(int), np.asarray(image).astype(int)
        assert committed.shape == made.shape, name
        alpha = made[..., 3:] / 255
        assert np.abs((committed[..., :3] - made[..., :3]) * alpha).mean() < 8, name
        assert np.abs(committed[..., 3] - made[..., 3]).mean() < 12, name
