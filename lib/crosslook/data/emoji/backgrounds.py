"""The five settings, painted: each in several palettes and arrangements, kept once painted."""

from collections.abc import Callable
from functools import cache
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from crosslook.data.emoji.draft import GROUND
from crosslook.data.emoji.sprites import Colour
from crosslook.data.emoji.world import HEIGHT, WIDTH

VARIANTS = 16
"""How many pictures of each setting there are."""
OVER = 2


def mix(a: Colour, b: Colour, per_cent: int) -> Colour:
    """`per_cent` of `b` in `a`."""
    red, green, blue = (x + (y - x) * per_cent // 100 for x, y in zip(a, b, strict=True))
    return red, green, blue


class _Canvas:
    """An image painted at twice its size, in the units of the finished one."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (OVER * WIDTH, OVER * HEIGHT))
        self.pen = ImageDraw.Draw(self.image)

    def gradient(self, top: Colour, bottom: Colour, y1: int, y2: int) -> None:
        for y in range(OVER * y1, OVER * y2):
            colour = mix(top, bottom, 100 * (y - OVER * y1) // max(1, OVER * (y2 - y1)))
            self.pen.line((0, y, OVER * WIDTH, y), fill=colour)

    def box(self, colour: Colour, x1: int, y1: int, x2: int, y2: int) -> None:
        self.pen.rectangle((OVER * x1, OVER * y1, OVER * x2 - 1, OVER * y2 - 1), fill=colour)

    def oval(self, colour: Colour, x1: int, y1: int, x2: int, y2: int) -> None:
        self.pen.ellipse((OVER * x1, OVER * y1, OVER * x2, OVER * y2), fill=colour)

    def polygon(self, colour: Colour, *points: tuple[int, int]) -> None:
        self.pen.polygon([(OVER * x, OVER * y) for x, y in points], fill=colour)

    def line(self, colour: Colour, x1: int, y1: int, x2: int, y2: int, width: int = 1) -> None:
        self.pen.line((OVER * x1, OVER * y1, OVER * x2, OVER * y2), fill=colour, width=OVER * width)

    def glow(self, colour: Colour, per_cent: int, *points: tuple[int, int]) -> None:
        """A soft translucent polygon (light)."""
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon([(OVER * x, OVER * y) for x, y in points], fill=255 * per_cent // 100)
        self.image.paste(Image.new("RGB", self.image.size, colour), mask=mask.filter(ImageFilter.GaussianBlur(9)))


def _sky(canvas: _Canvas, rng: Random, bottom: int) -> None:
    skies = (
        ((122, 186, 236), (212, 234, 250)),
        ((98, 170, 230), (196, 226, 246)),
        ((150, 196, 226), (236, 236, 226)),
        ((250, 190, 140), (254, 230, 190)),
        ((138, 160, 190), (206, 216, 226)),
    )
    top, low = skies[rng.choice((0, 0, 1, 1, 2, 2, 3, 4))]
    canvas.gradient(top, low, 0, bottom)


def _room(canvas: _Canvas, rng: Random) -> None:
    walls = ((236, 222, 200), (206, 222, 226), (226, 210, 222), (214, 226, 206), (240, 230, 214), (220, 214, 234))
    floors = ((196, 152, 108), (170, 124, 88), (208, 176, 140), (150, 140, 136))
    wall, floor, line = rng.choice(walls), rng.choice(floors), GROUND["room"][0]
    canvas.gradient(mix(wall, (255, 255, 255), 24), wall, 0, line)
    style = rng.randrange(3)
    if style == 0:
        for x in range(0, WIDTH, 20):
            canvas.box(mix(wall, (255, 255, 255), 16), x, 0, x + 10, line)
    elif style == 1:
        canvas.box(mix(wall, (90, 80, 80), 12), 0, line - 42, WIDTH, line)
        canvas.box(mix(wall, (255, 255, 255), 50), 0, line - 45, WIDTH, line - 42)
    canvas.box(mix(wall, (255, 255, 255), 60), 0, line - 7, WIDTH, line)
    canvas.gradient(mix(floor, (60, 40, 30), 18), floor, line, HEIGHT)
    for i in range(-6, 15):
        canvas.line(mix(floor, (50, 30, 20), 22), 160 + (i - 4) * 26, line, 160 + (i - 4) * 62, HEIGHT)
    if rng.randrange(2):
        rug = rng.choice(((176, 84, 84), (84, 112, 150), (120, 140, 104), (190, 160, 96)))
        canvas.oval(rug, 50, 182, 280, 232)
        canvas.oval(mix(rug, (255, 255, 255), 26), 64, 186, 266, 228)
        canvas.oval(rug, 74, 189, 256, 225)


def _street(canvas: _Canvas, rng: Random) -> None:
    line = GROUND["street"][0]
    _sky(canvas, rng, line)
    x = -10
    while x < WIDTH:
        width, top = rng.randrange(36, 70), rng.randrange(36, 100)
        wall = rng.choice(((196, 186, 178), (182, 196, 204), (206, 192, 172), (186, 180, 192), (200, 204, 192)))
        canvas.box(wall, x, top, x + width, line)
        canvas.box(mix(wall, (70, 70, 90), 20), x, top, x + 3, line)
        for wx in range(x + 8, x + width - 8, 13):
            for wy in range(top + 8, line - 22, 16):
                canvas.box(mix(wall, rng.choice(((120, 160, 190), (250, 236, 180))), 55), wx, wy, wx + 7, wy + 9)
        x += width + rng.choice((0, 0, 6))
    pavement = rng.choice(((196, 192, 188), (206, 198, 186), (184, 186, 190)))
    canvas.gradient(mix(pavement, (90, 90, 96), 16), pavement, line, 188)
    for i in range(-4, 12):
        canvas.line(mix(pavement, (90, 90, 96), 26), 160 + (i - 4) * 34, line, 160 + (i - 4) * 48, 188)
    canvas.box(mix(pavement, (255, 255, 255), 50), 0, 186, WIDTH, 190)
    canvas.gradient((112, 114, 120), (94, 96, 102), 190, HEIGHT)
    for i in range(-1, 6):
        canvas.polygon((226, 222, 206), (i * 66, 215), (i * 66 + 34, 215), (i * 66 + 32, 219), (i * 66 - 3, 219))


def _park(canvas: _Canvas, rng: Random) -> None:
    line = GROUND["park"][0] - 22
    _sky(canvas, rng, line)
    far = rng.choice(((122, 168, 120), (106, 156, 128), (140, 172, 116)))
    for _ in range(9):
        x, w = rng.randrange(-20, WIDTH), rng.randrange(40, 110)
        canvas.oval(mix(far, (255, 255, 255), rng.randrange(10, 30)), x, line - w // 4, x + w, line + w // 3)
    grass = rng.choice(((126, 186, 92), (112, 176, 88), (146, 190, 96), (130, 178, 108)))
    canvas.gradient(mix(grass, (60, 110, 60), 18), grass, line, HEIGHT)
    if rng.randrange(3):
        path, at = (222, 204, 164), rng.randrange(80, 240)
        lean = rng.randrange(-90, 91)
        canvas.polygon(path, (at - 12, line), (at + 12, line), (at + lean + 74, HEIGHT), (at + lean - 74, HEIGHT))
    for _ in range(70):
        x, y = rng.randrange(WIDTH), rng.randrange(line + 8, HEIGHT)
        canvas.line(mix(grass, (40, 90, 40), 36), x, y, x + rng.randrange(-2, 3), y - 4)
    for _ in range(16):
        x, y = rng.randrange(WIDTH), rng.randrange(line + 20, HEIGHT)
        canvas.oval(rng.choice(((250, 244, 220), (250, 220, 120), (240, 180, 200))), x, y, x + 3, y + 3)


def _beach(canvas: _Canvas, rng: Random) -> None:
    _sky(canvas, rng, 92)
    sea = rng.choice(((52, 142, 196), (40, 156, 186), (70, 150, 176)))
    canvas.gradient(sea, mix(sea, (255, 255, 255), 34), 92, 148)
    for _ in range(26):
        x, y = rng.randrange(WIDTH), rng.randrange(97, 140)
        canvas.line(mix(sea, (255, 255, 255), 46), x, y, x + rng.randrange(10, 30), y)
    sand = rng.choice(((240, 216, 164), (234, 208, 160), (244, 224, 180)))
    canvas.gradient(mix(sand, (150, 110, 60), 14), sand, 146, HEIGHT)
    edge = 143 + rng.randrange(4)
    for x in range(-20, WIDTH, 26):
        canvas.oval((250, 252, 250), x, edge - 4, x + 32, edge + 5)
        canvas.oval(mix(sand, (150, 110, 60), 26), x, edge, x + 32, edge + 9)
        canvas.oval(mix(sand, (150, 110, 60), 13), x, edge + 2, x + 32, edge + 14)
    for _ in range(60):
        x, y = rng.randrange(WIDTH), rng.randrange(160, HEIGHT)
        canvas.oval(mix(sand, (140, 100, 60), 30), x, y, x + 2, y + 1)


def _stage(canvas: _Canvas, rng: Random) -> None:
    line = GROUND["stage"][0]
    wall = rng.choice(((58, 44, 78), (40, 52, 84), (72, 42, 58), (46, 60, 66)))
    canvas.gradient(mix(wall, (0, 0, 0), 30), mix(wall, (255, 255, 255), 16), 0, line)
    light = rng.choice(((255, 236, 180), (255, 220, 236), (206, 232, 255)))
    boards = rng.choice(((158, 112, 74), (140, 98, 70), (126, 94, 82)))
    canvas.gradient(mix(boards, (40, 24, 16), 34), boards, line, HEIGHT)
    for y in range(line + 8, HEIGHT, 13):
        canvas.line(mix(boards, (40, 24, 16), 36), 0, y, WIDTH, y)
    for at in rng.sample((70, 130, 190, 250), 3):
        foot = at + rng.randrange(-34, 35)
        canvas.glow(light, 24, (at - 5, 0), (at + 5, 0), (foot + 46, 214), (foot - 46, 214))
        canvas.glow(light, 26, (foot - 44, 206), (foot, 196), (foot + 44, 206), (foot + 30, 222), (foot - 30, 222))
    curtain = rng.choice(((168, 36, 44), (146, 30, 60), (56, 66, 140), (40, 110, 96)))
    for side in (0, 1):
        for i in range(7):
            x = i * 7 if side == 0 else WIDTH - 7 - i * 7
            shade = mix(curtain, (0, 0, 0), 12 + 22 * (i % 2))
            canvas.box(shade, x, 0, x + 7, line + 14 - i * 3)
    canvas.box(mix(curtain, (0, 0, 0), 20), 0, 0, WIDTH, 12)
    for x in range(0, WIDTH, 20):
        canvas.oval(mix(curtain, (0, 0, 0), 8 + 18 * (x // 20 % 2)), x, -14, x + 24, 26)


PAINTERS: dict[str, Callable[[_Canvas, Random], None]] = {
    "room": _room,
    "street": _street,
    "park": _park,
    "beach": _beach,
    "stage": _stage,
}


@cache
def background(setting: str, number: int) -> Image.Image:
    """The setting without any thing in it; RGB, 320 x 240; `number` is below VARIANTS. Do not draw on it."""
    canvas = _Canvas()
    PAINTERS[setting](canvas, Random(1000 * number + 17 * len(setting) + ord(setting[0])))
    return canvas.image.reduce(OVER)
