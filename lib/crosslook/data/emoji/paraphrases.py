"""Pairs of phrases and how their meanings stand to each other: the relations of natural logic.

What a phrase means is the set of all things (single ones or groups) that it could be said of. A phrase gives a concept
of the lexicon's taxonomy (two concepts are nested or share nothing), a set of colours and of sizes, further properties
(young, wooden) that any thing may have or not, and a number, exact or at least. So for two such sets A and B, by
their definition:

- `equivalence`: A = B (*a man*, *a guy*); `forward_entailment`: A is a proper part of B (*a red car*, *a vehicle*);
  `reverse_entailment`: B is one of A;
- `alternation`: nothing is in both (*a cat*, *a dog*; *a red hat*, *a blue hat*; *two dogs*, *three dogs*);
- `independence`: none of these (*a young man*, *a tall man*).

Determiners and possessives say nothing but the number: *a man*, *the man* and *another man* mean the same.
MacCartney and Manning 2009, "An extended model of natural logic", defines the relations (negation and cover, which
describe phrases that exhaust everything, do not occur).
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from random import Random
from typing import NamedTuple

from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji import trees
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.trees import Tree
from crosslook.data.emoji.world import COLOURS, SIZES

CLASSES = ("equivalence", "forward_entailment", "reverse_entailment", "alternation", "independence")
MANY = 1000
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_AT_LEAST = {"several": 3, "some": 3, "many": 5}
_EMPTY = ("the", "this", "other", "another", "a", "an", "his", "her", "its", "their")


@dataclass(frozen=True)
class Meaning:
    """What a phrase says: things of `concept` with one of these colours and sizes, these properties, this number."""

    concept: str
    colours: frozenset[str]
    sizes: frozenset[str]
    properties: frozenset[str]
    fewest: int
    most: int


class Paraphrase(NamedTuple):
    """Two phrases as they stand in the sentences, their class, and whether they speak of the same things."""

    first: str
    second: str
    relation: str
    same: bool


def paraphrases(sentences: list[Tree], scene: Scene) -> list[Paraphrase]:
    """Pairs of phrases from what was said of a scene, no pair twice.

    All pairs of different phrases about the same thing; for each of them one pair, drawn at random, about two things,
    half of the time two of a kind (two animals) where there are such.
    Pronouns, groups of several things and phrases without a noun of the lexicon stay out.
    """
    rng = Random(f"{scene.seed} paraphrases")
    said: dict[str, dict[str, Meaning]] = {}
    for node in (node for tree in sentences for node, _, _ in trees.spans(tree)):
        if node.referent and node.referent.isdigit() and node.referent != "0":
            found = meaning(node)
            if found is not None:
                said.setdefault(node.referent, {})[" ".join(trees.tokens(node))] = found
    same = [
        Paraphrase(a, b, relation(first, second), True)
        for phrases in said.values()
        for (a, first), (b, second) in combinations(phrases.items(), 2)
    ]
    pool = [(mark, words, found) for mark, phrases in said.items() for words, found in phrases.items()]
    other = []
    for _ in same:
        mark, words, found = pool[int(rng.random() * len(pool))]
        rest = [item for item in pool if item[0] != mark and item[1] != words]
        alike = [item for item in rest if lex.ancestors(item[2].concept)[-2:] == lex.ancestors(found.concept)[-2:]]
        rest = alike if alike and rng.random() < 0.5 else rest
        if rest:
            _, others, meant = rest[int(rng.random() * len(rest))]
            other.append(Paraphrase(words, others, relation(found, meant), False))
    return list(dict.fromkeys(same + other))


@cache
def _words() -> tuple[dict[str, str], dict[str, frozenset[str]]]:
    """The colour that a word names on anything, and the sizes that a word can mean on anything but children."""
    concepts = lex.lexicon()["concepts"]
    colour_tables = [lex.lexicon()["colours"], *(entry.get("colours", {}) for entry in concepts.values())]
    colours = {word: colour for table in colour_tables for colour, words in table.items() for word in words}
    size_tables = [lex.lexicon()["sizes"]]
    size_tables += [entry.get("sizes", {}) for key, entry in concepts.items() if key != "child"]
    sizes: dict[str, frozenset[str]] = {}
    for table in size_tables:
        for size, words in table.items():
            for word in words:
                sizes[word] = sizes.get(word, frozenset()) | {size}
    return colours, sizes


def meaning(phrase: Tree) -> Meaning | None:
    """What a base noun phrase says; None for pronouns and for nouns that are not in the lexicon."""
    words, tags = trees.tokens(phrase), trees.tags(phrase)
    start = next((i for i in range(len(words)) if " ".join(words[i:]) in lex.noun_concepts()), None)
    if start is None:
        return None
    concept, _ = lex.noun_concepts()[" ".join(words[start:])]
    loose = lex.is_mass(concept) or lex.is_plural_only(concept)
    fewest, most = (1, MANY) if loose else (2, MANY) if tags[-1] == "NNS" else (1, 1)
    colour_words, size_words = _words()
    colours, sizes, properties = frozenset(COLOURS), frozenset(SIZES), frozenset()
    for word in words[:start]:
        if word in _NUMBERS:
            fewest = most = _NUMBERS[word]
        elif word in _AT_LEAST:
            fewest, most = _AT_LEAST[word], MANY
        elif word in _EMPTY:
            continue
        elif word in colour_words:
            colours = frozenset([colour_words[word]])
        elif word in size_words and concept not in ("hair", "face"):
            little = word == "little" and "child" in lex.ancestors(concept)
            sizes = frozenset(["small", "medium"]) if little else size_words[word]
        else:
            properties |= {word}
    return Meaning(concept, colours, sizes, properties, fewest, most)


def entails(a: Meaning, b: Meaning) -> bool:
    """Whether whatever `a` can be said of, `b` can be said of too."""
    return (
        b.concept in lex.ancestors(a.concept)
        and a.colours <= b.colours
        and a.sizes <= b.sizes
        and a.properties >= b.properties
        and b.fewest <= a.fewest
        and a.most <= b.most
    )


def excludes(a: Meaning, b: Meaning) -> bool:
    """Whether nothing can be called both."""
    nested = a.concept in lex.ancestors(b.concept) or b.concept in lex.ancestors(a.concept)
    overlap = nested and a.colours & b.colours and a.sizes & b.sizes
    return not overlap or a.most < b.fewest or b.most < a.fewest


def relation(a: Meaning, b: Meaning) -> str:
    """The class of a pair of phrases, one of CLASSES."""
    if entails(a, b):
        return "equivalence" if entails(b, a) else "forward_entailment"
    if entails(b, a):
        return "reverse_entailment"
    return "alternation" if excludes(a, b) else "independence"
