"""From a seed to the things of a scene: clusters on the ground, a backdrop, and what can be said of who is where."""

from collections.abc import Collection, Sequence
from random import Random

import numpy as np

from crosslook.data.emoji import body, layout
from crosslook.data.emoji.cluster import build
from crosslook.data.emoji.draft import (
    FRONT,
    GROUND,
    SEA,
    Cluster,
    Draft,
    chance,
    dimensions,
    draft,
    large_enough,
    pick,
)
from crosslook.data.emoji.rules import Box, holds
from crosslook.data.emoji.scene import Thing
from crosslook.data.emoji.world import WIDTH, categories

Relation = tuple[int, str, int]

SETTING_WEIGHTS = {"street": 30, "park": 28, "room": 18, "beach": 13, "stage": 11}
EXTRA_TYPES = {"other": 45, "animals": 22, "vehicles": 18, "scene": 15, "instruments": 8}
FEWEST, MOST = 5, 12
VISIBLE = 44
"""Per cent of a box that nothing in front of it may cover,"""
ATTACHED = 20
"""and so much more of what somebody wears or holds, since its owner hides some of it."""
SPATIAL = ("next_to", "behind", "in_front_of", "left_of", "right_of", "near", "above", "under")
"""Relations that follow from where things happen to stand."""


def compose(seed: int) -> tuple[str, tuple[Thing, ...], tuple[Relation, ...]]:
    """Setting, things from back to front, and relations for a seed.

    Scenes that come out too empty, too full or too crowded are drawn again from the same stream of numbers.
    """
    rng = Random(seed)
    for _ in range(200):
        made = _attempt(rng)
        if made is not None:
            return made
    raise RuntimeError(f"seed {seed}: no scene of {FEWEST} to {MOST} things was found in 200 attempts")


def _attempt(rng: Random) -> tuple[str, tuple[Thing, ...], tuple[Relation, ...]] | None:
    setting = pick(rng, SETTING_WEIGHTS)
    clusters = _backdrop(rng, setting)
    wanted = int(pick(rng, {"1": 2, "2": 6, "3": 5}))
    for number in range(wanted):
        for _ in range(14):
            cluster = build(
                rng,
                setting,
                _subject(rng, setting, number),
                rng.randrange(GROUND[setting][1], FRONT),
                rng.randrange(30, WIDTH - 30),
            )
            if cluster is not None and _room_for(clusters, cluster):
                clusters.append(cluster)
                break
    for _ in range(int(pick(rng, {"0": 2, "1": 4, "2": 3}))):
        _extra(rng, setting, clusters)
    if not FEWEST <= sum(len(c.drafts) for c in clusters) <= MOST:
        return None
    if not any(len(c.relations) for c in clusters):
        return None
    things, relations = _assemble(rng, clusters)
    return (setting, things, relations) if len(things) >= FEWEST else None


def _subject(rng: Random, setting: str, number: int) -> str:
    """Whom a cluster is about: mostly people, then animals."""
    kind = pick(rng, {"people": 80, "animals": 20} if number == 0 else {"people": 66, "animals": 30, "vehicles": 4})
    return pick(
        rng,
        {
            key: c.frequency * c.settings[setting]
            for key, c in categories().items()
            if c.type == kind and setting in c.settings and not {"water", "sky"} & set(c.roles)
        },
    )


def _backdrop(rng: Random, setting: str) -> list[Cluster]:
    """What stands in the distance, hangs on the wall, floats or flies."""
    found: list[Cluster] = []
    back = GROUND[setting][0]
    slots = list(range(6))
    for _ in range(int(pick(rng, {"1": 4, "2": 5, "3": 2}))):
        weights = {
            key: c.frequency * c.settings[setting] * (3 if c.type == "scene" else 1)
            for key, c in categories().items()
            if setting in c.settings and set(c.roles) & {"back", "sky", "wall", "water"} and "board" not in c.roles
        }
        if not weights or not slots:
            break
        thing = draft(rng, pick(rng, weights))
        category = categories()[thing.category]
        slot = slots.pop(rng.randrange(len(slots)))
        x = 27 + 53 * slot + rng.randrange(-12, 13)
        if "sky" in category.roles:
            size, y = dimensions(category, thing.size, 170), rng.randrange(24, 58)
            box = layout.centre(size, x, y)
        elif "wall" in category.roles and category.key != "door":
            box = layout.centre(dimensions(category, thing.size, 190), x, rng.randrange(56, 82))
        elif "water" in category.roles:
            box = layout.stand(dimensions(category, thing.size, 150), x, rng.randrange(*SEA))
        else:
            box = layout.stand(dimensions(category, thing.size, 178), x, back + rng.randrange(-3, 4))
        w, h = box[2] - box[0], box[3] - box[1]
        left, top = min(max(0, box[0]), WIDTH - w), max(0, box[1])
        thing.boxes = [(left, top, left + w, top + h)]
        # What flies or hangs is behind everything that stands, whatever its height in the image.
        flying = bool({"sky", "wall"} & set(category.roles))
        cluster = Cluster(0 if flying else thing.boxes[0][3], [thing])
        if large_enough(thing.boxes) and _room_for(found, cluster, 90 if flying else 50):
            found.append(cluster)
    return found


def _extra(rng: Random, setting: str, clusters: list[Cluster]) -> None:
    """One more thing on the ground where there is room, on its own or with something it lies on, is in or leans on."""
    companions = chance(rng, 55)
    uses = {"on", "in", "hanging_from", "leaning_on", "under"} if companions else {"next_to", "in_front_of"}
    kinds = {kind: w for kind, w in EXTRA_TYPES.items() if kind != "vehicles" or setting != "room"}
    kind = pick(rng, kinds)
    weights = {
        key: (c.frequency + 3) * c.settings[setting]
        for key, c in categories().items()
        if c.type == kind
        and setting in c.settings
        and (uses & set(c.subject))
        and not {"sky", "water", "wall", "back"} & set(c.roles)
    }
    if not weights:
        return
    for _ in range(8):
        ground, x = rng.randrange(GROUND[setting][1], FRONT), rng.randrange(20, WIDTH - 20)
        cluster = build(rng, setting, pick(rng, weights), ground, x, companions)
        if cluster is not None and _room_for(clusters, cluster):
            clusters.append(cluster)
            return


def _ordered(clusters: Sequence[Cluster]) -> list[Draft]:
    """All things from back to front; what somebody wears, has or holds follows its owner."""
    order: list[Draft] = []

    def visit(cluster: Cluster, thing: Draft) -> None:
        mine = sorted((d for d in cluster.drafts if d.attached is thing), key=lambda d: d.layer)
        for one in mine:
            if one.layer < 0:
                visit(cluster, one)
        order.append(thing)
        for one in mine:
            if one.layer >= 0:
                visit(cluster, one)

    loose = [(c, d) for c in clusters for d in sorted(c.drafts, key=lambda d: d.layer) if d.attached is None]
    for cluster, thing in sorted(loose, key=lambda pair: pair[0].ground if pair[1].depth is None else pair[1].depth):
        visit(cluster, thing)
    return order


def _shrunk(box: Box) -> Box:
    """Where a sprite is likely to be opaque: a tenth less on every side."""
    x1, y1, x2, y2 = box
    return x1 + (x2 - x1) // 10, y1 + (y2 - y1) // 10, x2 - (x2 - x1) // 10, y2 - (y2 - y1) // 10


def _seen(order: Sequence[Draft], at: int, box: Box, own: Collection[int]) -> int:
    """Per cent of a box that no later thing covers, but those of which `own` holds the id."""
    x1, y1, x2, y2 = box
    free = np.ones((y2 - y1, x2 - x1), dtype=bool)
    for later in order[at + 1 :]:
        if id(later) not in own:
            for a, b, c, d in map(_shrunk, later.boxes):
                free[max(0, b - y1) : max(0, d - y1), max(0, a - x1) : max(0, c - x1)] = False
    return 100 * int(np.count_nonzero(free)) // free.size


def _own(order: Sequence[Draft], thing: Draft) -> set[int]:
    """What does not count as hiding a thing: its clothes and what it holds, and its owner."""
    return {id(d) for d in order if d.attached is thing or d is thing.attached}


def _room_for(clusters: Sequence[Cluster], new: Cluster, visible: int = VISIBLE) -> bool:
    """Would everything remain visible enough with one more cluster?"""
    order = _ordered([*clusters, new])
    return all(
        _seen(order, at, box, _own(order, thing)) >= visible + (ATTACHED if thing.attached else 0)
        for at, thing in enumerate(order)
        for box in thing.boxes
        if thing.part_of is None
    )


def _assemble(rng: Random, clusters: Sequence[Cluster]) -> tuple[tuple[Thing, ...], tuple[Relation, ...]]:
    """Freeze the drafts: find the boxes of parts, drop parts too small to see, add spatial relations."""
    order = _ordered(clusters)
    number = {id(d): i for i, d in enumerate(order)}
    relations = [(number[id(s)], p, number[id(o)]) for c in clusters for s, p, o in c.relations]
    for i, person in enumerate(order):
        parts = [d for d in order if d.part_of is person]
        if parts:
            name = body.posture(person.category, i, relations, [d.category for d in order])
            hair = next((d.colour for d in parts if d.category in ("hair", "beard")), None)
            beard = any(d.category == "beard" for d in parts)
            sprite = body.variant(person.category, person.boxes[0], hair, beard)
            hands = body.hands(order, relations, i, 0, name)
            for part in parts:
                box = body.part_box(part.category, sprite, person.boxes[0], name, hands)
                box = box and tuple(max(0, v) for v in box)
                if box and large_enough([box]) and holds("has", person.boxes[0], box):
                    own = _own(order, person) | {id(person)}
                    part.boxes = [box] if _seen(order, i, box, own) >= 60 else []
    kept = [d for d in order if d.boxes]
    number = {id(d): i for i, d in enumerate(kept)}
    things = tuple(
        Thing(d.category, d.colour, d.size, tuple(d.boxes), None if d.part_of is None else number[id(d.part_of)])
        for d in kept
    )
    relations = [
        (number[id(order[s])], p, number[id(order[o])]) for s, p, o in relations if order[s].boxes and order[o].boxes
    ]
    loose = [i for i, d in enumerate(kept) if d.attached is None]
    return things, (*relations, *_spatial(rng, things, relations, loose))


def _spatial(
    rng: Random, things: Sequence[Thing], relations: Sequence[Relation], loose: Sequence[int]
) -> list[Relation]:
    """A few relations that follow from the places of things that nobody wears or holds."""
    joined = {frozenset((s, o)) for s, _, o in relations}
    weights: dict[Relation, int] = {}
    for s in loose:
        for o in loose:
            if s == o or frozenset((s, o)) in joined:
                continue
            subject, object = categories()[things[s].category], categories()[things[o].category]
            for predicate in SPATIAL:
                weight = subject.subject.get(predicate, 0) * object.object.get(predicate, 0)
                # Who is behind is drawn first.
                if (predicate == "behind" and s > o) or (predicate == "in_front_of" and s < o):
                    continue
                if weight and all(holds(predicate, a, b) for a in things[s].boxes for b in things[o].boxes):
                    # Nearness is always true of something: it is said where little else can be.
                    weight *= (1 if predicate == "near" else 4) * (2 if subject.type in ("people", "animals") else 1)
                    weights[s, predicate, o] = weight
    found: list[Relation] = []
    for _ in range(int(pick(rng, {"1": 4, "2": 4, "3": 2}))):
        if not weights or not chance(rng, 90):
            break
        s, predicate, o = pick_relation(rng, weights)
        found.append((s, predicate, o))
        weights = {r: w for r, w in weights.items() if {r[0], r[2]} != {s, o}}
    return found


def pick_relation(rng: Random, weights: dict[Relation, int]) -> Relation:
    """A relation, with probability proportional to its weight."""
    keys = list(weights)
    return keys[int(pick(rng, {str(i): weights[k] for i, k in enumerate(keys)}))]
