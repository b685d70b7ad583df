"""Spatial relations in text: target, relation and landmark, found by patterns over dependencies.

The scheme is that of the spatial role labelling tasks (Kordjamshidi et al. 2012; Kolomiyets et al. 2013): in *clothes
on hangers*, *clothes* are the target, *on* is the relation and *hangers* the landmark. A relation is of kind *region*
(on, in, at), *direction* (above, behind, to the left of) or *distance* (near, far from, in the middle of). The words
are in `relations.json`.
"""

import re
from dataclasses import dataclass
from functools import cache

from crosslook.nouns import Nouns, listed, word_lists
from crosslook.relation_targets import Indicator, targets
from crosslook.text import NOUNS, Parse

KINDS = ("region", "direction", "distance")


@dataclass(frozen=True, slots=True)
class Part:
    """Words of a text: characters `start` to `end`, tokens `first` to `last` (ends exclusive), and the head token."""

    start: int
    end: int
    first: int
    last: int
    head: int
    text: str


@dataclass(frozen=True, slots=True)
class Relation:
    """`target` is at `relation` of `landmark`, which is None where no words name one: *a lamp on the left*."""

    target: Part
    relation: Part
    landmark: Part | None
    kind: str


def extract(parse: Parse) -> tuple[Relation, ...]:
    """The spatial relations that a text tells, in the order of the words that say where.

    Each of several nouns is a target or landmark of its own: *a cup and a plate on the table* are two relations.
    Targets and landmarks are noun phrases without what stands behind their noun.

    Raises:
        ValueError: if the back end is not spaCy: the patterns are over its dependencies, where a preposition stands
            above its noun.
    """
    if parse.backend != "spacy":
        raise ValueError(f"parse: expected one by spacy, got one by {parse.backend}, with other dependencies or none")
    nouns = Nouns(parse)
    places = _places(nouns)
    starts = [place.first for place in places]
    indicators = [found for place in places if (found := _with_landmarks(nouns, place, starts))]
    relations = []
    for place, (found, implied) in zip(indicators, targets(nouns, indicators), strict=True):
        said = _part(nouns, place.first, place.last, place.last - 1)
        for target in found:
            for landmark in place.landmarks or (implied,):
                if landmark != target:
                    where = None if landmark is None else _part(nouns, *nouns.edges(landmark), landmark)
                    relations.append(Relation(_part(nouns, *nouns.edges(target), target), said, where, place.kind))
    return tuple(relations)


def _part(nouns: Nouns, first: int, last: int, head: int) -> Part:
    start, end = nouns.tokens[first].start, nouns.tokens[last - 1].end
    return Part(start, end, first, last, head, nouns.parse.text[start:end])


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    lists = word_lists()
    several = [(kind, pattern) for kind in KINDS for pattern in lists["phrases"][kind]]
    single = [(kind, "|".join(lists["words"][kind].split())) for kind in KINDS]
    return tuple((kind, re.compile(rf"(?<![^ ])(?:{pattern})(?![^ ])")) for kind, pattern in several + single)


def _places(nouns: Nouns) -> list[Indicator]:
    """The words that can say where: where several patterns fit, the longest."""
    starts, position = {}, 0
    words = [nouns.lower(index) for index in range(len(nouns.tokens))]
    for index, word in enumerate(words):
        starts[position] = index
        position += len(word) + 1
    text = " ".join(words)
    found = []
    for kind, pattern in _patterns():
        for match in pattern.finditer(text):
            first = starts[match.start()]
            found.append(Indicator(first, first + match.group().count(" ") + 1, kind))
    chosen: list[Indicator] = []
    for place in sorted(found, key=lambda place: (place.first, -place.last)):
        if (not chosen or place.first >= chosen[-1].last) and _can_say_where(nouns, place):
            chosen.append(place)
    return chosen


def _can_say_where(nouns: Nouns, place: Indicator) -> bool:
    """Not the particle of a verb, nor *around twenty*, *painted by*, *on the right tower*."""
    token, last = nouns.tokens[place.first], nouns.tokens[place.last - 1]
    if place.last - place.first > 1:
        behind = nouns.tokens[place.last] if place.last < len(nouns.tokens) else None
        return last.upos in ("ADP", "SCONJ", "PART") or not (behind and behind.upos in ("NOUN", "PROPN", "ADJ"))
    apart = ("prt", "mark", "amod", "agent", "quantmod")
    return token.upos in ("ADP", "ADV", "SCONJ", "ADJ") and token.dep not in apart


def _with_landmarks(nouns: Nouns, place: Indicator, starts: list[int]) -> Indicator | None:
    """The indicator with its landmarks; None where what follows is no place."""
    head = _object(nouns, place)
    first = nouns.lower(place.first)
    if head is None:
        complete = place.last - place.first > 1 and nouns.lower(place.last - 1) not in ("of", "to", "from", "by")
        return place if complete or first in listed("alone") else None
    if nouns.is_a(head, "moments") or (first == "in" and nouns.is_a(head, "clothes", "depictions", "pictures")):
        return None  # *in the morning*, *in a red shirt*, *in this picture*
    verb = nouns.tokens[place.first].head
    dressed = first == "in" and nouns.lower(verb) == "dressed" and not nouns.is_a(head, "scenes")
    if dressed or (first == "at" and nouns.is_a(verb, "senses")):
        return None  # *dressed in rags*, *smiling at the camera*
    heads = dict.fromkeys((nouns.inner(head), *nouns.conjuncts(head, starts)))
    return Indicator(place.first, place.last, place.kind, tuple(heads))


def _object(nouns: Nouns, place: Indicator) -> int | None:
    """The head of the noun phrase that the indicator governs, or else of the one that follows it at once."""
    if nouns.tokens[place.last - 1].upos in NOUNS or nouns.lower(place.last - 1) in ("left", "right"):
        return None
    for index in range(place.last - 1, place.first - 1, -1):
        for child in nouns.children[index]:
            if child >= place.last and nouns.tokens[child].dep in ("pobj", "obj", "dobj", "obl", "pcomp"):
                return child if child in nouns.phrases else None
    behind = min((head for head in nouns.phrases if head >= place.last), default=None)
    return behind if behind is not None and nouns.edges(behind)[0] == place.last else None
