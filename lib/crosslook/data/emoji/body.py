"""The geometry of people: a head with a drawn body, in thousandths of the person's standing height.

A person's box is the frame of a posture. Everything else (limbs, clothes, parts) is placed in that frame: x from the
frame's left, y from its top, both in thousandths of the standing height, integers throughout.
"""

from collections.abc import Sequence

from crosslook.data.emoji.rules import Box
from crosslook.data.emoji.sprites import index
from crosslook.data.emoji.world import categories

FRAMES = {"stand": (440, 1000), "sit": (440, 870), "ride": (440, 880), "bust": (400, 500), "lie": (1000, 440)}
"""Width and height of each posture; `lie` is `stand` turned by a quarter."""
CHIN = 325
MIDDLE = 220
SHOULDERS = ((88, 398), (352, 398))
HANDS = ((60, 632), (380, 632))
"""Where hands hang; left in the image first."""

Relation = tuple[int, str, int]
Point = tuple[int, int]

# Worn things: the width, and the top (t) or bottom (b) edge; the sprite's own proportions give the height.
HATS = {"top_hat": (250, 112), "sun_hat": (370, 190), "cap": (300, 158), "helmet": (285, 225), "crown": (215, 92)}
GARMENTS: dict[str, Box] = {
    "glasses": (78, 140, 362, 258),
    "sunglasses": (78, 140, 362, 258),
    "scarf": (118, 300, 322, 580),
    "t_shirt": (20, 330, 420, 690),
    "shirt": (78, 332, 362, 650),
    "blouse": (26, 330, 414, 690),
    "coat": (6, 332, 434, 706),
    "vest": (78, 336, 362, 650),
    "dress": (42, 332, 398, 800),
    "swimsuit": (102, 345, 338, 700),
    "jeans": (102, 628, 338, 970),
    "shorts": (92, 612, 348, 800),
    "shoes": (62, 884, 378, 1000),
    "boots": (82, 800, 358, 1000),
}
BACKPACK: Box = (296, 330, 532, 640)


def is_doll(category: str) -> bool:
    """Is the person a head with a drawn body (which can hold, wear, sit), not one sprite?"""
    return "doll" in categories()[category].roles


def posture(category: str, index: int, relations: Sequence[Relation], objects: Sequence[str]) -> str:
    """The posture of the doll that is thing `index`; `objects` are the categories of all things."""
    for s, predicate, o in relations:
        if s == index:
            if predicate == "riding" and "board" not in categories()[objects[o]].roles:
                return "ride"
            if predicate in ("driving", "sitting_on", "lying_on"):
                return {"driving": "bust", "sitting_on": "sit", "lying_on": "lie"}[predicate]
    return "sit" if category == "baby" else "stand"


def frame(name: str, height: int) -> tuple[int, int]:
    """Width and height in pixels of a posture's box for a standing height in pixels."""
    w, h = FRAMES[name]
    return height * w // 1000, height * h // 1000


def at(box: Box, name: str, x: int, y: int) -> Point:
    """A point of the frame in pixels of the image."""
    w, h = FRAMES[name]
    return box[0] + x * (box[2] - box[0]) // w, box[1] + y * (box[3] - box[1]) // h


def inside(box: Box, name: str, part: Box) -> Box:
    """A box of the frame in pixels of the image."""
    return (*at(box, name, *part[:2]), *at(box, name, *part[2:]))


def variant(category: str, box: Box, hair: str | None = None, beard: bool = False) -> dict:
    """The sprite of a person: the one with that hair and beard, else any without a beard, chosen by where it stands."""
    choices = [v for v in index()["people"][category] if (v.get("kind") == "beard") == beard]
    choices = [v for v in choices if hair is None or v.get("hair_colour") == hair] or choices
    return choices[(31 * box[0] + 17 * box[1] + 7 * box[2] + 13 * box[3]) % len(choices)]


def hair_colours(category: str, beard: bool) -> tuple[str, ...]:
    """The colours of hair a person of this category can have (with or without a beard)."""
    people = [v for v in index()["people"][category] if (v.get("kind") == "beard") == beard]
    return tuple(dict.fromkeys(v["hair_colour"] for v in people if "hair" in v))


def worn(category: str, box: Box, name: str) -> Box:
    """Where a piece of clothing lies on the doll with this box and posture."""
    width, height = index()["things"][category]["size"]
    if category in HATS:
        wide, bottom = HATS[category]
        return inside(box, name, (MIDDLE - wide // 2, bottom - wide * height // width, MIDDLE + wide // 2, bottom))
    if category == "backpack":
        return inside(box, name, BACKPACK)
    x1, y1, x2, y2 = GARMENTS[category]
    if name in ("sit", "ride") and y2 > 700:
        # The legs are bent: what is below the hip is squeezed into what is left.
        bottom = FRAMES[name][1]
        y1, y2 = (640 + (y - 640) * (bottom - 640) // 360 if y > 640 else y for y in (y1, y2))
    return inside(box, name, (x1, y1, x2, y2))


def hands(things: Sequence, relations: Sequence[Relation], i: int, k: int, name: str) -> tuple[Point, Point]:
    """Where the hands of instance `k` of thing `i` are (left in the image first), in the frame's thousandths."""
    box = things[i].boxes[k]
    points: list[Point | None] = [None, None]
    scale = FRAMES[name][1]

    def grip(x: int, y: int) -> Point:
        """A pixel of the image, pulled into the reach of the arms."""
        fx = (x - box[0]) * scale // (box[3] - box[1])
        fy = (y - box[1]) * scale // (box[3] - box[1])
        return min(396, max(44, fx)), min(690, max(70, fy))

    def one(point: Point) -> None:
        points[int(point[0] > MIDDLE) if points[int(point[0] > MIDDLE)] is None else int(point[0] <= MIDDLE)] = point

    def both(left: Point, right: Point) -> None:
        points[0], points[1] = left, right

    for s, predicate, o in relations:
        if s != i or predicate in ("has", "wearing"):
            continue
        x1, y1, x2, y2 = things[o].boxes[min(k, len(things[o].boxes) - 1)]
        w, h, roles = x2 - x1, y2 - y1, categories()[things[o].category].roles
        middle = grip((x1 + x2) // 2, (y1 + y2) // 2)
        if predicate == "holding":
            one(grip((x1 + x2) // 2, y2 - 2) if "over" in roles else middle)
        elif predicate in ("carrying", "reading"):
            both(grip(x1 + w // 8, y2 - h // 3), grip(x2 - w // 8, y2 - h // 3))
        elif predicate == "playing" and "floor" in roles:
            both(grip(x1 + w // 4, y1), grip(x2 - w // 4, y1))
        elif predicate == "playing":
            both(grip(x1 + w // 4, y2 - h // 4), grip(x2 - w // 4, y1 + h // 3))
        elif predicate in ("riding", "driving") and "board" not in roles:
            left = categories()[things[o].category].faces == "left"
            one((70 if left else 370, 560))
        elif predicate in ("pulling", "pushing", "walking", "feeding", "leaning_on"):
            right = x1 + x2 > box[0] + box[2]
            one((392 if right else 48, {"leaning_on": 470, "pushing": 520}.get(predicate, 600)))
        elif predicate == "throwing":
            one((388 if x1 + x2 > box[0] + box[2] else 52, 190))
    return points[0] or HANDS[0], points[1] or HANDS[1]


def part_box(part: str, person: dict, box: Box, name: str, hand: tuple[Point, Point]) -> Box | None:
    """The box of a body part of a doll whose sprite is `person` (an entry of the index), None where it has none."""
    legs, bottom = FRAMES[name][1], FRAMES[name][1]

    def head(units: Sequence[int]) -> Box:
        return inside(box, name, (MIDDLE + units[0], CHIN + units[1], MIDDLE + units[2], CHIN + units[3]))

    if part == "face":
        return head((-112, -230, 112, 2))
    if part == "head":
        x1, y1, x2, _ = person["box"]
        return head((max(x1, -160), y1, min(x2, 160), 4))
    if part in ("hair", "beard"):
        return head(person[part]) if part in person else None
    (hx, hy), (sx, _) = hand[1], SHOULDERS[1]
    if part == "hand":
        return inside(box, name, (hx - 62, hy - 62, hx + 62, hy + 62))
    if part == "arm":
        return inside(box, name, (min(hx, sx) - 56, min(hy, 398) - 45, max(hx, sx) + 44, max(hy, 398) + 45))
    if name != "stand":
        return None
    if part == "leg":
        return inside(box, name, (MIDDLE, 640, MIDDLE + 145, legs))
    return inside(box, name, (MIDDLE + 5, bottom - 118, MIDDLE + 140, bottom)) if part == "foot" else None
