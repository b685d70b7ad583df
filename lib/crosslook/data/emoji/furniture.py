"""Sprites that the font lacks, drawn in its manner: flat shapes, two shades, no outline."""

from collections.abc import Callable

from PIL import Image, ImageDraw

Point = tuple[int, int]
LIGHT, MIDDLE, DARK = (196, 140, 92), (161, 106, 66), (121, 77, 48)


def _canvas(width: int, height: int) -> tuple[Image.Image, Callable, Callable]:
    """A canvas four times too large; functions that draw a polygon and a rounded box on it, in its own units."""
    image = Image.new("RGBA", (4 * width, 4 * height))
    pen = ImageDraw.Draw(image)

    def polygon(colour: tuple[int, int, int], *points: Point) -> None:
        pen.polygon([(4 * x, 4 * y) for x, y in points], fill=colour)

    def box(colour: tuple[int, int, int], x1: int, y1: int, x2: int, y2: int, radius: int = 2) -> None:
        pen.rounded_rectangle((4 * x1, 4 * y1, 4 * x2 - 1, 4 * y2 - 1), 4 * radius, fill=colour)

    return image, polygon, box


def table() -> Image.Image:
    """A table seen a little from above."""
    image, polygon, box = _canvas(128, 80)
    for x in (24, 98):
        box(DARK, x, 24, x + 6, 64)
    for x in (6, 114):
        box(MIDDLE, x, 28, x + 8, 80)
    polygon(LIGHT, (18, 4), (110, 4), (128, 26), (0, 26))
    polygon((209, 155, 106), (22, 7), (106, 7), (110, 12), (18, 12))
    box(MIDDLE, 0, 26, 128, 36)
    return image.reduce(4)


def bench() -> Image.Image:
    """A park bench with a back."""
    image, _, box = _canvas(128, 72)
    for x in (16, 104):
        box((84, 88, 96), x, 4, x + 6, 50)
    for y in (2, 14, 26):
        box(LIGHT, 4, y, 124, y + 9)
        box(MIDDLE, 4, y + 6, 124, y + 9, 1)
    for x in (10, 110):
        box((62, 66, 74), x, 44, x + 7, 72)
    box(LIGHT, 0, 40, 128, 48)
    box(MIDDLE, 0, 47, 128, 53)
    return image.reduce(4)


def fence() -> Image.Image:
    """Pickets on two rails."""
    image, polygon, box = _canvas(128, 64)
    for y in (22, 44):
        box(DARK, 0, y, 128, y + 7)
    for i in range(8):
        x = 2 + 16 * i
        polygon(LIGHT, (x, 10), (x + 6, 2), (x + 12, 10), (x + 12, 64), (x, 64))
        polygon(MIDDLE, (x + 9, 6), (x + 12, 10), (x + 12, 64), (x + 9, 64))
    return image.reduce(4)


def surfboard() -> Image.Image:
    """A surfboard lying flat, with a stripe."""
    image, _, _ = _canvas(128, 28)
    pen = ImageDraw.Draw(image)
    pen.ellipse((0, 0, 511, 103), fill=(252, 206, 66))
    pen.chord((0, 0, 511, 103), 8, 172, fill=(226, 172, 40))
    pen.line((24, 48, 488, 48), fill=(250, 248, 240), width=14)
    return image.reduce(4)


FURNITURE: dict[str, Callable[[], Image.Image]] = {
    "table": table,
    "bench": bench,
    "fence": fence,
    "surfboard": surfboard,
}
