"""The words of the world: what things, actions and places are called, from `data/emoji_entities/lexicon.json`.

Nouns belong to *concepts*, which form a tree (a guitar is an instrument is a thing); every category of thing is a
concept, possibly with others below it. A noun names one concept, so what it can be said of is known.
Numbers beside words are relative frequencies.
"""

import json
from collections.abc import Mapping
from functools import cache
from random import Random

from crosslook.data.emoji.world import FOLDER

Tagged = tuple[tuple[str, str], ...]
"""Words with their Penn tags: `(("JJ", "old"), ("NN", "man"))`."""


@cache
def lexicon() -> dict:
    """The file as it is: concepts, categories, colours, sizes, numbers, settings, prepositions, predicates, verbs."""
    return json.loads((FOLDER / "lexicon.json").read_text(encoding="utf-8"))


def tagged(words: str, last: str = "NN") -> Tagged:
    """Words written `old_JJ man`: a tag after the underscore, else NN, and `last` for the last word.

    >>> tagged("old_JJ men", "NNS")
    (('JJ', 'old'), ('NNS', 'men'))
    """
    parts = [part.partition("_") for part in words.split()]
    return tuple((tag or (last if i == len(parts) - 1 else "NN"), word) for i, (word, _, tag) in enumerate(parts))


def pick(rng: Random, weights: Mapping[str, float]) -> str:
    """One key, with probability proportional to its weight."""
    place = rng.random() * sum(weights.values())
    for key, weight in weights.items():
        place -= weight
        if place < 0:
            return key
    return key


def concept_of(category: str) -> str:
    """The concept that a category of thing is. Raises KeyError naming the category."""
    concept = lexicon()["categories"].get(category, category)
    if concept not in lexicon()["concepts"]:
        raise KeyError(f"lexicon.json: no concept for category {category!r}")
    return concept


@cache
def ancestors(concept: str) -> tuple[str, ...]:
    """The concept and everything it is, from special to general: guitar, instrument, thing."""
    parent = lexicon()["concepts"][concept].get("is")
    return (concept, *ancestors(parent)) if parent else (concept,)


def is_a(category: str, concept: str) -> bool:
    """Whether a thing of this category falls under the concept."""
    return concept in ancestors(concept_of(category))


@cache
def nouns(concept: str, plural: bool) -> dict[str, int]:
    """A concept's nouns in one number, in the notation of `tagged`. Mass nouns and pairs (glasses) have one form."""
    forms = {}
    for noun, weight in lexicon()["concepts"][concept].get("nouns", {}).items():
        singular, slash, several = noun.partition("/")
        form = several if plural or not singular else singular
        forms[form if slash else singular] = weight
    return forms


def is_plural_only(concept: str) -> bool:
    """Whether one such thing already takes a plural: glasses, jeans, shoes."""
    return all(noun.startswith("/") for noun in lexicon()["concepts"][concept].get("nouns", {"": 1}))


def is_mass(concept: str) -> bool:
    """Whether the noun takes no article: hair, furniture."""
    return all("/" not in noun for noun in lexicon()["concepts"][concept].get("nouns", {"/": 1}))


@cache
def noun_concepts() -> dict[str, tuple[str, bool]]:
    """Every noun's words (`old man`) with its concept and whether it is plural."""
    found = {}
    for concept in lexicon()["concepts"]:
        for plural in (False, True):
            for noun in nouns(concept, plural):
                bare = " ".join(word for _, word in tagged(noun))
                found.setdefault(bare, (concept, plural or is_plural_only(concept)))
    return found


def inherited(concept: str, field: str, default: dict) -> dict:
    """A field of the concept or of the nearest concept above that has it."""
    for name in ancestors(concept):
        if field in lexicon()["concepts"][name]:
            return lexicon()["concepts"][name][field]
    return default


def pronoun(category: str) -> str | None:
    """he, she, they or it; None where people differ (babies)."""
    concept = concept_of(category)
    if "person" in ancestors(concept):
        return lexicon()["concepts"][concept].get("pronoun")
    return "it"


def colour_words(category: str, colour: str) -> dict[str, int]:
    """What a colour is called on such a thing (a yellow trumpet is golden)."""
    special = inherited(concept_of(category), "colours", {})
    return special.get(colour) or lexicon()["colours"][colour]


def size_words(category: str, size: str) -> dict[str, int]:
    """What a size is called on such a thing; empty where nothing is said of it."""
    special = inherited(concept_of(category), "sizes", {})
    return special.get(size) or ({} if special else lexicon()["sizes"][size])


def verbs(predicate: str, category: str) -> dict[str, int]:
    """The verbs, with their preposition if any, for an action on such a thing: a guitar is played or strummed."""
    special = inherited(concept_of(category), "verbs", {})
    return special.get(predicate) or lexicon()["predicates"][predicate].get("verbs", {})


def verb_form(verb: str, form: str, plural: bool = False) -> tuple[str, str]:
    """(tag, word) of a verb. `form`: base, present, past, ing, participle.

    >>> verb_form("ride", "past"), verb_form("be", "present", plural=True)
    (('VBD', 'rode'), ('VBP', 'are'))
    """
    third, past, ing, participle = lexicon()["verbs"][verb]
    if verb == "be" and plural:
        third, past = "are", "were"
    elif form == "present" and plural:
        third = verb
    return {
        "base": ("VB", verb),
        "present": ("VBP" if plural else "VBZ", third),
        "past": ("VBD", past),
        "ing": ("VBG", ing),
        "participle": ("VBN", participle),
    }[form]
