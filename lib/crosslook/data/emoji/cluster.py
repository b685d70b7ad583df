"""Clusters: somebody or something, what it does with what, what it wears and holds; placed together on the ground."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from crosslook.data.emoji import body, layout
from crosslook.data.emoji.rules import Box, holds
from crosslook.data.emoji.sprites import index
from crosslook.data.emoji.world import HEIGHT, WIDTH, Category, categories

MIN_SIDE = 13
"""No box is narrower or lower than this many pixels."""
PER_CENT = {"small": 75, "medium": 100, "large": 130}
DOLL_PER_CENT = {"small": 88, "medium": 100, "large": 116}
"""What the size words do to things and to people."""

GROUND = {"room": (150, 176), "street": (150, 172), "park": (138, 166), "beach": (146, 172), "stage": (156, 180)}
"""Per setting, where the back of the ground is (houses and walls stand there) and the furthest ground people use."""
SEA = (116, 136)
FRONT = 232

SLOTS = ("hat", "eyes", "neck", "torso", "legs", "feet", "rear", "gown", "suit")
FEMININE = ("dress", "blouse", "swimsuit")
BUILDINGS = ("house", "building", "church", "store", "ferris_wheel", "mountain")
NEVER_FIRST = ("wearing", "has", "above", "left_of", "right_of", "near")
"""Relations that come on top of others, or from where things happen to stand."""
HANDS_FREE = ("sitting_on", "standing_on", "behind", "next_to", "near", "in", "under", "in_front_of", "looking_at")
"""First relations that leave the hands free to hold something."""


@dataclass
class Draft:
    """A thing that is being placed.

    `tall` is a doll's standing height. Drawing goes by `depth` (where it stands; None: where its cluster stands), then
    by `layer` within a cluster.
    """

    category: str
    colour: str | None
    size: str
    boxes: list[Box]
    layer: int = 0
    depth: int | None = None
    tall: int = 0
    part_of: "Draft | None" = None
    attached: "Draft | None" = None


@dataclass
class Cluster:
    """Drafts and their relations, standing at `ground` (the y of the feet, which orders clusters)."""

    ground: int
    drafts: list[Draft] = field(default_factory=list)
    relations: list[tuple[Draft, str, Draft]] = field(default_factory=list)


def pick(rng: Random, weights: Mapping[str, int]) -> str:
    """A key, with probability proportional to its weight."""
    at = rng.randrange(sum(weights.values()))
    for key, weight in weights.items():
        at -= weight
        if at < 0:
            return key
    raise AssertionError("unreachable: the weights add up")


def chance(rng: Random, per_cent: int) -> bool:
    return rng.randrange(100) < per_cent


def scale(ground: int) -> int:
    """Thousandths: things are drawn smaller the further back they stand."""
    return 1000 - 4 * max(0, min(130, FRONT - ground))


def dimensions(category: Category, size: str, ground: int) -> tuple[int, int]:
    """Width and height in pixels of a thing (not a doll) standing at `ground`."""
    people = index()["people"].get(category.key)
    width, height = people[0]["size"] if people else index()["things"][category.key]["size"]
    longest = category.size * PER_CENT[size] * scale(ground) // 100_000
    side = max(width, height)
    return max(1, longest * width // side), max(1, longest * height // side)


def draft(rng: Random, key: str, layer: int = 0, varied: bool = True) -> Draft:
    """A thing of this category with a colour and a size, not yet placed."""
    category = categories()[key]
    colour = pick(rng, category.colours) if category.colours else None
    doll = "doll" in category.roles
    spread = {"medium": 90, "large": 6, "small": 4} if doll else {"medium": 66, "small": 17, "large": 17}
    return Draft(key, colour, pick(rng, spread) if varied else "medium", [], layer)


def partners(setting: str, predicate: str, subject: Category) -> dict[str, int]:
    """What a subject can do this with in a setting, with weights."""
    weights = {}
    for key, category in categories().items():
        weight = category.object.get(predicate, 0) * category.settings.get(setting, 0)
        if weight and key != subject.key and _sensible(predicate, subject, category):
            weights[key] = weight
    return weights


def _sensible(predicate: str, subject: Category, category: Category) -> bool:
    """Rules of the world that weights by single categories cannot say."""
    roles = category.roles
    if "water" in roles and "board" not in roles:
        return predicate in ("in", "driving", "looking_at") and subject.type == "people"
    if "sky" in roles:
        return predicate in ("looking_at", "feeding") and (predicate == "looking_at" or category.type == "animals")
    if "wall" in roles:
        return predicate in ("looking_at", "in_front_of", "next_to")
    if category.type == "people" and "figure" in roles and "water" in roles:
        return predicate == "looking_at"
    if predicate == "in":
        vessel = ("canoe", "tent", "motorboat")
        return category.key in vessel if subject.type == "people" and subject.key != "baby" else category.key != "tent"
    if predicate == "carrying" and category.key == "baby":
        return "doll" in subject.roles and subject.key not in ("boy", "girl", "baby")
    if subject.type == "animals" and predicate == "sitting_on":
        return category.key not in ("suitcase", "wheelchair", "box", "fountain", "canoe")
    if subject.type not in ("people", "animals") and predicate == "on":
        return category.type not in ("vehicles", "people") and category.key not in ("house", "tree", "fence")
    return True


def _fits(predicate: str, subject: Category, sub: tuple[int, int], category: Category, obj: tuple[int, int]) -> bool:
    """Are the sizes right for each other?"""
    if predicate in ("on", "under", "in", "sitting_on", "standing_on", "hanging_from") and subject.type != "people":
        return sub[0] <= obj[0] and (predicate != "under" or "floor" not in category.roles or 10 * sub[1] <= 7 * obj[1])
    if predicate == "behind":
        return 4 * obj[1] <= 5 * sub[1] or category.type == "vehicles"
    return True


def _garments(rng: Random, setting: str, person: Draft, posture: str) -> list[Draft]:
    """What a doll (or each of a group) wears."""
    category = categories()[person.category]
    uniform = index()["people"][person.category][0]["kind"] == "bust"
    if posture == "lie" or "wearing" not in category.subject or person.category == "clown":
        return []
    allowed = {"eyes", "rear"} if uniform else {"hat", "eyes"} if posture == "bust" else set(SLOTS)
    if posture in ("ride", "sit"):
        allowed -= {"feet", "rear", "legs"} if posture == "ride" else {"rear"}
    if person.category == "baby":
        allowed = {"hat"}
    weights = {
        key: c.object["wearing"] * c.settings[setting]
        for key, c in categories().items()
        if c.type == "clothing" and setting in c.settings and "wearing" in c.object and c.roles[0] in allowed
    }
    found: list[Draft] = []
    for _ in range(int(pick(rng, {"0": 3, "1": 6, "2": 6, "3": 3}))):
        if person.category not in ("woman", "girl", "old_woman"):
            weights = {k: w for k, w in weights.items() if k not in FEMININE}
        if not weights:
            break
        garment = draft(rng, pick(rng, weights), varied=False)
        garment.boxes = [body.worn(garment.category, box, posture) for box in person.boxes]
        slot = categories()[garment.category].roles[0]
        taken = {"gown": ("gown", "torso", "legs", "suit"), "suit": ("suit", "gown", "torso", "legs")}.get(
            slot, (slot,)
        )
        taken += ("gown", "suit") if slot in ("torso", "legs") else ()
        weights = {k: w for k, w in weights.items() if categories()[k].roles[0] not in taken}
        garment.layer, garment.attached = (-1 if slot == "rear" else 1), person
        if large_enough(garment.boxes):
            found.append(garment)
    # From the skin outwards, as they are drawn.
    order = ("rear", "legs", "feet", "torso", "gown", "suit", "neck", "eyes", "hat")
    return sorted(found, key=lambda g: order.index(categories()[g.category].roles[0]))


def _parts(rng: Random, person: Draft, garments: list[Draft]) -> list[Draft]:
    """Body parts to be spoken of; their boxes are known only when everything is placed."""
    found: list[Draft] = []
    hatted = any(categories()[g.category].roles[0] == "hat" for g in garments)
    beard = person.category == "man" and chance(rng, 14)
    if beard:
        colours = {c: w for c, w in categories()["beard"].colours.items() if c in body.hair_colours("man", True)}
        found.append(Draft("beard", pick(rng, colours), "medium", [], 2, part_of=person))
    colours = body.hair_colours(person.category, beard)
    # A hat hides short hair.
    if colours and not (hatted and person.category not in ("woman", "girl")) and chance(rng, 36):
        weights = {c: w for c, w in categories()["hair"].colours.items() if c in colours}
        found.append(Draft("hair", found[0].colour if beard else pick(rng, weights), "medium", [], 2, part_of=person))
    if chance(rng, 40):
        weights = {k: c.frequency for k, c in categories().items() if c.type == "bodyparts" and not c.colours}
        found.append(Draft(pick(rng, weights), None, "medium", [], 2, part_of=person))
    return found


def large_enough(boxes: list[Box]) -> bool:
    """Inside the image and no side shorter than MIN_SIDE?"""
    return all(
        min(x1, y1) >= 0 and x2 <= WIDTH and y2 <= HEIGHT and min(x2 - x1, y2 - y1) >= MIN_SIDE
        for x1, y1, x2, y2 in boxes
    )


def _move(box: Box, x: int, y: int) -> Box:
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def _aloft(rng: Random, predicate: str, sub: Box, obj: tuple[int, int], key: str, setting: str) -> Box:
    """A place in the sky, on the wall or in the distance for something that is looked at or stood before."""
    step = rng.choice((-1, 1)) * (sub[2] - sub[0]) * rng.randrange(50, 100) // 100
    x = (sub[0] + sub[2]) // 2 + step
    if predicate == "looking_at":
        x += obj[0] // 2 if step > 0 else -obj[0] // 2
    roles, back = categories()[key].roles, GROUND[setting][0]
    if "water" in roles:
        return layout.stand(obj, x, rng.randrange(*SEA))
    if "sky" in roles or key in ("window", "painting"):
        return layout.centre(obj, x, rng.randrange(34, 70) if "sky" in roles else rng.randrange(56, 80))
    return layout.stand(obj, x, back)


def build(rng: Random, setting: str, subject: str, ground: int, x: int, companions: bool = True) -> Cluster | None:
    """A cluster around one main thing, or None where its things cannot be placed properly.

    `x`, `ground` is where the main pair stands. Groups ("three boys") have one box each.
    """
    category = categories()[subject]
    main = draft(rng, subject)
    doll = "doll" in category.roles
    weights = {p: w for p, w in category.subject.items() if p not in NEVER_FIRST}
    predicate = pick(rng, weights) if weights and companions else ""
    choices = partners(setting, predicate, category) if predicate else {}
    other = draft(rng, pick(rng, choices), 5) if choices else None
    cluster = Cluster(ground, [main])
    count = int(pick(rng, {"2": 6, "3": 2})) if category.type in ("people", "animals") and chance(rng, 14) else 1
    if other is not None and (
        count == 1 or predicate in ("sitting_on", "behind", "in_front_of", "looking_at", "next_to")
    ):
        if not _pair(rng, cluster, setting, predicate, main, other, x, count):
            return None
    else:
        if not {"next_to", "in_front_of"} & set(category.subject):
            return None
        predicate, other = "", None
        _alone(rng, main, ground, x, count)
    if doll:
        _finish(rng, cluster, setting, main, predicate)
    for s, p, o in cluster.relations:
        for i, box in enumerate(s.boxes):
            if p != "has" and not holds(p, box, o.boxes[min(i, len(o.boxes) - 1)]):
                return None
    return cluster if all(large_enough(d.boxes) for d in cluster.drafts) else None


def _height(main: Draft, ground: int) -> int:
    return categories()[main.category].size * DOLL_PER_CENT[main.size] * scale(ground) // 100_000


def _posture(main: Draft, predicate: str, other: Draft | None) -> str:
    names = [main.category, *([other.category] if other else [])]
    return body.posture(main.category, 0, [(0, predicate, 1)] if other else [], names)


def _alone(rng: Random, main: Draft, ground: int, x: int, count: int) -> None:
    """The main thing without a partner; a group stands in a row, a little irregularly."""
    category = categories()[main.category]
    if "doll" in category.roles:
        main.tall = _height(main, ground)
        w, h = body.frame(_posture(main, "", None), main.tall)
    else:
        w, h = dimensions(category, main.size, ground)
    main.boxes = _row(rng, layout.stand((w, h), x, ground), count)


def _row(rng: Random, box: Box, count: int) -> list[Box]:
    """`count` copies of a box side by side, the nearest last."""
    width = box[2] - box[0]
    boxes = [box]
    for i in range(1, count):
        step = (width + rng.randrange(-width // 8, width // 4)) * (1 if i % 2 else -1)
        boxes.append(_move(box, step, rng.randrange(-2, 5)))
    return sorted(boxes, key=lambda b: b[3])


def _pair(
    rng: Random, cluster: Cluster, setting: str, predicate: str, main: Draft, other: Draft, x: int, count: int
) -> bool:
    """Place the main thing and its partner; False where their sizes do not go together."""
    ground, category, its = cluster.ground, categories()[main.category], categories()[other.category]
    if "water" in its.roles and predicate in ("in", "driving", "standing_on", "riding"):
        ground = cluster.ground = rng.randrange(SEA[0] + 14, SEA[1] + 14)
    elif other.category in BUILDINGS:
        ground = cluster.ground = GROUND[setting][0] + rng.randrange(6, 16)
    name = _posture(main, predicate, other)
    if "doll" in its.roles:
        other.tall = _height(other, ground)
        obj = body.frame("sit" if other.category == "baby" else "stand", other.tall)
    else:
        obj = dimensions(its, other.size, ground)
    if "doll" in category.roles:
        main.tall = _height(main, ground)
        if name == "bust":
            main.size, main.tall = "medium", obj[1] * layout.WINDOW[its.key][2] // 50 if its.key in layout.WINDOW else 0
        sub = body.frame(name, main.tall)
    else:
        sub = dimensions(category, main.size, ground)
    if (name == "bust" and its.key not in layout.WINDOW) or not _fits(predicate, category, sub, its, obj):
        return False
    cluster.drafts.append(other)
    far = "back" in its.roles and predicate == "in_front_of"
    if far or (set(its.roles) & {"sky", "wall", "water"} and predicate in ("looking_at", "in_front_of", "next_to")):
        first = layout.stand(sub, x, ground)
        other.boxes = [_aloft(rng, predicate, first, obj, its.key, setting)]
        other.depth = 0 if set(its.roles) & {"sky", "wall"} else other.boxes[0][3]
        main.boxes = _row(rng, first, count)
    else:
        placed = layout.place(rng, predicate, sub, obj, main.tall, category, its)
        first = _move(placed.subject, x, ground)
        other.boxes, other.layer = [_move(placed.object, x, ground)], -5 if placed.object_first else 5
        main.boxes = _row(rng, first, count) if count > 1 else [first]
    if predicate in ("holding", "carrying", "reading", "playing"):
        other.attached = main
    cluster.relations.append((main, predicate, other))
    return True


def _finish(rng: Random, cluster: Cluster, setting: str, main: Draft, predicate: str) -> None:
    """Clothes, parts, and something in the hands of dolls; also of the partner when it is a doll."""
    dolls = [(main, predicate)] + [(o, "") for _, _, o in cluster.relations if o.tall and o is not main]
    for person, doing in dolls:
        other = next((o for s, _, o in cluster.relations if s is person), None)
        name = _posture(person, doing, other)
        garments = _garments(rng, setting, person, name)
        for garment in garments:
            cluster.drafts.append(garment)
            cluster.relations.append((person, "wearing", garment))
        free = doing in HANDS_FREE or not doing
        category = categories()[person.category]
        if free and len(person.boxes) == 1 and "holding" in category.subject and chance(rng, 38):
            held = draft(rng, pick(rng, partners(setting, "holding", category)), 5, varied=False)
            if categories()[held.category].type != "people":
                size = dimensions(categories()[held.category], "medium", cluster.ground)
                x1, y1, x2, y2 = person.boxes[0]
                placed = layout.place(
                    rng, "holding", (x2 - x1, y2 - y1), size, person.tall, category, categories()[held.category]
                )
                held.boxes = [_move(placed.object, (x1 + x2) // 2, y2)]
                held.layer, held.attached = (-2 if placed.object_first else 5), person
                if large_enough(held.boxes):
                    cluster.drafts.append(held)
                    cluster.relations.append((person, "holding", held))
        if len(person.boxes) == 1 and name != "lie":
            for part in _parts(rng, person, garments):
                part.attached = person
                cluster.drafts.append(part)
                cluster.relations.append((person, "has", part))
