"""Clusters: somebody or something, what it does with what, what it wears and holds; placed together on the ground."""

from functools import cache
from random import Random

from crosslook.data.emoji import attire, body, layout
from crosslook.data.emoji.draft import (
    DOLL_PER_CENT,
    GROUND,
    SEA,
    Cluster,
    Draft,
    chance,
    dimensions,
    draft,
    large_enough,
    pick,
    scale,
)
from crosslook.data.emoji.rules import Box, holds
from crosslook.data.emoji.world import Category, categories

BUILDINGS = ("house", "building", "church", "store", "ferris_wheel", "mountain")
NEVER_FIRST = ("wearing", "has", "above", "left_of", "right_of", "near")
"""Relations that come on top of others, or from where things happen to stand."""
HANDS_FREE = ("sitting_on", "standing_on", "behind", "next_to", "near", "in", "under", "in_front_of", "looking_at")
"""First relations that leave the hands free to hold something."""


@cache
def partners(setting: str, predicate: str, subject_key: str) -> dict[str, int]:
    """What a subject can do this with in a setting, with weights. Do not change the dictionary."""
    weights, subject = {}, categories()[subject_key]
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
    # What can be done with few things in a setting is rarely done there.
    options = {p: w * min(60, sum(partners(setting, p, subject).values())) for p, w in category.subject.items()}
    options = {p: w for p, w in options.items() if w and p not in NEVER_FIRST}
    predicate = pick(rng, options) if options and companions else ""
    choices = partners(setting, predicate, subject) if predicate else {}
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
        garments = attire.garments(rng, setting, person, name)
        for garment in garments:
            cluster.drafts.append(garment)
            cluster.relations.append((person, "wearing", garment))
        free = doing in HANDS_FREE or not doing
        category = categories()[person.category]
        if free and len(person.boxes) == 1 and "holding" in category.subject and chance(rng, 38):
            held = draft(rng, pick(rng, partners(setting, "holding", person.category)), 5, varied=False)
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
            for part in attire.parts(rng, person, garments):
                part.attached = person
                cluster.drafts.append(part)
                cluster.relations.append((person, "has", part))
