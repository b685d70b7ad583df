"""Who is where: from words that say where (*on the table*) to the nouns that they say it of."""

from collections.abc import Sequence
from dataclasses import dataclass

from crosslook.nouns import OBJECT, SUBJECT, Nouns, listed
from crosslook.text import NOUNS


@dataclass(frozen=True, slots=True)
class Indicator:
    """Tokens `first` to `last` (exclusive) that say where, and the heads of the landmarks they name."""

    first: int
    last: int
    kind: str
    landmarks: tuple[int, ...] = ()


Targets = tuple[list[int], int | None]
"""The heads of those who are there, and the head of a landmark that the indicator does not name but the sentence
implies: *a street with shops on the right*."""


def targets(nouns: Nouns, indicators: Sequence[Indicator]) -> list[Targets]:
    """Whom each indicator is about; indicators from left to right."""
    found: list[Targets] = []
    for number in range(len(indicators)):
        found.append(_targets(nouns, indicators, number, found))
    return found


def _targets(nouns: Nouns, indicators: Sequence[Indicator], number: int, known: list[Targets]) -> Targets:
    place = indicators[number]
    before = indicators[number - 1] if number else None
    if before and before.landmarks and nouns.end(before.landmarks[-1]) == place.first:
        # A chain, *on the wall behind them*: the landmark is what comes next. Not *in a room in front of a wall*, nor
        # *on the wall above the bed*, nor *on a bench in the park*, where it is the same thing again.
        surrounded = nouns.is_a(before.landmarks[-1], "scenes", "places")
        again = any(nouns.is_a(each, "scenes") for each in place.landmarks)
        chain = not surrounded and not again and nouns.lower(place.first) not in listed("above")
        return (list(before.landmarks), None) if chain else known[number - 1]
    top = _modified(nouns, place)
    if top is None:
        return [], None
    for earlier, each in enumerate(indicators[:number]):
        if each.first <= top < each.last:
            return known[earlier]  # *to the right in an alcove*
    if _points_back(nouns, place):
        near = _nearest(nouns, place)
        if near is not None and "with" in (nouns.lower(each) for each in range(max(nouns.edges(near)[0] - 1, 0), near)):
            top = near  # *with a lamp on it*
    if nouns.tokens[top].upos not in NOUNS and top not in nouns.phrases:
        subject = _subject(nouns, top, place)
        return ([], None) if subject is None else (_group(nouns, subject, place, indicators)[0], None)
    return _group(nouns, top, place, indicators)


def _points_back(nouns: Nouns, place: Indicator) -> bool:
    """*on it*."""
    return any(nouns.tokens[each].upos == "PRON" for each in place.landmarks)


def _modified(nouns: Nouns, place: Indicator) -> int | None:
    """The noun or verb that the indicator modifies."""
    own = range(place.first, place.last)
    index = next((each for each in own if nouns.tokens[each].head not in own), place.first)
    for _ in nouns.tokens:
        head = nouns.tokens[index].head
        if head == index:
            # The sentence is nothing else: *behind her a boy*.
            return index if index not in own else _nearest(nouns, place)
        index = head
        if index in nouns.phrases or nouns.tokens[index].upos in ("VERB", "AUX"):
            return index
    return None


def _nearest(nouns: Nouns, place: Indicator) -> int | None:
    """The noun of the sentence before the indicator, else the one behind it that is no landmark."""
    root = nouns.root(place.first)
    near = [head for head in nouns.phrases if nouns.root(head) == root]
    before = [head for head in near if head < place.first]
    behind = [head for head in near if head >= place.last and head not in place.landmarks]
    return max(before) if before else min(behind, default=None)


def _group(nouns: Nouns, noun: int, place: Indicator, indicators: Sequence[Indicator]) -> tuple[list[int], int | None]:
    """From the noun that is modified to all it is said of: *a boy and a girl*; and the landmark that is implied.

    Climbs from what things have to what they are (*a house with a red roof in the background*) and from clothes to who
    wears them.
    """
    starts = [each.first for each in indicators]
    implied = None
    for _ in nouns.tokens:
        first = nouns.first_conjunct(noun)
        wearer = None if _garment(nouns, place) else nouns.wearer(first, starts)
        if wearer is not None:
            noun = wearer
            continue
        preposition = nouns.tokens[first].head
        outer = nouns.tokens[preposition].head
        if _surrounds(nouns, place) and (verb := _verb_of(nouns, first)) is not None:
            subject = _subject(nouns, verb, place)
            if subject is None or subject == noun:
                break
            noun = subject
            continue
        if nouns.tokens[first].dep != "pobj" or outer not in nouns.phrases or preposition >= place.first:
            break
        if nouns.lower(preposition) == "with":
            if nouns.depicts(outer) or _points_back(nouns, place):
                break  # *a view with*; *a table with a lamp on it*
            if not place.landmarks:
                implied = outer
                break
            aside = nouns.tokens[preposition - 1].text in (",", "-", ";")
            if aside or nouns.depicted(outer) or nouns.is_a(outer, "scenes"):
                break  # *a room with a bed in the corner*
        elif nouns.lower(preposition) != "of" or nouns.is_a(outer, "amounts") or nouns.depicts(outer):
            break
        if any(each.first <= outer < each.last for each in indicators):
            break  # *on the right of a person in the park*
        noun = outer
    group = [nouns.inner(noun), *nouns.conjuncts(noun, starts), *nouns.conjuncts_before(noun, starts)]
    return sorted({each for each in group if each < place.first or noun >= place.last}), implied


def _surrounds(nouns: Nouns, place: Indicator) -> bool:
    """*in the park*, *in the background*: where somebody is, whatever they do and hold."""
    return any(nouns.is_a(each, "scenes", "places") for each in place.landmarks)


def _verb_of(nouns: Nouns, noun: int) -> int | None:
    """The verb whose object a noun is, with a preposition or without: *holding a broom*, *chased by a dog*."""
    token = nouns.tokens[noun]
    above = nouns.tokens[token.head]
    if token.dep == "pobj" and nouns.tokens[above.head].upos == "VERB" and above.head not in nouns.phrases:
        return above.head
    return token.head if token.dep in OBJECT else None


def _garment(nouns: Nouns, place: Indicator) -> bool:
    """*underneath a green vest*: then it is clothes that are there."""
    return any(nouns.is_a(each, "clothes") for each in place.landmarks)


def _subject(nouns: Nouns, verb: int, place: Indicator) -> int | None:
    """Whom a verb is about: what somebody has, its subject, what there is, what a participle modifies."""
    passed = set()
    while verb not in passed:
        passed.add(verb)
        token = nouns.tokens[verb]
        by_dep = {nouns.tokens[child].dep: child for child in nouns.children[verb] if child in nouns.phrases}
        had = next((child for dep, child in by_dep.items() if dep in OBJECT and child < place.first), None)
        owned = nouns.is_a(verb, "haves") and not _surrounds(nouns, place)
        if had is not None and (owned or _garment(nouns, place)):
            return had
        if any(nouns.tokens[child].dep == "expl" for child in nouns.children[verb]):
            return next((by_dep[dep] for dep in ("attr", "dobj", "nsubj") if dep in by_dep), None)
        subject = next((by_dep[dep] for dep in SUBJECT if dep in by_dep), None)
        if subject is not None:
            shown = had is not None and nouns.is_a(subject, "pictures", "depictions")  # *the picture shows a dog*
            return had if shown else subject
        if token.head == verb:
            return had if had is not None else by_dep.get("attr", _nearest(nouns, place))
        if token.head in nouns.phrases:
            return token.head
        verb = token.head
    return None
