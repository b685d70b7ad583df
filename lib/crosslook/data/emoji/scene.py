"""A scene: what is in a picture, where, and how it belongs together.

`sample_scene` makes one from a seed, the same on every machine: it draws integers only, from `random.Random`.
"""

from dataclasses import dataclass

from crosslook.data.emoji.rules import Box
from crosslook.data.emoji.world import PREDICATES, SETTINGS, SIZES, categories


@dataclass(frozen=True)
class Thing:
    """One or several instances of a category that are spoken of together ("two dogs": two boxes).

    Boxes are pixels `(x1, y1, x2, y2)`, right and bottom exclusive, inside the image; they cover the whole thing, also
    what another thing hides. `part_of` is the index of the person whose part it is (for body parts, else None).
    """

    category: str
    colour: str | None
    size: str
    boxes: tuple[Box, ...]
    part_of: int | None = None


@dataclass(frozen=True)
class Scene:
    """Things from back to front, and relations `(subject, predicate, object)` between them, as indices."""

    id: str
    seed: int
    setting: str
    things: tuple[Thing, ...]
    relations: tuple[tuple[int, str, int], ...]


def sample_scene(id: str, seed: int) -> Scene:
    """The scene of a seed: 5 to 12 things in one setting, every relation drawn (`rules.holds`)."""
    from crosslook.data.emoji.compose import compose

    setting, things, relations = compose(seed)
    return Scene(id, seed, setting, things, relations)


def to_record(scene: Scene) -> dict:
    """A scene as plain JSON. A thing is `[category, colour, size, boxes]`, or five with the person it is a part of."""
    things = []
    for thing in scene.things:
        row = [thing.category, thing.colour, SIZES.index(thing.size), [list(box) for box in thing.boxes]]
        things.append(row if thing.part_of is None else [*row, thing.part_of])
    relations = [[s, PREDICATES.index(predicate), o] for s, predicate, o in scene.relations]
    return {
        "id": scene.id,
        "seed": scene.seed,
        "setting": scene.setting,
        "things": things,
        "relations": relations,
    }


def from_record(record: dict) -> Scene:
    """The scene of a record (other keys are ignored). Raises ValueError naming the scene and what is wrong in it."""
    where = f"scene {record.get('id')!r}"
    try:
        things = tuple(
            Thing(category, colour, SIZES[size], tuple(tuple(box) for box in boxes), part[0] if part else None)
            for category, colour, size, boxes, *part in record["things"]
        )
        relations = tuple((s, PREDICATES[predicate], o) for s, predicate, o in record["relations"])
        scene = Scene(record["id"], record["seed"], record["setting"], things, relations)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected id, seed, setting, things and relations, got {error!r}") from error
    if scene.setting not in SETTINGS:
        raise ValueError(f"{where}: setting: expected one of {SETTINGS}, got {scene.setting!r}")
    for thing in things:
        if thing.category not in categories():
            raise ValueError(f"{where}: things: unknown category {thing.category!r}")
    for s, _, o in relations:
        if not (0 <= s < len(things) and 0 <= o < len(things)):
            raise ValueError(f"{where}: relations: expected indices below {len(things)}, got {s} and {o}")
    return scene
