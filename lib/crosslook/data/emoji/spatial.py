"""Where things are, as a caption of Emoji Entities tells it: from tree and scene, as gold for `crosslook.relations`."""

from dataclasses import replace

from crosslook.data.emoji.expressed import clauses, meanings
from crosslook.data.emoji.facts import holds
from crosslook.data.emoji.lexicon import lexicon
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.trees import Tree, leaves, referents, spans
from crosslook.data.emoji.trees import text as written
from crosslook.relations import Part, Relation

PREDICATES = {
    "region": "on in next_to sitting_on standing_on lying_on leaning_on hanging_from",
    "direction": "left_of right_of behind in_front_of above under",
    "distance": "near",
}
"""The predicates of each kind of spatial relation. The others (wearing, holding, riding, ...) are none."""
SPOTS = {"left": "direction", "right": "direction", "middle": "region", "background": "region"}
"""Places in the picture that captions name, and the kind of relation: *on the left*."""
_KINDS = {predicate: kind for kind, names in PREDICATES.items() for predicate in names.split()}


def spatial(tree: Tree, scene: Scene) -> tuple[Relation, ...]:
    """The spatial relations of a sentence; parts count the words of `trees.text(tree)`.

    A clause with several subjects or objects tells several relations. What words can mean is decided by the scene: *on*
    and *in* tell of space, or of what somebody wears. The setting is a landmark (*in the park*), and so is the
    background; the other spots in the picture are named without a landmark (*on the left*).
    """
    numbered, marks = _number(tree)
    places = {node.referent: (first, last) for node, first, last in spans(numbered) if node.referent}
    text, words = written(tree), [leaf.word for leaf in leaves(tree)]
    found = []
    for clause in clauses(numbered):
        said = clause.relation.split()
        said = said[1:] if said[0] in lexicon()["verbs"] else said
        for subject in clause.subjects:
            for other in clause.objects:
                if not said or marks.get(subject, "0") in ("0", "S") or other not in marks:
                    continue
                first, last = places[other]
                spot = words[last - 1] if marks[other] == "0" else None
                kind = SPOTS.get(spot) if spot else _kind(clause.relation, marks[subject], marks[other], scene)
                if kind is None:
                    continue
                # Its preposition is the last one before a landmark; other conjuncts may stand between them.
                start = max(i for i in range(first) if words[i : i + len(said)] == said)
                target, landmark = _part(text, *places[subject]), _part(text, first, last)
                if spot and spot != "background":
                    found.append(Relation(target, _part(text, start, last), None, kind))
                else:
                    found.append(Relation(target, _part(text, start, start + len(said)), landmark, kind))
    return tuple(dict.fromkeys(found))


def _number(tree: Tree) -> tuple[Tree, dict[str, str]]:
    """The tree with another number as the mark of every phrase, and the marks that they replace.

    The 0 in *in front of the house* stays: it is part of a preposition.
    """
    marks: dict[str, str] = {}

    def renamed(node: Tree, within: bool) -> Tree:
        compound = bool(node.children) and node.label == "NP" and node.children[-1].label == "PP"
        children = tuple(renamed(child, compound and child is node.children[0]) for child in node.children)
        if node.referent is None or (within and node.referent == "0"):
            return replace(node, children=children)
        number = str(len(marks) + 1)
        marks[number] = node.referent
        return replace(node, children=children, referent=number)

    return renamed(tree, False), marks


def _kind(relation: str, subject: str, other: str, scene: Scene) -> str | None:
    """The kind of relation that words between two marks stand for; None if it is not one of space."""
    if other == "S":
        return "region"
    for first in referents(subject):
        for second in referents(other):
            true = [predicate for predicate in meanings(relation) if holds(scene, first, predicate, second)]
            if true:
                return _KINDS.get(true[0])
    return None


def _part(text: str, first: int, last: int) -> Part:
    words = text.split(" ")
    start = sum(len(word) + 1 for word in words[:first])
    phrase = " ".join(words[first:last])
    return Part(start, start + len(phrase), first, last, last - 1, phrase)
