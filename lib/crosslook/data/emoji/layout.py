"""Where the object of a relation goes, given its subject (or the other way round): one rule of placing per predicate.

Boxes here are relative to the ground point of the pair, (0, 0); y grows downwards. Sizes are pixels.
"""

from random import Random
from typing import NamedTuple

from crosslook.data.emoji.rules import Box
from crosslook.data.emoji.world import Category

Size = tuple[int, int]


class Placed(NamedTuple):
    """Boxes of the two, and whether the object is drawn before the subject."""

    subject: Box
    object: Box
    object_first: bool


# Where things meet what is on them: per cent of the object's height, from its top.
SURFACE = {"chair": 56, "couch": 80, "bed": 55, "bench": 60, "table": 20, "log": 14, "rock": 22, "box": 22, "car": 12}
SURFACE |= {"suitcase": 20, "fountain": 74, "canoe": 55, "sled": 40, "wheelchair": 52, "skateboard": 45, "ladder": 50}
SURFACE |= {"surfboard": 50, "tree": 30, "fence": 8, "house": 12, "book": 30, "piano": 4}
INSIDE = {"canoe": 72, "bucket": 40, "basket": 62, "box": 40, "shopping_cart": 60, "tent": 94, "motorboat": 62}
INSIDE |= {"sailboat": 86, "wheelchair": 62}
SEAT = {"bicycle": (42, 34), "motorcycle": (56, 42), "scooter": (62, 48), "horse": (58, 42), "camel": (55, 28)}
"""Where a rider sits, in per cent of width and height."""
WINDOW = {"car": (44, 50, 62), "taxi": (46, 56, 56), "police_car": (44, 52, 58), "bus": (78, 58, 46)}
WINDOW |= {"ambulance": (24, 52, 44), "fire_truck": (20, 56, 42), "truck": (20, 55, 46), "tractor": (66, 48, 50)}
WINDOW |= {"train": (78, 56, 42), "motorboat": (46, 52, 100)}
"""Where a driver is seen: middle and lower edge of the window, and the height of head and shoulders, in per cent."""
GAPS = {"next_to": (2, 16), "pulling": (14, 30), "pushing": (-9, -3), "walking": (14, 40), "feeding": (1, 9)}
GAPS |= {"looking_at": (8, 40), "chasing": (12, 50), "leaning_on": (-12, -6)}
"""How many pixels lie between two things side by side."""


def stand(size: Size, x: int = 0, y: int = 0) -> Box:
    """A box of this size whose foot is at (x, y)."""
    w, h = size
    return x - w // 2, y - h, x - w // 2 + w, y


def centre(size: Size, x: int, y: int) -> Box:
    """A box of this size around (x, y)."""
    w, h = size
    return x - w // 2, y - h // 2, x - w // 2 + w, y - h // 2 + h


def _surface(category: Category) -> int:
    return SURFACE.get(category.key, 15)


def _spread(rng: Random, width: int, inner: int) -> int:
    """A place along something of this width, such that `inner` pixels do not stick out much."""
    room = max(0, (width - inner) // 2)
    return rng.randrange(-room, room + 1)


def _beside(rng: Random, predicate: str, sub: Size, obj: Size) -> Placed:
    low, high = GAPS[predicate]
    side = rng.choice((-1, 1))
    step = sub[0] // 2 + obj[0] // 2 + rng.randrange(low, high + 1)
    nearer = rng.randrange(-3, 6) if predicate in ("next_to", "chasing", "feeding", "walking") else 0
    first = predicate in ("leaning_on", "pulling") or nearer < 0
    return Placed(stand(sub), stand(obj, side * step, -3 if predicate == "leaning_on" else nearer), first)


def _in_hand(rng: Random, predicate: str, sub: Size, obj: Size, tall: int, category: Category) -> Placed:
    """Things held, carried, played, read, thrown or kicked; `tall` is the standing height, `sub` the box."""
    top, side, roles = -sub[1], rng.choice((-1, 1)), category.roles

    def put(x: int, y: int) -> Box:
        return centre(obj, side * x * tall // 1000, top + y * tall // 1000)

    if predicate == "holding":
        if category.key == "umbrella":
            x = side * 165 * tall // 1000
            return Placed(stand(sub), stand(obj, x, top + 450 * tall // 1000), True)
        if category.key == "balloon":
            return Placed(stand(sub), stand(obj, side * 210 * tall // 1000, top + 330 * tall // 1000), True)
        if category.key in ("baby", "teddy_bear", "cat", "rabbit", "dog"):
            return Placed(stand(sub), put(60, 570), False)
        if category.key == "microphone":
            return Placed(stand(sub), put(110, 400), False)
        low = {"broom": 700, "sign": 420, "flag": 470, "handbag": 720, "bucket": 720, "basket": 700}
        return Placed(stand(sub), put(190, low.get(category.key, 560)), False)
    if predicate == "carrying":
        return Placed(stand(sub), put(0, 540 if category.key != "ladder" else 600), False)
    if predicate == "reading":
        return Placed(stand(sub), put(0, 540), False)
    if predicate == "throwing":
        return Placed(stand(sub), put(260, 70), False)
    if predicate == "kicking":
        return Placed(stand(sub), stand(obj, side * (sub[0] // 2 + obj[0] // 2 - 1), 2), False)
    if "floor" in roles:
        return Placed(stand(sub), stand(obj, 0, 8), False)
    x, y = {"trumpet": (120, 390), "saxophone": (60, 560), "violin": (100, 420)}.get(category.key, (0, 560))
    return Placed(stand(sub), put(x, y), False)


def _on(rng: Random, predicate: str, sub: Size, obj: Size, subject: Category, category: Category) -> Placed:
    """Things on, in, under and hanging from others; people sitting, standing, lying, riding and driving."""
    w, h = obj
    if predicate == "riding" and "board" not in category.roles:
        sx, sy = SEAT.get(category.key, (50, 40))
        sx = 100 - sx if category.faces is None and sx != 50 else sx
        # The hip is at 660 of 880 of a rider's height.
        return Placed(stand(sub, sx * w // 100 - w // 2, -h + sy * h // 100 + sub[1] // 4), stand(obj), True)
    if predicate in ("standing_on", "riding"):
        where = stand(sub, _spread(rng, w, sub[0]), -h + _surface(category) * h // 100)
        return Placed(where, stand(obj), True)
    if predicate == "driving":
        sx, sy, _ = WINDOW[category.key]
        return Placed(stand(sub, sx * w // 100 - w // 2, -h + sy * h // 100), stand(obj), True)
    if predicate == "sitting_on":
        # People sit with a quarter of their height hanging down from the seat, animals stand on it.
        drop = sub[1] // 5 if subject.type == "people" else 0
        where = stand(sub, _spread(rng, w, sub[0]), min(2, -h + _surface(category) * h // 100 + drop))
        return Placed(where, stand(obj), True)
    if predicate in ("lying_on", "on"):
        drop = {"couch": 4, "bed": 6}.get(category.key, 0) if predicate == "lying_on" else 0
        where = stand(sub, _spread(rng, w * 3 // 4, sub[0]), -h + _surface(category) * h // 100 + drop)
        return Placed(where, stand(obj), True)
    if predicate == "in":
        where = stand(sub, _spread(rng, w * 2 // 3, sub[0]), -h + INSIDE.get(category.key, 60) * h // 100)
        return Placed(where, stand(obj), category.key == "tent")
    if predicate == "hanging_from":
        where = stand(sub, rng.choice((-1, 1)) * w * rng.randrange(20, 36) // 100, -h + 50 * h // 100 + sub[1])
        return Placed(where, stand(obj), True)
    inner = "floor" in category.roles
    return Placed(stand(sub, _spread(rng, w * 2 // 3, sub[0]), -1 if inner else 5), stand(obj), not inner)


def _depth(rng: Random, predicate: str, sub: Size, obj: Size) -> Placed:
    """One before the other: the one in front is shifted, so that enough of the other one is seen."""
    behind = predicate == "behind"
    narrow, wide = min(sub[0], obj[0]), max(sub[0], obj[0])
    # The two overlap by 30 to 60 per cent of the narrower one; a low thing in front may hide all of the other's foot.
    step = wide // 2 + narrow // 2 - narrow * rng.randrange(30, 61) // 100
    x, y = rng.choice((-1, 1)) * step, rng.randrange(8, 15)
    first, second = (stand(sub), stand(obj, x, y)) if behind else (stand(sub, 0, y), stand(obj, x, 0))
    return Placed(first, second, not behind)


def place(
    rng: Random, predicate: str, sub: Size, obj: Size, tall: int, subject: Category, category: Category
) -> Placed:
    """Boxes for `subject predicate category` with these sizes; `tall` is the subject's standing height.

    Raises KeyError for a predicate that is never placed on purpose (`left_of`, `above`, `wearing`, `has`, ...).
    """
    if predicate in ("holding", "carrying", "reading", "throwing", "kicking", "playing"):
        return _in_hand(rng, predicate, sub, obj, tall, category)
    if predicate in ("behind", "in_front_of"):
        return _depth(rng, predicate, sub, obj)
    if predicate in (
        *("on", "in", "under", "riding", "driving", "sitting_on", "standing_on", "lying_on", "hanging_from"),
    ):
        return _on(rng, predicate, sub, obj, subject, category)
    return _beside(rng, predicate, sub, obj)
