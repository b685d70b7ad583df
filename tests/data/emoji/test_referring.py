"""Referring expressions: an independent reader of the words finds exactly the thing that was meant."""

import re
from collections import Counter

from crosslook.data.emoji.lexicon import lexicon
from crosslook.data.emoji.referring import referring_expressions
from crosslook.data.emoji.scene import Scene, Thing

CONVERSE = {"behind": "in_front_of", "in_front_of": "behind", "under": "above", "next_to": "next_to"}
LINKS = ["next to", "in front of", "sitting on", "standing on", "lying on", "looking at", "behind", "under", "on", "in"]
LINKS += ["wearing", "holding", "carrying", "riding", "driving", "playing", "pulling", "pushing", "walking", "chasing"]
LINKS += ["kicking", "throwing", "feeding", "reading"]
COLOURS = {word: {colour} for colour in lexicon()["colours"] for word in lexicon()["colours"][colour]}
for entry in lexicon()["concepts"].values():
    for colour, words in entry.get("colours", {}).items():
        COLOURS |= {word: COLOURS.get(word, set()) | {colour} for word in words}
SIZES = {"small": {"small"}, "little": {"small"}, "short": {"small"}, "large": {"large"}, "tall": {"large"}}
SIZES |= {"high": {"large"}}


def nouns_of(category: str) -> set[str]:
    concept, found = lexicon()["categories"].get(category, category), set()
    while concept:
        entry = lexicon()["concepts"][concept]
        found |= {re.sub(r"_[A-Z]+", "", form) for noun in entry.get("nouns", {}) for form in noun.split("/")}
        concept = entry.get("is")
    return found


def read(scene: Scene, words: str) -> set[int]:
    """Everything that a phrase without determiner could mean."""
    owner, _, part = words.partition("'s ")
    if part:
        return {i for i in read(scene, part) if scene.things[i].part_of in read(scene, owner)}
    side = re.fullmatch(r"(.*) on the (left|right)", words)
    if side:
        found = read(scene, side[1])
        middles = {i: [x1 + x2 for x1, _, x2, _ in scene.things[i].boxes] for i in found}
        best = min if side[2] == "left" else max
        extreme = best(x for xs in middles.values() for x in xs)
        return {i for i in found if extreme in middles[i]}
    for link in LINKS:
        before, found, after = words.partition(f" {link} ")
        if found:
            name = link.replace(" ", "_")
            landmarks = read(scene, re.sub(r"^(the|an?) ", "", after))
            told = {(s, o) for s, p, o in scene.relations if p == name or (name == "on" and p in ON)}
            told |= {(o, s) for s, p, o in scene.relations if p == CONVERSE.get(name)}
            return {i for i in read(scene, before) if any((i, o) in told for o in landmarks)}
    found = {i for i, thing in enumerate(scene.things) if words in nouns_of(thing.category)}
    first, _, rest = words.partition(" ")
    if not rest:
        return found
    for i in read(scene, rest):
        thing = scene.things[i]
        if thing.colour in COLOURS.get(first, ()) or thing.size in SIZES.get(first, ()):
            found.add(i)
    return found


ON = ("sitting_on", "standing_on", "lying_on", "riding")


def test_each_expression_means_one_thing(scenes):
    kinds, seen = Counter(), 0
    for scene in scenes[:150]:
        expressions = referring_expressions(scene)
        for index, expression, kind in expressions:
            assert expression.startswith("the ")
            assert read(scene, expression.removeprefix("the ")) == {index}, (expression, scene)
            kinds[kind] += 1
        seen += len({index for index, _, _ in expressions}) / len(scene.things)
    assert set(kinds) == {"noun", "attribute", "position", "relation"}
    assert min(kinds.values()) > 80
    assert seen / 150 > 0.75  # of all things can be referred to


def test_by_hand():
    things = (
        Thing("dog", "brown", "medium", ((10, 10, 50, 50),)),
        Thing("poodle", "white", "large", ((200, 10, 250, 50),)),
        Thing("table", "brown", "medium", ((190, 40, 260, 90),)),
        Thing("man", None, "medium", ((100, 10, 130, 90),)),
        Thing("hair", "black", "medium", ((100, 10, 130, 20),), 3),
    )
    scene = Scene("hand", 1, "park", things, ((1, "on", 2), (3, "has", 4)))
    found = {(r.thing, r.expression) for r in referring_expressions(scene)}
    assert (3, "the man") in found
    assert (4, "the man's hair") in found
    assert {expression for index, expression in found if index == 0} >= {"the brown dog", "the dog on the left"}
    assert not any(expression in ("the dog", "the hair", "the animal") for _, expression in found)


def test_twins_get_none():
    twin = Thing("dog", "brown", "medium", ((10, 10, 50, 50),))
    assert referring_expressions(Scene("twins", 1, "park", (twin, twin), ())) == []


def test_a_scale_of_closeness():
    """Two dogs side by side, their middles 29 pixels apart, are not *the left one*; at 30 they are."""
    for gap, count in ((29, 0), (30, 2)):
        dogs = tuple(Thing("dog", "brown", "medium", ((x, 10, x + 40, 50),)) for x in (10, 10 + gap))
        assert len(referring_expressions(Scene("close", 1, "park", dogs, ()))) == count
