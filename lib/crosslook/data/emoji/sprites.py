"""The sprites: reading them, dyeing them, and resizing them, each kept once made."""

import json
from functools import cache, lru_cache

import numpy as np
from jaxtyping import Bool, Integer, UInt8
from PIL import Image

from crosslook.data.emoji.world import FOLDER

Colour = tuple[int, int, int]
RGB: dict[str, Colour] = {
    "red": (216, 45, 46),
    "orange": (245, 132, 31),
    "yellow": (252, 208, 56),
    "green": (67, 160, 71),
    "blue": (38, 118, 214),
    "purple": (132, 74, 178),
    "pink": (244, 143, 187),
    "brown": (138, 88, 54),
    "black": (50, 50, 54),
    "white": (240, 240, 238),
    "gray": (146, 150, 154),
}
"""How each colour word looks."""


@cache
def index() -> dict:
    """`things` (size, dye) and `people` (their variants) as `make_sprites` wrote them."""
    return json.loads((FOLDER / "sprites" / "index.json").read_text(encoding="utf-8"))


@cache
def load(name: str) -> Image.Image:
    """A sprite as it is in the font, RGBA."""
    with Image.open(FOLDER / "sprites" / f"{name}.png") as image:
        return image.convert("RGBA")


def hue(rgb: Integer[np.ndarray, "*pixels 3"]) -> tuple[Integer[np.ndarray, "*pixels"], Integer[np.ndarray, "*pixels"]]:
    """Hue in degrees (0 where gray) and chroma (0 to 255) of colours, in integer arithmetic."""
    red, green, blue = (rgb[..., i] for i in range(3))
    top = rgb.max(axis=-1)
    chroma = top - rgb.min(axis=-1)
    step = np.maximum(chroma, 1)
    degrees = np.where(
        top == red,
        60 * (green - blue) // step,
        np.where(top == green, 120 + 60 * (blue - red) // step, 240 + 60 * (red - green) // step),
    )
    return np.where(chroma == 0, 0, degrees % 360), chroma


def lightness(rgb: Integer[np.ndarray, "*pixels 3"]) -> Integer[np.ndarray, "*pixels"]:
    """Rec. 601 luma, 0 to 255."""
    return (299 * rgb[..., 0] + 587 * rgb[..., 1] + 114 * rgb[..., 2]) // 1000


def dye_mask(rgba: UInt8[np.ndarray, "row column 4"], dye: Colour) -> Bool[np.ndarray, "row column"]:
    """Which pixels belong to the part of a sprite that has the colour `dye`: the same hue, lighter or darker."""
    rgb = rgba[..., :3].astype(np.int32)
    degrees, chroma = hue(rgb)
    light = lightness(rgb)
    reference = np.array([dye], dtype=np.int32)
    its_degrees, its_chroma = (int(v[0]) for v in hue(reference))
    its_light = int(lightness(reference)[0])
    seen = rgba[..., 3] > 0
    if its_chroma < 40:
        # A gray part: other grays of about its lightness; what is saturated keeps its colour.
        return seen & (chroma < 48) & (abs(light - its_light) < 80)
    apart = abs((degrees - its_degrees + 180) % 360 - 180)
    return seen & (apart <= 24) & (4 * chroma > its_chroma)


@cache
def dyed(name: str, colour: str | None) -> Image.Image:
    """A thing's sprite with its dye changed to `colour`; shading is kept, relative to the middle lightness."""
    image = load(name)
    dye = index()["things"].get(name, {}).get("dye")
    if colour is None or dye is None:
        return image
    rgba = np.array(image)
    mask = dye_mask(rgba, tuple(dye))
    rgb = rgba[..., :3].astype(np.int32)
    # 100 is as light as most of the dyed part: darker shades go towards black, lighter ones towards white.
    light = lightness(rgb)
    middle = np.sort(light[mask & (rgba[..., 3] > 128)])
    shade = 100 * light // max(1, int(middle[middle.size // 2]))
    shade = np.clip(shade, 35, 165)[..., None]
    target = np.array(RGB[colour], dtype=np.int32)
    new = np.where(shade <= 100, target * shade // 100, target + (255 - target) * (shade - 100) // 130)
    rgba[..., :3] = np.where(mask[..., None], new, rgb).astype(np.uint8)
    return Image.fromarray(rgba)


@cache
def _premultiplied(name: str, colour: str | None, flip: bool) -> Image.Image:
    """Resizing colours that are multiplied by alpha keeps the colour of transparent pixels out of the edges."""
    image = dyed(name, colour)
    return (image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image).convert("RGBa")


@lru_cache(maxsize=4096)
def sized(name: str, colour: str | None, width: int, height: int, flip: bool = False) -> Image.Image:
    """A dyed sprite of exactly `width` x `height` pixels, flipped left to right when asked; RGBA."""
    image = _premultiplied(name, colour, flip)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0).convert("RGBA")
