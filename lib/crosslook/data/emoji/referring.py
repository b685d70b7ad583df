"""Expressions that pick out one thing of a scene: *the dog*, *the red car*, *the man on the left*, *the man's hair*.

An expression is given only where exactly one thing of the scene fits its words, whatever their number: what its noun
names (a taxonomy), the colour and size it states, how it is related to something that its last noun names. Parts of the
body are given by whose they are, since everybody has a face, spoken of or not.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji.facts import count, holds
from crosslook.data.emoji.questions import name, noun
from crosslook.data.emoji.scene import Scene

CLEARLY = 30
"""Pixels by which the outermost of several things stands apart from the next."""
_RELATIONS = {
    **{name: name.replace("_", " ") for name in ("next_to", "behind", "in_front_of", "under", "on", "in")},
    **{name: name for name in ("wearing", "holding", "carrying", "riding", "driving", "playing", "reading", "feeding")},
    **{name: name for name in ("pulling", "pushing", "walking", "chasing", "kicking", "throwing")},
    **{name: name.replace("_", " ") for name in ("sitting_on", "standing_on", "lying_on", "looking_at")},
}
"""What a relation is called in an expression."""


class Referring(NamedTuple):
    """`thing` indexes `Scene.things`; `kind`: noun, attribute, position or relation (what picks it out)."""

    thing: int
    expression: str
    kind: str


def referring_expressions(scene: Scene) -> list[Referring]:
    """Every thing's expressions, the plainest kind that suffices and those that say more; empty for twins."""
    rng = Random(f"{scene.seed} referring")
    return [found for index in range(len(scene.things)) for found in _of(scene, index, rng)]


def _of(scene: Scene, index: int, rng: Random) -> Iterator[Referring]:
    thing = scene.things[index]
    concept = lex.concept_of(thing.category)
    if thing.part_of is not None:
        yield from _part(scene, index, thing.part_of)
        return
    named = [c for c in lex.ancestors(concept) if lex.nouns(c, False) and c not in ("object", "clothing", "furniture")]
    level = named[1] if len(named) > 1 and rng.random() < 0.25 else named[0]
    rivals = [i for i, other in enumerate(scene.things) if i != index and lex.is_a(other.category, level)]
    base = noun(level, count(scene, index) > 1)
    if not rivals:
        yield Referring(index, f"the {base}", "noun")
    colour = lex.pick(rng, lex.colour_words(thing.category, thing.colour)) if thing.colour else None
    sizes = lex.size_words(thing.category, thing.size)
    size = max(sizes, key=sizes.get) if sizes and thing.size != "medium" else None
    if colour and not any(scene.things[i].colour == thing.colour for i in rivals):
        yield Referring(index, f"the {colour} {base}", "attribute")
    if size and rivals and not any(scene.things[i].size == thing.size for i in rivals):
        yield Referring(index, f"the {size} {base}", "attribute")
    if (
        (size and colour and rivals)
        and not any(scene.things[i].colour == thing.colour and scene.things[i].size == thing.size for i in rivals)
        and any(scene.things[i].colour == thing.colour for i in rivals)
    ):
        yield Referring(index, f"the {size} {colour} {base}", "attribute")
    yield from _positions(scene, index, rivals, base)
    yield from _relations(scene, index, rivals, base)


def _part(scene: Scene, index: int, owner: int) -> Iterator[Referring]:
    who = name(scene, owner)
    if who is not None and count(scene, owner) == 1:
        part = noun(lex.concept_of(scene.things[index].category), count(scene, index) > 1)
        yield Referring(index, f"{who}'s {part}", "relation")


def _positions(scene: Scene, index: int, rivals: list[int], base: str) -> Iterator[Referring]:
    """On the left: of those that the noun names, plainly the outermost."""
    if not rivals:
        return
    mine = [x1 + x2 for x1, _, x2, _ in scene.things[index].boxes]
    others = [x1 + x2 for i in rivals for x1, _, x2, _ in scene.things[i].boxes]
    if max(mine) + 2 * CLEARLY <= min(others):
        yield Referring(index, f"the {base} on the left", "position")
    if min(mine) >= max(others) + 2 * CLEARLY:
        yield Referring(index, f"the {base} on the right", "position")


def _relations(scene: Scene, index: int, rivals: list[int], base: str) -> Iterator[Referring]:
    for subject, predicate, other in scene.relations:
        if subject != index or predicate not in _RELATIONS:
            continue
        concept = lex.concept_of(scene.things[other].category)
        landmarks = [i for i, thing in enumerate(scene.things) if lex.is_a(thing.category, concept)]
        if any(holds(scene, rival, predicate, landmark) for rival in rivals for landmark in landmarks):
            continue
        several = count(scene, other) > 1
        what = noun(concept, several)
        if len(landmarks) == 1:
            what = f"the {what}"
        elif not (several or lex.is_mass(concept) or lex.is_plural_only(concept)):
            what = f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
        yield Referring(index, f"the {base} {_RELATIONS[predicate]} {what}", "relation")
