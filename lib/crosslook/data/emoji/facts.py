"""What is true of a scene beyond its list of relations: what follows from it, and where things are."""

from crosslook.data.emoji.lexicon import concept_of, is_plural_only
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.world import WIDTH

SYMMETRIC = ("next_to", "near")
INVERSE = {"left_of": "right_of", "behind": "in_front_of", "above": "under"}
INVERSE |= {b: a for a, b in INVERSE.items()}
IMPLIED_BY = {
    "near": ("next_to",),
    "on": ("sitting_on", "standing_on", "lying_on", "riding"),
}
"""A predicate holds as well when one of these does."""


def holds(scene: Scene, subject: int, predicate: str, other: int) -> bool:
    """Whether a relation holds: listed, or following from one that is (symmetry, inverse, implication)."""
    known = (predicate, *IMPLIED_BY.get(predicate, ()))
    turned = [name if name in SYMMETRIC else INVERSE.get(name) for name in known]
    return any((subject, name, other) in scene.relations for name in known) or any(
        (other, name, subject) in scene.relations for name in turned
    )


def count(scene: Scene, index: int) -> int:
    """How many there are of a thing: two dogs are one Thing with two boxes."""
    return len(scene.things[index].boxes)


def is_plural(scene: Scene, index: int) -> bool:
    """Whether a thing takes a plural verb. A pair of shoes does, whatever its number of boxes."""
    return is_plural_only(concept_of(scene.things[index].category)) or count(scene, index) > 1


def side(scene: Scene, index: int) -> str | None:
    """`left`, `right` or `middle` of the image, when all of the thing is plainly there."""
    boxes = scene.things[index].boxes
    if all(x1 + x2 < WIDTH * 2 // 3 and x2 < WIDTH // 2 for x1, _, x2, _ in boxes):
        return "left"
    if all(x1 + x2 > WIDTH * 4 // 3 and x1 > WIDTH // 2 for x1, _, x2, _ in boxes):
        return "right"
    if all(WIDTH * 5 // 6 < x1 + x2 < WIDTH * 7 // 6 for x1, _, x2, _ in boxes):
        return "middle"
    return None


def is_background(scene: Scene, index: int) -> bool:
    """Whether something stands before the thing, and it before nothing."""
    before = any((p == "behind" and s == index) or (p == "in_front_of" and o == index) for s, p, o in scene.relations)
    return before and not any(
        (p == "behind" and o == index) or (p == "in_front_of" and s == index) for s, p, o in scene.relations
    )
