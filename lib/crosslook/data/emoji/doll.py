"""Drawing people: bodies of a few rounded strokes under a head from the font; each layer is kept once drawn."""

from collections.abc import Sequence
from functools import cache, lru_cache

from PIL import Image, ImageDraw

from crosslook.data.emoji.body import CHIN, FRAMES, HANDS, MIDDLE, SHOULDERS, Point
from crosslook.data.emoji.sprites import Colour, load

OVER = 3
"""Strokes are drawn this many times too large and reduced, which smooths their edges."""
MUTED: tuple[Colour, ...] = (
    *((92, 122, 150), (150, 92, 84), (108, 134, 100), (176, 150, 108), (120, 104, 140), (88, 96, 108)),
    *((190, 176, 160), (84, 130, 134)),
)
"""Clothes that nobody speaks of."""
TROUSERS: tuple[Colour, ...] = ((64, 74, 98), (86, 78, 72), (58, 60, 66), (112, 102, 88))
SHOES: Colour = (58, 50, 48)

LEGS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "stand": (((165, 640), (160, 800), (152, 955)), ((275, 640), (280, 800), (288, 955))),
    "walk": (((180, 640), (130, 790), (90, 950)), ((260, 640), (320, 780), (340, 950))),
    "kick_left": (((190, 640), (140, 760), (70, 880)), ((275, 640), (282, 800), (290, 955))),
    "kick_right": (((165, 640), (158, 800), (150, 955)), ((250, 640), (300, 760), (370, 880))),
    "sit": (((168, 650), (118, 726), (128, 832)), ((272, 650), (322, 726), (312, 832))),
    "ride_left": (((272, 650), (250, 690)), ((180, 650), (130, 735), (160, 842))),
    "ride_right": (((168, 650), (190, 690)), ((260, 650), (310, 735), (280, 842))),
    "bust": (),
}
"""Hip, knee and ankle of the left and the right leg in the image."""


def darker(colour: Colour, per_cent: int = 84) -> Colour:
    """A colour in shade."""
    red, green, blue = (c * per_cent // 100 for c in colour)
    return red, green, blue


class _Pen:
    """Strokes in the frame's thousandths on a canvas of the person's size in pixels."""

    def __init__(self, name: str, width: int, height: int):
        self.size = width, height
        self.frame = FRAMES[name]
        self.image = Image.new("RGBA", (OVER * width, OVER * height))
        self.draw = ImageDraw.Draw(self.image)

    def point(self, x: int, y: int) -> Point:
        return OVER * self.size[0] * x // self.frame[0], OVER * self.size[1] * y // self.frame[1]

    def length(self, units: int) -> int:
        return max(1, OVER * self.size[1] * units // self.frame[1])

    def dot(self, colour: Colour, x: int, y: int, radius: int) -> None:
        (px, py), r = self.point(x, y), self.length(radius)
        self.draw.ellipse((px - r, py - r, px + r, py + r), fill=colour)

    def stroke(self, colour: Colour, points: Sequence[Point], width: int) -> None:
        """A line with round joints and ends."""
        self.draw.line([self.point(*p) for p in points], fill=colour, width=self.length(width))
        for x, y in points:
            self.dot(colour, x, y, width // 2)

    def polygon(self, colour: Colour, points: Sequence[Point]) -> None:
        self.draw.polygon([self.point(*p) for p in points], fill=colour)

    def oval(self, colour: Colour, x1: int, y1: int, x2: int, y2: int) -> None:
        self.draw.ellipse((*self.point(x1, y1), *self.point(x2, y2)), fill=colour)

    def done(self) -> Image.Image:
        return self.image.convert("RGBa").resize(self.size, Image.Resampling.BOX).convert("RGBA")


@lru_cache(maxsize=1024)
def base(
    name: str,
    width: int,
    height: int,
    legs: str,
    shirt: Colour,
    trousers: Colour,
    skin: Colour,
    narrow: bool,
    shod: bool,
) -> Image.Image:
    """Legs, shoes and torso, RGBA of the person's size. `narrow` leaves room for a garment's sprite over the torso."""
    pen = _Pen(name, width, height)
    for number, leg in enumerate(LEGS[legs]):
        pen.stroke(darker(trousers), leg, 112)
        pen.stroke(trousers, leg, 100)
        x, y = leg[-1]
        outward = -1 if number == 0 else 1
        if legs.startswith("ride"):
            outward = -1 if legs == "ride_left" else 1
            if number == 0:
                continue
        colour = SHOES if shod else darker(skin, 92)
        left, right = (x - 82, x + 52) if outward < 0 else (x - 52, x + 82)
        pen.oval(colour, max(0, left), y - 34, min(pen.frame[0], right), y + 42)
    bottom = pen.frame[1] if name == "bust" else 660
    inset = 40 if narrow else 0
    shape = [
        *((MIDDLE - 70, 345), (MIDDLE + 70, 345), (362 - inset, 378), (372 - inset, 420), (345 - inset // 2, bottom)),
        *((95 + inset // 2, bottom), (68 + inset, 420), (78 + inset, 378)),
    ]
    pen.polygon(shirt, shape)
    if name != "bust":
        pen.oval(shirt, 95 + inset // 2, bottom - 40, 345 - inset // 2, bottom + 30)
    pen.stroke(darker(skin), ((MIDDLE, 320), (MIDDLE, 356)), 84)
    return pen.done()


@lru_cache(maxsize=2048)
def arms(
    name: str, width: int, height: int, hands: tuple[Point, Point], sleeve: Colour | None, long: bool, skin: Colour
) -> Image.Image:
    """Both arms and hands, RGBA of the person's size; `long` sleeves end at the hand, others half way, None: none."""
    pen = _Pen(name, width, height)
    if name == "bust":
        return pen.done()
    for side, (hand, shoulder) in enumerate(zip(hands, SHOULDERS, strict=True)):
        outward = -1 if side == 0 else 1
        if hand == HANDS[side]:
            elbow = (shoulder[0] + outward * 22, 515)
        else:
            reach = abs(hand[0] - shoulder[0]) + abs(hand[1] - shoulder[1])
            bend = max(0, 270 - reach) // 3
            elbow = (shoulder[0] + hand[0]) // 2 + outward * bend, (shoulder[1] + hand[1]) // 2 + bend
            elbow = min(404, max(36, elbow[0])), elbow[1]
        limb = (shoulder, elbow, hand)
        if sleeve is None:
            pen.stroke(darker(skin), limb, 84)
            pen.stroke(skin, limb, 72)
        else:
            pen.stroke(darker(sleeve if long else skin), limb, 86)
            pen.stroke(sleeve if long else skin, limb, 74)
            if not long:
                pen.stroke(darker(sleeve), (shoulder, elbow), 96)
                pen.stroke(sleeve, (shoulder, elbow), 86)
        pen.dot(darker(skin), *hand, 56)
        pen.dot(skin, *hand, 50)
    return pen.done()


@lru_cache(maxsize=256)
def palm(radius: int, skin: Colour) -> Image.Image:
    """A hand alone, to be drawn over what it holds."""
    side = 2 * radius
    image = Image.new("RGBA", (4 * side, 4 * side))
    pen = ImageDraw.Draw(image)
    pen.ellipse((0, 0, 4 * side - 1, 4 * side - 1), fill=darker(skin))
    edge = max(3, radius // 2)
    pen.ellipse((edge, edge, 4 * side - 1 - edge, 4 * side - 1 - edge), fill=skin)
    return image.convert("RGBa").resize((side, side), Image.Resampling.BOX).convert("RGBA")


@cache
def _premultiplied(name: str) -> Image.Image:
    return load(name).convert("RGBa")


@lru_cache(maxsize=2048)
def head(name: str, width: int, height: int, tilt: int) -> Image.Image:
    """A head (and shoulders) of this size, turned clockwise by `tilt` degrees about its middle."""
    image = _premultiplied(name)
    if tilt:
        image = image.convert("RGBA").rotate(-tilt, Image.Resampling.BICUBIC).convert("RGBa")
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0).convert("RGBA")


def head_box(entry: dict) -> tuple[int, int, int, int]:
    """The head's box in the frame's thousandths."""
    x1, y1, x2, y2 = entry["box"]
    return MIDDLE + x1, CHIN + y1, MIDDLE + x2, CHIN + y2
