"""Make the sprites of Emoji Entities from the font Noto Color Emoji: `python -m crosslook.data.emoji.make_sprites`.

The font is Debian's `fonts-noto-color-emoji` (SIL Open Font License 1.1); sequences of several code points need Pillow
with libraqm. Sprites are small PNG files with a palette. `sprites/index.json` says, for every sprite, what the drawing
has to know: its dye (the colour that a coloured thing changes), and for people where head and shoulders go on a body.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from crosslook.data.emoji.furniture import FURNITURE
from crosslook.data.emoji.world import FOLDER, Category, categories
from crosslook.progress import track

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
CANVAS = 136
TONES = ("\U0001f3fb", "\U0001f3fc", "\U0001f3fd", "\U0001f3fe", "\U0001f3ff")
HAIR_OF_TONE = ("black", "yellow", "brown", "brown", "black")
"""The font gives each skin tone one colour of hair."""

# Busts hold head and shoulders; their faces are this much smaller than those of the heads without shoulders.
BUST_SCALE = 352
HEAD_SCALE = 262
"""Thousandths of a person's height (in thousandths) for one pixel of the font's bitmap."""
BUST_CHIN, HEAD_CHIN = 95, 123

# category -> (emoji, tones, kind, hair); "@" stands for the skin tone. Busts of kind `mirror` hold a tool in one hand:
# their left half is mirrored about the column given.
PEOPLE: dict[str, list[tuple[str, str, str, str | None]]] = {
    "man": [
        ("👨@", "12345", "head", "tone"),
        ("👨@‍🦱", "135", "cut", "tone"),
        ("👨@‍🦰", "12", "cut", "red"),
        ("👨@‍🦳", "14", "cut", "gray"),
        ("🧔@", "12345", "beard", "tone"),
    ],
    "woman": [
        ("👩@", "12345", "head", "tone"),
        ("👩@‍🦱", "135", "cut", "tone"),
        ("👩@‍🦰", "12", "cut", "red"),
        ("👩@‍🦳", "14", "cut", "gray"),
    ],
    "boy": [("👦@", "12345", "head", "tone")],
    "girl": [("👧@", "12345", "head", "tone")],
    "old_man": [("👴@", "1235", "head", None)],
    "old_woman": [("👵@", "1235", "head", "gray")],
    "baby": [("👶@", "12345", "head", None)],
    "police_officer": [("👮@‍♂️", "135", "bust", None), ("👮@‍♀️", "24", "bust", None)],
    "construction_worker": [("👷@‍♂️", "135", "bust", None), ("👷@‍♀️", "24", "bust", None)],
    "firefighter": [("👨@‍🚒", "135", "bust", None), ("👩@‍🚒", "24", "bust", None)],
    "cook": [("👨@‍🍳", "135", "mirror58", None), ("👩@‍🍳", "24", "mirror58", None)],
    "doctor": [("👨@‍⚕️", "135", "bust", None), ("👩@‍⚕️", "24", "bust", None)],
    "farmer": [("👨@‍🌾", "135", "mirror55", None), ("👩@‍🌾", "24", "mirror55", None)],
    "graduate": [("👨@‍🎓", "135", "bust", None), ("👩@‍🎓", "24", "bust", None)],
    "bride": [("👰@‍♀️", "1235", "bust", None)],
    "groom": [("🤵@‍♂️", "1235", "bust", None)],
    "guard": [("💂@‍♂️", "134", "bust", None)],
    "clown": [("🤡", "1", "head", None)],
    "dancer": [("💃@", "124", "figure", None), ("🕺@", "135", "figure", None)],
    "runner": [("🏃@‍♂️", "135", "figure", None), ("🏃@‍♀️", "24", "figure", None)],
    "juggler": [("🤹@‍♂️", "13", "figure", None), ("🤹@‍♀️", "24", "figure", None)],
    "swimmer": [("🏊@‍♂️", "135", "figure", None), ("🏊@‍♀️", "24", "figure", None)],
}
# The colour that is changed, where the commonest colour of the sprite is not the one that names it.
DYES: dict[str, tuple[int, int, int]] = {
    "glasses": (121, 85, 72),
    "sunglasses": (40, 40, 40),
    "motorcycle": (221, 50, 30),
    "bed": (66, 150, 235),
    "laptop": (176, 190, 197),
    "gift": (255, 183, 77),
    "tennis_racket": (33, 100, 220),
}


def render(emoji: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """An emoji on the font's 136 x 136 canvas, RGBA. Raises ValueError when it is not one glyph of the font."""
    wide = Image.new("RGBA", (3 * CANVAS, CANVAS))
    ImageDraw.Draw(wide).text((0, 0), emoji, font=font, embedded_color=True)
    box = wide.getbbox()
    if box is None or box[2] > CANVAS:
        raise ValueError(f"{emoji}: expected one glyph of {CANVAS} pixels, got {box}; is the font's version too old?")
    return wide.crop((0, 0, CANVAS, CANVAS))


def fit(image: Image.Image, longest: int) -> Image.Image:
    """Cropped to what is not transparent, and no longer than `longest` pixels."""
    image = image.crop(image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox())
    scale = min(1.0, longest / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    # Premultiplied, so that the invisible colour of transparent pixels does not bleed into the edges.
    return image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


def dye_of(image: Image.Image) -> tuple[int, int, int]:
    """The commonest colour (32 levels a channel, averaged), which is what a coloured thing is called by."""
    pixels = np.asarray(image).reshape(-1, 4)
    pixels = pixels[pixels[:, 3] > 200][:, :3].astype(int)
    _, inverse, counts = np.unique(pixels // 32, axis=0, return_inverse=True, return_counts=True)
    mean = pixels[inverse.ravel() == np.argmax(counts)].mean(axis=0)
    return tuple(round(float(c)) for c in mean)


def mirrored(image: Image.Image, column: int) -> Image.Image:
    """The left half of a bust, mirrored about `column` and moved to the middle of the canvas."""
    half = image.crop((0, 0, column, CANVAS))
    both = Image.new("RGBA", image.size)
    both.paste(half, (CANVAS // 2 - column, 0))
    both.paste(half.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (CANVAS // 2, 0))
    return both


def _units(box: tuple[int, int, int, int], scale: int, chin: int) -> list[int]:
    """A box of the canvas in thousandths of a person's height: x from the middle, y from the chin."""
    x1, y1, x2, y2 = box
    return [(x1 - CANVAS // 2) * scale // 100, (y1 - chin) * scale // 100,
            (x2 - CANVAS // 2) * scale // 100, (y2 - chin) * scale // 100]  # fmt: skip


def _hair(emoji: str, font: ImageFont.FreeTypeFont) -> tuple[int, int, int, int, int] | None:
    """Box of the hair and the row where a beard begins, measured on the second skin tone, whose hair is golden."""
    rgba = np.asarray(render(emoji.replace("@", TONES[1]), font)).astype(int)
    red, blue = rgba[..., 0], rgba[..., 2]
    hair = (red - blue > 70) & (blue < 125) & (rgba[..., 3] > 200)
    rows = np.nonzero(hair.sum(axis=1) > 5)[0]
    if not len(rows):
        return None
    columns = np.nonzero(hair.sum(axis=0) > 3)[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1, 78


def _with_legs(bust: Image.Image) -> Image.Image:
    """A juggler on legs; the font shows no more than the upper half."""
    figure = Image.new("RGBA", (CANVAS, CANVAS + 50))
    pen = ImageDraw.Draw(figure)
    for x in (46, 71):
        pen.rectangle((x, 110, x + 19, 168), fill=(84, 88, 96))
        pen.rounded_rectangle((x - 6 if x < 60 else x, 162, x + 19 if x < 60 else x + 25, 176), 6, fill=(58, 50, 48))
    figure.alpha_composite(bust)
    return figure


def person(
    emoji: str, tone: int, kind: str, hair: str | None, font: ImageFont.FreeTypeFont
) -> tuple[Image.Image, dict]:
    """One sprite of a person and its entry in the index (boxes in thousandths of the height, see `_units`)."""
    canvas = render(emoji.replace("@", TONES[tone]), font)
    if kind == "figure":
        return (_with_legs(canvas) if emoji.startswith("🤹") else canvas), {}
    scale, chin = (HEAD_SCALE, HEAD_CHIN) if kind in ("head", "beard") else (BUST_SCALE, BUST_CHIN)
    if kind.startswith("mirror"):
        canvas = mirrored(canvas, int(kind.removeprefix("mirror")))
    # The cheek, under the eyes and beside the nose, whatever the scale of the head.
    cheek = (68 - 2200 // scale, chin - 8600 // scale) if scale == BUST_SCALE else (68 - 20, chin - 36)
    skin = canvas.getpixel(cheek)[:3] if emoji != "🤡" else (253, 232, 214)
    entry: dict = {"kind": "bust" if kind.startswith("mirror") else kind, "skin": list(skin)}
    if entry["kind"] == "bust":
        rows = np.asarray(canvas)[112:122].reshape(-1, 4)
        entry["cloth"] = [int(c) for c in np.median(rows[rows[:, 3] > 200][:, :3], axis=0)]
    if kind == "cut":
        canvas.paste((0, 0, 0, 0), (0, chin + 2, CANVAS, CANVAS))
    entry["box"] = _units(canvas.getbbox(), scale, chin)
    if hair is not None:
        entry["hair_colour"] = HAIR_OF_TONE[tone] if hair == "tone" else hair
        base = {"👵@": (18, 4, 118, 60)}.get(emoji)
        measured = (*base, 78) if base else _hair(emoji.replace("🦰", "🦱").replace("🦳", "🦱"), font)
        if measured:
            x1, y1, x2, y2, beard = measured
            bottom = min(y2, {"👨@": 62, "👨@‍🦱": 54, "👨@‍🦰": 54, "👨@‍🦳": 54, "🧔@": beard}.get(emoji, chin + 2))
            entry["hair"] = _units((x1, y1, x2, bottom), scale, chin)
            if kind == "beard":
                entry["beard"] = _units((x1 + 16, beard, x2 - 16, y2), scale, chin)
    return canvas, entry


def sprites(font: ImageFont.FreeTypeFont) -> tuple[dict[str, Image.Image], dict]:
    """All sprites by name, and the index."""
    images: dict[str, Image.Image] = {}
    index: dict = {"things": {}, "people": {}}
    for key, category in track(categories().items(), desc="sprites"):
        if key in PEOPLE:
            index["people"][key] = []
            for emoji, tones, kind, hair in PEOPLE[key]:
                for tone in tones:
                    name = f"{key}-{len(index['people'][key])}"
                    canvas, entry = person(emoji, int(tone) - 1, kind, hair, font)
                    images[name] = fit(canvas, 88 if kind != "figure" else 112)
                    index["people"][key].append({"name": name, **entry, "size": list(images[name].size)})
        elif category.type != "bodyparts":
            images[key], index["things"][key] = thing(category, font)
    return images, index


def thing(category: Category, font: ImageFont.FreeTypeFont) -> tuple[Image.Image, dict]:
    """The sprite of anything that is not a person, and its entry in the index."""
    canvas = render(category.emoji, font) if category.emoji else FURNITURE[category.key]()
    if category.key == "helmet":
        # The strap would cover the face.
        canvas.paste((0, 0, 0, 0), (0, 89, CANVAS, CANVAS))
    image = fit(canvas, 128 if category.size > 100 else 72 if category.size in range(1, 36) else 96)
    entry: dict = {"size": list(image.size)}
    if category.colours:
        entry["dye"] = list(DYES.get(category.key) or dye_of(image))
    return image, entry


def main() -> None:
    """Write the sprites and their index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--font", type=Path, default=FONT, help="NotoColorEmoji.ttf")
    parser.add_argument("--out", type=Path, default=FOLDER / "sprites")
    arguments = parser.parse_args()
    if not features.check("raqm"):
        raise SystemExit("Pillow was built without libraqm, which joins emoji of several code points")
    images, index = sprites(ImageFont.truetype(str(arguments.font), 109))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        palette = image.quantize(colors=96, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        palette.save(arguments.out / f"{name}.png", optimize=True)
    parts = []
    for part, entries in index.items():
        rows = ",\n".join(f'  "{name}": {json.dumps(entry)}' for name, entry in entries.items())
        parts.append(f' "{part}": {{\n{rows}\n }}')
    (arguments.out / "index.json").write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    total = sum(file.stat().st_size for file in arguments.out.iterdir())
    print(f"{len(images)} sprites, {total} bytes in {arguments.out}")


if __name__ == "__main__":
    main()
