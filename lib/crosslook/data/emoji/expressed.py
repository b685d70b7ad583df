"""Which relations a sentence tells, read from its tree alone: who does what to what."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from crosslook.data.emoji.facts import holds
from crosslook.data.emoji.lexicon import lexicon
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.trees import Tree, leaves, referents

Marks = tuple[str, ...]
_PLACES = ("PP", "ADVP", "ADJP")


class Clause(NamedTuple):
    """Subject and object as they are marked in the tree (several when coordinated), and the words between them:
    a verb's base form with its preposition (`sit on`), or a preposition alone (`in front of`)."""

    subjects: Marks
    relation: str
    objects: Marks


@cache
def _base_forms() -> dict[str, str]:
    """Every verb form with the verb's base."""
    found = {}
    for base, forms in lexicon()["verbs"].items():
        for form in (base, *forms):
            found.setdefault(form, base)
    return {**found, "are": "be", "were": "be"}


@cache
def meanings(relation: str) -> tuple[str, ...]:
    """The predicates that a verb, a verb with preposition, or a preposition can stand for."""
    lex = lexicon()
    found = []
    for predicate, entry in lex["predicates"].items():
        special = [verb for c in lex["concepts"].values() for verb in c.get("verbs", {}).get(predicate, {})]
        if relation in (*entry.get("verbs", {}), *entry.get("participles", {}), *entry.get("prep", {}), *special):
            found.append(predicate)
    if relation == "with":
        found = ["has", "wearing", "holding", "carrying"]
    if relation == "in":
        found += ["wearing", "has"]
    if relation == "on":
        found += ["has", "wearing"]
    base, _, preposition = relation.partition(" ")
    if preposition and base in lex["verbs"] and (not found or base in ("stand", "rest")):
        # A verb that only places its subject: stands next to, is parked in front of, flies over.
        found += [p for p in meanings(preposition) if p not in found]
    return tuple(found)


def clauses(tree: Tree) -> list[Clause]:
    """Every relation between marked phrases that the sentence tells, in the order of its words.

    Settings and phrases that are not visual appear with their marks `S` and `0`.
    """
    return list(_clauses(tree, ()))


def expressed(tree: Tree, scene: Scene) -> list[tuple[int, str, int]]:
    """The scene's relations that a sentence tells, as (subject, predicate, object) indices.

    Where words could mean several predicates (`with`), these are the ones that hold in the scene.
    """
    found = []
    for clause in clauses(tree):
        for subject in (i for mark in clause.subjects for i in referents(mark)):
            for other in (i for mark in clause.objects for i in referents(mark)):
                holding = [p for p in meanings(clause.relation) if holds(scene, subject, p, other)]
                found += [(subject, p, other) for p in holding[:1]]
    return list(dict.fromkeys(found))


def marks(tree: Tree) -> Marks:
    """The marks of the phrase that a noun phrase is about: its head's, or all of a coordination's."""
    if tree.referent:
        return (tree.referent,)
    if any(child.label == "CC" for child in tree.children):
        return tuple(mark for child in tree.children if child.label == "NP" for mark in marks(child))
    inner = [child for child in tree.children if child.label == "NP"]
    return marks(inner[0]) if inner else ()


def _preposition(tree: Tree) -> tuple[str, Tree] | None:
    """The words and the inner noun phrase of a prepositional phrase: (`in front of`, the bench)."""
    words = []
    while tree.word is None:
        last = tree.children[-1]
        words += [leaf.word for child in tree.children[:-1] for leaf in leaves(child)]
        if last.label == "NP" and (last.children[0].referent != "0" or last.children[-1].label != "PP"):
            return " ".join(words), last
        if last.label not in ("NP", "PP"):
            return None
        tree = last
    return None


def _clauses(tree: Tree, subject: Marks) -> Iterator[Clause]:
    """Walk a constituent; `subject` is whom its verb phrases are about."""
    if tree.label in ("S", "SBAR"):
        yield from _of_sentence(tree, subject)
    elif tree.label == "NP":
        yield from _of_noun_phrase(tree)
    elif tree.label == "VP":
        yield from _of_verb_phrase(tree, subject)


def _of_sentence(tree: Tree, subject: Marks) -> Iterator[Clause]:
    children = tree.children
    own = [child for child in children if child.label == "NP"]
    there = bool(own) and any(leaf.label == "EX" for leaf in leaves(own[0]))
    if own and not there:
        subject = marks(own[0])
    for child in children:
        if child.label in _PLACES:
            about = subject
            if there:
                verb = next(child for child in children if child.label == "VP")
                about = marks(next(child for child in verb.children if child.label == "NP"))
            yield from _of_place(child, about, "")
        else:
            yield from _clauses(child, () if there else subject)


def _of_noun_phrase(tree: Tree) -> Iterator[Clause]:
    about = marks(tree)
    for child in tree.children:
        if child.label in _PLACES:
            yield from _of_place(child, about, "")
        elif child.label in ("NP", "SBAR", "VP"):
            yield from _clauses(child, about)


def _of_place(tree: Tree, about: Marks, verb: str) -> Iterator[Clause]:
    found = _preposition(tree)
    if found is None:
        return
    words, phrase = found
    if about and marks(phrase) and words != "of":
        yield Clause(about, f"{verb} {words}".strip(), marks(phrase))
    yield from _clauses(phrase, about)


def _of_verb_phrase(tree: Tree, subject: Marks, passive: bool = False) -> Iterator[Clause]:
    words = [child for child in tree.children if child.word is not None and child.label.startswith("VB")]
    verb = _base_forms().get(words[0].word, words[0].word) if words else ""
    if words and words[0].label == "VBN" and verb not in ("dress", "seat", "park", "stop"):
        passive = True
    particle = next((p.children[0].word for p in tree.children if p.label == "PP" and len(p.children) == 1), "")
    taken = False
    for child in tree.children:
        if child.label == "VP":
            yield from _of_verb_phrase(child, subject)
        elif child.label == "NP":
            if subject and marks(child):
                yield Clause(subject, verb, marks(child))
            yield from _clauses(child, ())
            subject = subject or marks(child)  # there is a dog in the park
            taken = True
        elif child.label == "SBAR":
            yield from _clauses(child, subject)
        elif child.label in _PLACES and len(child.children) > 1:
            found = _preposition(child)
            if found and passive and found[0] == "by":
                yield Clause(marks(found[1]), f"{verb} {particle}".strip(), subject)
                yield from _clauses(found[1], ())
            else:
                yield from _of_place(child, subject, "" if taken or verb == "be" or passive else verb)
                taken = True
