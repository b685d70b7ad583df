"""How a thing is called: noun, adjectives, determiner at its first mention; a definite phrase or pronoun afterwards."""

from dataclasses import dataclass, field
from random import Random

from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji.facts import count, is_plural
from crosslook.data.emoji.grammar import noun_phrase, pronoun_phrase
from crosslook.data.emoji.lexicon import Tagged, pick, tagged
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.trees import Tree
from crosslook.data.emoji.world import categories

OBJECT_FORM = {"he": "him", "she": "her", "they": "them", "it": "it"}
POSSESSIVE = {"he": "his", "she": "her", "they": "their", "it": "its"}

OPINIONS = (
    "beautiful",
    "brave",
    "cheerful",
    "cozy",
    "cute",
    "elegant",
    "friendly",
    "funny",
    "graceful",
    "handsome",
    "happy",
    "playful",
    "pretty",
    "proud",
    "silly",
    "smiling",
)
"""Adjectives that come before a size; others (young, fluffy) come after it."""


@dataclass(frozen=True)
class Style:
    """A describer's habits. Probabilities, but for `forms` and `patterns`, which are relative frequencies."""

    forms: dict[str, int]  # verb forms of main clauses
    patterns: dict[str, int]  # kinds of sentence
    colour: float = 0.3
    size: float = 0.2
    opinion: float = 0.1  # young, happy, beautiful
    material: float = 0.1  # wooden, electric
    general: float = 0.1  # an animal for a dog
    modifiers: float = 0.3  # a phrase or clause after the noun
    extras: float = 0.3  # a further phrase after the verb
    setting: float = 0.4
    adverbs: float = 0.0
    words: tuple[int, int] = (6, 22)  # fewest and most words of a caption


@dataclass
class Context:
    """What a describer knows while writing: the scene, their habits, and what has been said already."""

    scene: Scene
    rng: Random
    style: Style
    names: dict[int, Tagged] = field(default_factory=dict)  # how each thing was called at its first mention
    levels: dict[int, str] = field(default_factory=dict)  # the concept that name belongs to
    used: set[tuple[int, str, int]] = field(default_factory=set)  # relations that have been told
    form: str = "present"
    recent: list[int] | None = (
        None  # what pronouns may mean: things of this sentence and the last; None: all of `names`
    )

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability


def mark(*things: int) -> str:
    """The referent written behind `#`: thing indices count from 1."""
    return "+".join(str(i + 1) for i in sorted(things))


def kind(scene: Scene, index: int) -> str:
    """The type of a thing: people, clothing, ..."""
    return categories()[scene.things[index].category].type


def _level(context: Context, concept: str) -> str:
    """The concept to name: the thing's own, or sometimes a more general one that has a noun."""
    above = [
        c for c in lex.ancestors(concept)[1:] if lex.nouns(c, False) and c not in ("object", "furniture", "clothing")
    ]
    if above and context.chance(context.style.general):
        return above[min(int(context.rng.random() * len(above) * 1.3), len(above) - 1)]
    return concept


def _adjectives(context: Context, index: int, concept: str, noun: Tagged) -> Tagged:
    """In English order: opinion, size, age, colour, material."""
    thing, style = context.scene.things[index], context.style
    own = concept == lex.concept_of(thing.category)
    entry = lex.lexicon()["concepts"][concept] if own else {}
    found: list[tuple[str, str]] = []
    plain = len(noun) == 1  # not "old man", "soccer ball"
    if plain and entry.get("before") and (concept == "face" or context.chance(style.opinion)):
        found.extend(tagged(pick(context.rng, entry["before"]), "JJ"))
    sizes = lex.size_words(thing.category, thing.size)
    if sizes and plain and ("JJ", "young") not in found and context.chance(style.size):
        size = ("JJ", pick(context.rng, sizes))
        found = [*found, size] if found and found[0][1] in OPINIONS else [size, *found]
    chance = 1.0 if concept == "hair" else style.colour * (1.6 if kind(context.scene, index) == "clothing" else 1)
    if thing.colour and len(found) < 3 and context.chance(chance):
        found.append(("JJ", pick(context.rng, lex.colour_words(thing.category, thing.colour))))
    if plain and len(found) < 2 and entry.get("after") and context.chance(style.material):
        found.extend(tagged(pick(context.rng, entry["after"]), "JJ"))
    return tuple(found)


def _noun(context: Context, index: int, concept: str) -> Tagged:
    plural = count(context.scene, index) > 1
    several = plural or lex.is_plural_only(concept)
    return tagged(pick(context.rng, lex.nouns(concept, plural)), "NNS" if several else "NN")


def head(noun: Tagged) -> str:
    """The noun that a phrase is about."""
    return noun[-1][1]


def _same_name(context: Context, index: int, concept: str) -> bool:
    """Whether something else mentioned could go by this noun too."""
    return any(
        other != index and (concept in lex.ancestors(level) or lex.is_a(context.scene.things[other].category, concept))
        for other, level in context.levels.items()
    )


def first_mention(
    context: Context, index: int, owner: int | None = None, bare: bool = False, landmark: bool = False
) -> Tree:
    """Introduce a thing: *a red hat*, *two dogs*, *brown hair*, *another man*; *his hat* with an owner.

    `bare` leaves a plural without its number: *two boys in red caps*; a `landmark` may be *the tree* from the start.
    """
    thing = context.scene.things[index]
    concept = _level(context, lex.concept_of(thing.category))
    noun = _noun(context, index, concept)
    determiner = _determiner(context, index, concept, owner, bare, landmark)
    words = noun if determiner == "the" else (*_adjectives(context, index, concept, noun), *noun)
    context.names[index], context.levels[index] = words, concept
    if context.recent is not None:
        context.recent.append(index)
    return noun_phrase(determiner, words, mark(index))


def _determiner(context: Context, index: int, concept: str, owner: int | None, bare: bool, landmark: bool) -> str:
    scene, number = context.scene, count(context.scene, index)
    possessor = owner is not None and lex.pronoun(scene.things[owner].category)
    if possessor and context.chance(0.15):
        return POSSESSIVE["they" if count(scene, owner) > 1 else possessor]
    if lex.is_mass(concept) or lex.is_plural_only(concept):
        return ""
    again = _same_name(context, index, concept)
    if number > 1:
        if bare and not again:
            return ""
        numeral = pick(context.rng, lex.lexicon()["numbers"][str(min(number, 7))])
        return f"{numeral} other" if again else numeral
    if again:
        return "another"
    landmark = landmark and kind(scene, index) == "scene" and context.chance(0.35)
    alone = sum(lex.is_a(other.category, concept) for other in scene.things) == 1
    return "the" if landmark and alone else "a"


def pronoun_of(scene: Scene, index: int) -> str | None:
    """The subject pronoun for a thing, by number and gender; None where none is sure."""
    return "they" if is_plural(scene, index) else lex.pronoun(scene.things[index].category)


def pronoun_is_clear(context: Context, index: int, among: list[int]) -> bool:
    """Whether the pronoun could mean none of the other things in `among`."""
    mine = pronoun_of(context.scene, index)
    return mine is not None and mine not in {pronoun_of(context.scene, other) for other in among if other != index}


def definite(context: Context, index: int) -> Tree | None:
    """*the dog*, with the least that tells it from all else mentioned; None when its name cannot do that."""
    words, concept = context.names[index], context.levels[index]
    noun = words[-len(tagged(_bare(context, index))) :]
    for said in dict.fromkeys((noun, words)):
        rivals = [
            other
            for other, name in context.names.items()
            if other != index and _could_be(context, other, concept, said, name)
        ]
        if not rivals:
            return noun_phrase("the", said, mark(index))
        if len(rivals) == 1 and said == noun and count(context.scene, index) == 1 == count(context.scene, rivals[0]):
            order = list(context.names)
            if order.index(index) > order.index(rivals[0]):
                return noun_phrase("the other", noun, mark(index))
    return None


def _bare(context: Context, index: int) -> str:
    """The words of the noun in a first mention, without its adjectives."""
    words, concept = context.names[index], context.levels[index]
    for plural in (False, True):
        for noun in lex.nouns(concept, plural):
            bare = tuple(word for _, word in tagged(noun))
            if tuple(word for _, word in words[-len(bare) :]) == bare:
                return noun
    raise ValueError(f"{words}: no noun of {concept!r}")


def _could_be(context: Context, other: int, concept: str, said: Tagged, name: Tagged) -> bool:
    """Whether `the <said>` could be taken for another thing mentioned as `name`."""
    category = context.scene.things[other].category
    if not (lex.is_a(category, concept) or head(said) == head(name)):
        return False
    thing = context.scene.things[other]
    for tag, word in said[:-1]:
        colours = {w for c in lex.lexicon()["colours"] for w in lex.colour_words(category, c)}
        own = lex.colour_words(category, thing.colour) if thing.colour else {}
        if tag == "JJ" and word in colours and word not in own:
            return False
    return True


def refer(context: Context, index: int, subject: bool = False, pronouns: float = 0.5) -> Tree | None:
    """Introduce a thing, or come back to it by a pronoun or a definite phrase; None when neither is clear."""
    if index not in context.names:
        return first_mention(context, index)
    pool = list(context.names) if context.recent is None else context.recent
    clear = index in pool and pronoun_is_clear(context, index, pool)
    if clear and context.chance(pronouns):
        word = pronoun_of(context.scene, index)
        phrase = pronoun_phrase(word if subject else OBJECT_FORM[word], mark(index))
    else:
        phrase = definite(context, index)
    if phrase is not None and context.recent is not None:
        context.recent.append(index)
    return phrase


def can_refer(context: Context, index: int) -> bool:
    """Whether a thing that was mentioned can be named again without doubt, even where a pronoun is not clear."""
    return definite(context, index) is not None
