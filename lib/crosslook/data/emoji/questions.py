"""Questions about a scene with answers that are true of it by construction.

Whoever is asked about is named so that there is only one: *the dog* where one thing of the scene is a dog. For every
question answered *yes* there is one of the same form answered *no*. Nobody asks whether there are, or how many, of what
may be drawn without being listed in the scene: clothes (everybody has a shirt on), parts of the body (everybody has a
face) and scenery (a street has houses in the distance).
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji.facts import count, holds, is_plural, side
from crosslook.data.emoji.grammar import article
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.world import COLOURS, categories

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ACTIONS = (
    *("wearing", "holding", "carrying", "riding", "driving", "playing", "sitting_on", "standing_on", "lying_on"),
    *(
        "leaning_on",
        "pulling",
        "pushing",
        "walking",
        "chasing",
        "kicking",
        "throwing",
        "feeding",
        "looking_at",
        "reading",
    ),
)
_PLACES = ("next_to", "behind", "in_front_of", "on", "above", "under", "in")


class Question(NamedTuple):
    """`kind`: yes/no, number, colour, object (what or who) or location. Number answers are digits, as in VQA."""

    question: str
    answer: str
    kind: str


def questions(scene: Scene) -> list[Question]:
    """All questions of a scene, in a fixed order; as many are answered *yes* as *no*."""
    rng = Random(f"{scene.seed} questions")
    makers: tuple[Callable[[Scene, Random], Iterator[Question]], ...] = (
        *(_existence, _colours, _numbers, _relations, _clothes, _where),
    )
    found = [question for make in makers for question in make(scene, rng)]
    kept: dict[str, Question] = {}
    for question, after in zip(found, [*found[1:], None], strict=True):
        # A yes and the no that follows it stay or go together.
        pair = [question, after] if question.kind == "yes/no" else [question]
        if question.answer != "no" and not any(member.question in kept for member in pair):
            kept |= {member.question: member for member in pair}
    return list(kept.values())


def _listed(category: str) -> bool:
    """Whether a scene lists every such thing that is drawn."""
    return categories()[category].type not in ("clothing", "bodyparts", "scene")


def name(scene: Scene, index: int) -> str | None:
    """*the dog*, *the two dogs*: the commonest noun of the thing where nothing else in the scene is one; else None."""
    concept = lex.concept_of(scene.things[index].category)
    for level in lex.ancestors(concept)[:2]:
        if sum(lex.is_a(thing.category, level) for thing in scene.things) == 1 and lex.nouns(level, False):
            number = count(scene, index)
            two = f"{NUMBERS[number]} " if number > 1 and not lex.is_mass(level) else ""
            return f"the {two}{noun(level, number > 1)}"
    return None


def noun(concept: str, plural: bool) -> str:
    """A concept's commonest noun, without tags."""
    forms = lex.nouns(concept, plural)
    return " ".join(word for _, word in lex.tagged(max(forms, key=forms.get)))


def _indefinite(concept: str) -> str:
    word = noun(concept, False)
    return word if lex.is_mass(concept) or lex.is_plural_only(concept) else f"{article(word)} {word}"


def absent(scene: Scene, rng: Random, fits: Callable[[str], bool]) -> str | None:
    """A category that could be here (`fits`) and is not, nor anything that could be called so."""
    present = {a for thing in scene.things for a in lex.ancestors(lex.concept_of(thing.category))}
    choices = {
        key: category.frequency
        for key, category in categories().items()
        if scene.setting in category.settings and lex.concept_of(key) not in present and fits(key)
    }
    return lex.pick(rng, choices) if choices else None


def _existence(scene: Scene, rng: Random) -> Iterator[Question]:
    """Is there a dog in the picture?"""
    kinds = list(dict.fromkeys(thing.category for thing in scene.things if _listed(thing.category)))
    for category in kinds[:: max(1, len(kinds) // 3)]:
        same = categories()[category].type
        other = absent(scene, rng, lambda key, same=same: categories()[key].type == same)
        if other is not None:
            for key, answer in ((category, "yes"), (other, "no")):
                concept = lex.concept_of(key)
                verb = "Are" if lex.is_plural_only(concept) else "Is"
                some = "any " if verb == "Are" or lex.is_mass(concept) else ""
                what = noun(concept, False) if some else _indefinite(concept)
                yield Question(f"{verb} there {some}{what} in the picture?", answer, "yes/no")


def _colours(scene: Scene, rng: Random) -> Iterator[Question]:
    """What color is the car? Is the car red?"""
    for index, thing in enumerate(scene.things):
        who = name(scene, index if thing.part_of is None else thing.part_of)
        if thing.colour is None or who is None:
            continue
        if thing.part_of is not None:
            who = f"{who}'s {noun(lex.concept_of(thing.category), False)}"
        verb = "are" if is_plural(scene, index) else "is"
        yield Question(f"What color {verb} {who}?", thing.colour, "colour")
        if rng.random() < 0.4:
            possible = [c for c in categories()[thing.category].colours if c != thing.colour]
            wrong = rng.choice(possible or [c for c in COLOURS if c != thing.colour])
            yield Question(f"{verb.capitalize()} {who} {thing.colour}?", "yes", "yes/no")
            yield Question(f"{verb.capitalize()} {who} {wrong}?", "no", "yes/no")


def _numbers(scene: Scene, rng: Random) -> Iterator[Question]:
    """How many dogs are there? Also of more general words, where more fall under them; now and then none."""
    asked = []
    for thing in (thing for thing in scene.things if _listed(thing.category)):
        for concept in lex.ancestors(lex.concept_of(thing.category)):
            if concept in ("clothing", "object", "thing") or lex.is_mass(concept) or lex.is_plural_only(concept):
                continue
            if concept not in asked and lex.nouns(concept, True):
                asked.append(concept)
    for concept in asked:
        number = sum(len(thing.boxes) for thing in scene.things if lex.is_a(thing.category, concept))
        # One of everything would be the answer too often.
        if number > 1 or rng.random() < 0.25:
            yield Question(f"How many {noun(concept, True)} are there?", str(number), "number")
    none = absent(scene, rng, _listed)
    if none is not None and rng.random() < 0.4:
        yield Question(f"How many {noun(lex.concept_of(none), True)} are there?", "0", "number")


def _relations(scene: Scene, rng: Random) -> Iterator[Question]:
    """What is the man holding? Who is holding the cup? Is the man holding a cup?"""
    for subject, predicate, other in scene.relations:
        if predicate not in _ACTIONS:
            continue
        who, whom = name(scene, subject), name(scene, other)
        verb, _, preposition = max(
            (verbs := lex.verbs(predicate, scene.things[other].category)), key=verbs.get
        ).partition(" ")
        doing = " ".join(filter(None, (lex.verb_form(verb, "ing")[1], preposition)))
        be = "are" if is_plural(scene, subject) else "is"
        answer = noun(lex.concept_of(scene.things[other].category), count(scene, other) > 1)
        if who is not None:
            objects = [o for o in range(len(scene.things)) if holds(scene, subject, predicate, o)]
            if len(objects) == 1 and predicate != "wearing":
                person = categories()[scene.things[other].category].type == "people"
                yield Question(f"{'Who' if person else 'What'} {be} {who} {doing}?", answer, "object")
            wrong = absent(scene, rng, lambda key, p=predicate: p in categories()[key].object and _listed(key))
            if wrong is not None and rng.random() < 0.5:
                right = lex.concept_of(scene.things[other].category)
                what = noun(right, True) if count(scene, other) > 1 else _indefinite(right)
                yield Question(f"{be.capitalize()} {who} {doing} {what}?", "yes", "yes/no")
                yield Question(f"{be.capitalize()} {who} {doing} {_indefinite(lex.concept_of(wrong))}?", "no", "yes/no")
        subjects = [s for s in range(len(scene.things)) if holds(scene, s, predicate, other)]
        if whom is not None and len(subjects) == 1:
            asks = "Who" if categories()[scene.things[subject].category].type == "people" else "What"
            told = noun(lex.concept_of(scene.things[subject].category), count(scene, subject) > 1)
            yield Question(f"{asks} is {doing} {whom}?", told, "object")


def _clothes(scene: Scene, rng: Random) -> Iterator[Question]:
    """Is the man wearing a red cap? The colour tells yes from no."""
    for subject, predicate, other in scene.relations:
        who, garment = name(scene, subject), scene.things[other]
        same = [o for s, p, o in scene.relations if (s, p) == (subject, predicate)]
        same = [o for o in same if scene.things[o].category == garment.category]
        if predicate != "wearing" or who is None or garment.colour is None or len(same) > 1 or rng.random() < 0.5:
            continue
        wrong = rng.choice([c for c in categories()[garment.category].colours if c != garment.colour] or ["purple"])
        concept = lex.concept_of(garment.category)
        be = "Are" if is_plural(scene, subject) else "Is"
        for colour, answer in ((garment.colour, "yes"), (wrong, "no")):
            several = count(scene, other) > 1 or lex.is_plural_only(concept)
            what = f"{colour} {noun(concept, several)}"
            yield Question(f"{be} {who} wearing {what if several else f'{article(what)} {what}'}?", answer, "yes/no")


def _where(scene: Scene, rng: Random) -> Iterator[Question]:
    """Where was this picture taken? On which side of the picture is the dog? What is the cat on?"""
    yield Question("Where was this picture taken?", scene.setting, "location")
    for index in range(len(scene.things)):
        who = name(scene, index) if _listed(scene.things[index].category) else None
        where = side(scene, index)
        if who and where in ("left", "right") and rng.random() < 0.5:
            verb = "are" if is_plural(scene, index) else "is"
            yield Question(f"On which side of the picture {verb} {who}?", where, "location")
    for subject, predicate, other in scene.relations:
        who, alone = name(scene, subject), [o for s, p, o in scene.relations if s == subject and p == predicate]
        also = [o for o in range(len(scene.things)) if holds(scene, subject, predicate, o)]
        if who and predicate in _PLACES and alone == also == [other]:
            verb = "are" if is_plural(scene, subject) else "is"
            where = max((preps := lex.lexicon()["predicates"][predicate]["prep"]), key=preps.get)
            concept = lex.concept_of(scene.things[other].category)
            what = f"the {noun(concept, count(scene, other) > 1)}"
            yield Question(f"What {verb} {who} {where}?", what.removeprefix("the "), "object")
            if sum(s == subject and p in _PLACES for s, p, _ in scene.relations) == 1:
                yield Question(f"Where {verb} {who}?", f"{where} {what}", "location")
