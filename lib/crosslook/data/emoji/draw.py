"""Draw a scene: `draw(scene)` gives the picture, from what the scene says alone."""

from collections.abc import Collection, Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter

from crosslook.data.emoji import body, doll
from crosslook.data.emoji.backgrounds import VARIANTS, background
from crosslook.data.emoji.rules import Box
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.sprites import RGB, Colour, sized
from crosslook.data.emoji.world import categories

HELD = ("holding", "carrying", "playing", "reading", "throwing")
RAISED = ("on", "in", "riding", "driving", "sitting_on", "standing_on", "lying_on", "hanging_from")
TOWARDS = ("chasing", "looking_at", "feeding", "walking", "pulling", "pushing")
LONG_SLEEVES = ("shirt", "coat")
BARE = ("dress", "swimsuit")


def draw(scene: Scene, without: Collection[int] = ()) -> Image.Image:
    """The picture of a scene, RGB, 320 x 240.

    `without` names things (indices) that are left out; everything else stays exactly as it is.
    """
    image = background(scene.setting, scene.seed % VARIANTS).copy()
    worn = {o: s for s, p, o in scene.relations if p == "wearing"}
    for i, thing in enumerate(scene.things):
        if thing.part_of is not None or i in worn or i in without:
            continue
        category = categories()[thing.category]
        for k, box in enumerate(thing.boxes):
            if not _floating(scene, i):
                _shadow(image, box)
            _lines(image, scene, i, k, without)
            if body.is_doll(thing.category):
                _person(image, scene, i, k, without)
                _feed(image, scene, i, k)
            elif category.type == "people":
                _paste(
                    image,
                    sized(body.variant(thing.category, box)["name"], None, *_size(box), _flip(scene, i, box)),
                    box,
                )
            else:
                _paste(image, sized(thing.category, thing.colour, *_size(box), _flip(scene, i, box)), box)
            _hands_over(image, scene, i, k, without)
    return image


def _size(box: Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]


def _paste(image: Image.Image, sprite: Image.Image, box: Sequence[int]) -> None:
    image.paste(sprite, (box[0], box[1]), sprite)


def _floating(scene: Scene, i: int) -> bool:
    """Does the thing touch no ground: in the air, on a wall, on the water, in a hand, on something else?"""
    roles = categories()[scene.things[i].category].roles
    if {"sky", "wall", "water"} & set(roles):
        return True
    return any(
        (s == i and p in RAISED) or (o == i and p in HELD and "floor" not in roles) for s, p, o in scene.relations
    )


def _flip(scene: Scene, i: int, box: Box) -> bool:
    """Is the sprite mirrored? Animals face what they have to do with; who moves something faces the same way as it."""
    category = categories()[scene.things[i].category]
    if category.faces is None or category.type not in ("animals", "people"):
        return False
    for s, predicate, o in scene.relations:
        if predicate not in (*TOWARDS, "riding") or i not in (s, o):
            continue
        if predicate == "riding":
            return False
        other = scene.things[o if s == i else s].boxes[0]
        to_right = other[0] + other[2] > box[0] + box[2]
        # What is chased or walked runs away; who feeds or is fed, looks or is looked at, faces the other.
        return to_right != (o == i and predicate in ("chasing", "walking"))
    return (box[0] + box[3]) % 2 == 1


@lru_cache(maxsize=256)
def _blot(width: int, height: int) -> Image.Image:
    """A soft dark ellipse: mask of a shadow."""
    mask = Image.new("L", (width, height))
    edge = max(1, height // 4)
    ImageDraw.Draw(mask).ellipse((edge, edge, width - edge, height - edge), fill=92)
    return mask.filter(ImageFilter.GaussianBlur(edge * 0.7))


def _shadow(image: Image.Image, box: Box) -> None:
    w = _size(box)[0]
    width, height = w + w // 6, max(6, min(20, w // 5))
    image.paste((24, 24, 40), (box[0] - w // 12, box[3] - height * 3 // 5), _blot(width, height))


def _posture(scene: Scene, i: int) -> str:
    return body.posture(scene.things[i].category, i, scene.relations, [t.category for t in scene.things])


def _look(scene: Scene, i: int, k: int) -> dict:
    """The sprite of a doll."""
    parts = [t for t in scene.things if t.part_of == i]
    hair = next((t.colour for t in parts if t.category in ("hair", "beard")), None)
    thing = scene.things[i]
    return body.variant(thing.category, thing.boxes[k], hair, any(t.category == "beard" for t in parts))


def _person(image: Image.Image, scene: Scene, i: int, k: int, without: Collection[int]) -> None:
    """One doll with everything it wears."""
    box, name, look = scene.things[i].boxes[k], _posture(scene, i), _look(scene, i, k)
    wears = [
        (
            scene.things[o].category,
            scene.things[o].colour,
            scene.things[o].boxes[min(k, len(scene.things[o].boxes) - 1)],
        )
        for s, p, o in scene.relations
        if s == i and p == "wearing" and o not in without
    ]
    if name == "lie":
        # Drawn upright on a canvas of its own, then laid on the back.
        upright = Image.new("RGBA", _size(box)[::-1])
        _upright(upright, scene, i, k, "stand", look, (0, 0, *_size(box)[::-1]), [])
        _paste(image, upright.transpose(Image.Transpose.ROTATE_90), box)
    else:
        _upright(image, scene, i, k, name, look, box, wears)


def _upright(
    image: Image.Image,
    scene: Scene,
    i: int,
    k: int,
    name: str,
    look: dict,
    box: Box,
    wears: Sequence[tuple[str, str | None, Box]],
) -> None:
    size, skin = _size(box), tuple(look["skin"])
    wearing = {c: colour for c, colour, _ in wears}
    top = next((c for c in ("coat", "shirt", "t_shirt", "blouse", "vest", *BARE) if c in wearing), None)
    shirt, trousers, sleeve, long = _clothes(look, scene.things[i].boxes[k], wearing, top, skin)

    def put(*clothes: str) -> None:
        for category, colour, where in wears:
            if category in clothes:
                if category in ("shoes", "boots"):
                    _pair(image, category, colour, where)
                else:
                    _paste(image, sized(category, colour, *_size(where)), where)

    put("backpack")
    legs = _legs(scene, i, k, name)
    shod = not {"shorts", "swimsuit"} & set(wearing) or scene.setting != "beach"
    narrow = top is not None and top != "vest"
    _paste(image, doll.base(name, *size, legs, shirt, trousers, skin, narrow, shod), box)
    put("jeans", "shorts", "shoes", "boots", "t_shirt", "shirt", "blouse", "coat", "vest", "dress", "swimsuit")
    hands = body.hands(scene.things, scene.relations, i, k, name)
    if look["kind"] != "bust":
        _paste(image, doll.arms(name, *size, hands, sleeve, long, skin), box)
        put("scarf")
    where = body.inside(box, name, doll.head_box(look))
    _paste(image, doll.head(look["name"], *_size(where), _tilt(scene, i, k)), where)
    if look["kind"] == "bust":
        _paste(image, doll.arms(name, *size, hands, sleeve, long, skin), box)
        put("scarf")
    put("glasses", "sunglasses", *body.HATS)


def _clothes(
    look: dict, box: Box, wearing: dict[str, str | None], top: str | None, skin: Colour
) -> tuple[Colour, Colour, Colour | None, bool]:
    """Colours of torso, legs and sleeves (None: bare arms), and whether sleeves are long."""
    number = 3 * box[0] + 5 * box[2] + box[3]
    shirt = doll.MUTED[number % len(doll.MUTED)]
    trousers = doll.TROUSERS[number % len(doll.TROUSERS)]
    if look["kind"] == "bust":
        cloth = tuple(look["cloth"])
        return cloth, doll.darker(cloth, 72) if sum(cloth) < 560 else trousers, cloth, True
    sleeve: Colour | None = shirt
    if top in BARE:
        shirt, sleeve = skin, None
        trousers = skin
    elif top is not None and top != "vest":
        shirt = RGB[wearing[top]] if wearing[top] else shirt
        sleeve = shirt
    if "shorts" in wearing:
        trousers = skin
    elif wearing.get("jeans"):
        trousers = RGB[wearing["jeans"]]
    return shirt, trousers, sleeve, top in LONG_SLEEVES


def _pair(image: Image.Image, category: str, colour: str | None, box: Box) -> None:
    """Two shoes, toes outwards."""
    w, h = _size(box)
    one = w * 46 // 100
    _paste(image, sized(category, colour, one, h, False), box)
    _paste(image, sized(category, colour, one, h, True), (box[2] - one, box[1]))


def _legs(scene: Scene, i: int, k: int, name: str) -> str:
    box = scene.things[i].boxes[k]
    for s, predicate, o in scene.relations:
        if s != i:
            continue
        other = scene.things[o]
        if predicate == "riding" and name == "ride":
            return "ride_left" if categories()[other.category].faces == "left" else "ride_right"
        if predicate == "kicking":
            return "kick_right" if other.boxes[0][0] + other.boxes[0][2] > box[0] + box[2] else "kick_left"
        if predicate in ("walking", "pulling", "pushing", "chasing") and name == "stand":
            return "walk"
    return name


def _tilt(scene: Scene, i: int, k: int) -> int:
    """Degrees by which the head leans to what is looked at."""
    box = scene.things[i].boxes[k]
    for s, predicate, o in scene.relations:
        if s == i and predicate in ("looking_at", "feeding", "kicking", "throwing"):
            x1, _, x2, _ = scene.things[o].boxes[0]
            return 10 if x1 + x2 > box[0] + box[2] else -10
    return 0


def _hands_over(image: Image.Image, scene: Scene, i: int, k: int, without: Collection[int]) -> None:
    """Fingers around what somebody holds, over it."""
    for s, predicate, o in scene.relations:
        if o == i and predicate in ("holding", "carrying", "reading", "playing") and s not in without and o > s:
            name, look = _posture(scene, s), _look(scene, s, k)
            box, target = scene.things[s].boxes[k], scene.things[i].boxes[k]
            for hand in body.hands(scene.things, scene.relations, s, k, name):
                x, y = body.at(box, name, *hand)
                radius = max(3, 50 * (box[3] - box[1]) // body.FRAMES[name][1])
                if target[0] - 2 <= x <= target[2] + 2 and target[1] - 2 <= y <= target[3] + 2:
                    _paste(image, doll.palm(radius, tuple(look["skin"])), (x - radius, y - radius))


def _feed(image: Image.Image, scene: Scene, i: int, k: int) -> None:
    """A biscuit in the hand of who feeds."""
    box, name = scene.things[i].boxes[k], _posture(scene, i)
    for s, predicate, o in scene.relations:
        if s == i and predicate == "feeding":
            x1, _, x2, _ = scene.things[o].boxes[0]
            right = x1 + x2 > box[0] + box[2]
            x, y = body.at(box, name, *body.hands(scene.things, scene.relations, i, k, name)[int(right)])
            ImageDraw.Draw(image).rounded_rectangle((x - 4, y + 2, x + 4, y + 7), 2, (206, 158, 96), (122, 82, 44))


def _lines(image: Image.Image, scene: Scene, i: int, k: int, without: Collection[int]) -> None:
    """Leads, ropes and strings, drawn under the thing they end at."""
    x1, y1, x2, y2 = scene.things[i].boxes[k]
    for s, predicate, o in scene.relations:
        if o == i and s not in without and predicate in ("walking", "pulling"):
            name, box = _posture(scene, s), scene.things[s].boxes[0]
            right = x1 + x2 > box[0] + box[2]
            start = body.at(box, name, *body.hands(scene.things, scene.relations, s, 0, name)[int(right)])
            end = (x1 + (x2 - x1) // 4 if right else x2 - (x2 - x1) // 4, y1 + (y2 - y1) * 2 // 5)
            ImageDraw.Draw(image).line((*start, *end), fill=(92, 60, 44), width=2)
        elif o == i and s not in without and predicate == "looking_at" and scene.things[i].category == "kite":
            box = scene.things[s].boxes[0]
            if body.is_doll(scene.things[s].category):
                end = body.at(box, _posture(scene, s), 380, 632)
                ImageDraw.Draw(image).line(((x1 + x2) // 2, (y1 + y2) // 2, *end), fill=(240, 240, 240), width=1)
