"""Captions and paragraphs: every annotation against the scene it describes or the sentence it is in."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from crosslook.data.emoji import rules, trees
from crosslook.data.emoji.expressed import clauses, expressed, meanings
from crosslook.data.emoji.facts import holds
from crosslook.data.emoji.language import captions, paragraph
from crosslook.data.emoji.lexicon import lexicon
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.trees import Tree, parse
from crosslook.data.emoji.world import WIDTH, categories

HE = (
    "man boy old_man police_officer construction_worker firefighter cook doctor farmer groom guard clown juggler runner"
)
HE += " swimmer"
SHE = "woman old_woman graduate bride dancer girl"
PRONOUNS = {"he": "he", "him": "he", "she": "she", "her": "she", "it": "it", "they": "they", "them": "they"}
NUMBERS = {"a": 1, "an": 1, "another": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
COLOURS = {"grey": "gray", "silver": "gray", "violet": "purple", "golden": "yellow", "blond": "yellow"}
COLOURS |= {"blonde": "yellow", "ginger": "orange", "chestnut": "brown"} | {name: name for name in lexicon()["colours"]}
SIZES = {"tiny": {"small"}, "small": {"small"}, "short": {"small"}, "little": {"small", "medium"}}
SIZES |= {word: {"large"} for word in ("large", "big", "huge", "tall", "high")}
ALWAYS_PLURAL = ("glasses", "sunglasses", "jeans", "shorts", "shoes", "boots")


@pytest.fixture(scope="module")
def told(scenes) -> list[tuple[Scene, list[Tree], list[Tree]]]:
    """Scenes with their captions and paragraph."""
    return [(s, [parse(t) for t in captions(s)], [parse(t) for t in paragraph(s)]) for s in scenes[:150]]


def mentions(told):
    """Every phrase of some things with its scene, things, tags and words."""
    for scene, *groups in told:
        for tree in (tree for group in groups for tree in group):
            for node, _, _ in trees.spans(tree):
                indices = trees.referents(node.referent) if node.referent else ()
                if indices:
                    yield scene, indices, trees.tags(node), trees.tokens(node)


def names(category: str) -> dict[str, str]:
    """All nouns for a category, its own and more general ones: mass, plural only, or count. Reads the file itself."""
    concept = lexicon()["categories"].get(category, category)
    found = {}
    while concept:
        entry = lexicon()["concepts"][concept]
        for noun in entry.get("nouns", {}):
            singular, slash, plural = re.sub(r"_[A-Z]+", "", noun).partition("/")
            kind = "mass" if not slash else "count" if singular else "plural only"
            found |= {form: kind for form in (singular, plural) if form}
        concept = entry.get("is")
    return found


def test_form(told):
    for scene, five, story in told:
        assert len(five) == 5
        assert 3 <= len(story) <= 5
        for tree in (*five, *story):
            assert parse(str(tree)) == tree
            assert trees.tags(tree)[-1] == "."
            assert {label for label, _, _ in trees.constituents(tree)} <= {
                *("S", "NP", "VP", "PP", "ADJP", "ADVP", "SBAR", "WHNP")
            }
            for node, _, _ in trees.spans(tree):
                if node.referent:
                    assert node.label == "NP"
                    assert all(child.word for child in node.children), f"not a base noun phrase: {node}"
                    assert all(index < len(scene.things) for index in trees.referents(node.referent))
        assert all(6 <= len(trees.tokens(tree)) <= 22 for tree in five)


def test_every_phrase_says_what_the_thing_is(told):
    seen = 0
    for scene, indices, tags, words in mentions(told):
        if tags[0] == "PRP" or words == ["one"]:
            continue
        seen += 1
        for index in indices:
            known = names(scene.things[index].category)
            said = next((" ".join(words[i:]) for i in range(len(words)) if " ".join(words[i:]) in known), None)
            assert said, f"{words} of {scene.things[index].category}"
        number = sum(len(scene.things[index].boxes) for index in indices)
        plural = known[said] == "plural only" or (known[said] == "count" and number > 1)
        assert (tags[-1] == "NNS") == plural, words
    assert seen > 2000


def test_numerals_and_articles(told):
    for scene, indices, _, words in mentions(told):
        number = sum(len(scene.things[index].boxes) for index in indices)
        if words[0] in NUMBERS:
            assert NUMBERS[words[0]] == number, words
        if words[0] in ("several", "some", "many"):
            assert number > 2, words
    pairs = Counter(
        pair for _, *groups in told for group in groups for tree in group for pair in pairwise(trees.tokens(tree))
    )
    for (first, second), _ in pairs.items():
        if first in ("a", "an"):
            assert (first == "an") == (second[0] in "aeiou"), (first, second)


def test_colours_and_sizes(told):
    counts = Counter()
    for scene, (index, *more), tags, words in mentions(told):
        thing = scene.things[index]
        for tag, word in zip(tags, words, strict=True):
            if tag != "JJ" or more or (thing.category == "hair" and word == "short"):
                continue
            if word in COLOURS:
                assert COLOURS[word] == thing.colour, (words, thing)
                counts["colour"] += 1
            if word in SIZES:
                assert thing.size in SIZES[word], (words, thing)
                counts["size"] += 1
    assert counts["colour"] > 400
    assert counts["size"] > 80


def test_predicate_adjectives(told):
    """*It is small and brown*: the sentence's only adjectives, after the verb, true of its subject."""
    found = 0
    for scene, _, story in told:
        for tree in story:
            verb = tree.children[1]
            if verb.label != "VP" or verb.children[-1].label != "ADJP" or len(verb.children[-1].children) == 2:
                continue
            thing = scene.things[int(tree.children[0].referent) - 1]
            *size, colour = [leaf.word for leaf in trees.leaves(verb.children[-1]) if leaf.label == "JJ"]
            assert COLOURS[colour] == thing.colour
            assert not size or thing.size in SIZES[size[0]]
            found += 1
    assert found > 10


def subject_and_verb(tree: Tree):
    """Subject phrase and finite verb of every clause with both, also where *there* or a phrase of place comes first."""
    for node, _, _ in trees.spans(tree):
        if node.label != "S":
            continue
        verbs = [child for child in node.children if child.label == "VP"]
        subjects = [child for child in node.children if child.label == "NP"]
        if len(verbs) != 1 or not subjects:
            continue
        subject, verb = subjects[0], next(leaf for leaf in trees.leaves(verbs[0]) if leaf.label[0] in "VM")
        if subject.children[0].label == "EX":
            subject = next(child for child in verbs[0].children if child.label == "NP")
        yield subject, verb


def is_plural_phrase(phrase: Tree) -> bool:
    if any(child.label == "CC" for child in phrase.children):
        return True
    inner = next((child for child in phrase.children if child.label == "NP"), None)
    if inner is not None:
        return is_plural_phrase(inner)
    last = phrase.children[-1]
    return last.label == "NNS" or last.word in ("they", "we")


def test_subject_and_verb_agree(told):
    seen = 0
    for _, *groups in told:
        for tree in (tree for group in groups for tree in group):
            for subject, verb in subject_and_verb(tree):
                plural = is_plural_phrase(subject)
                seen += 1
                if verb.label in ("VBZ", "VBP"):
                    assert (verb.label == "VBP") == plural, trees.text(tree)
                if verb.word in ("was", "were"):
                    assert (verb.word == "were") == plural, trees.text(tree)
    assert seen > 900


def test_what_is_told_is_drawn(told):
    """Each clause about two things holds in the scene, and the boxes allow it by the rules of the drawing."""
    seen = Counter()
    for scene, *groups in told:
        for tree in (tree for group in groups for tree in group):
            for clause in clauses(tree):
                for s in (i for mark in clause.subjects for i in trees.referents(mark)):
                    for o in (i for mark in clause.objects for i in trees.referents(mark)):
                        found = [p for p in meanings(clause.relation) if holds(scene, s, p, o)]
                        assert found, f"{clause} is not so: {trees.text(tree)}"
                        seen[found[0]] += 1
            for s, predicate, o in expressed(tree, scene):
                a, b = scene.things[s].boxes, scene.things[o].boxes
                assert any(rules.holds(predicate, x, y) for x in a for y in b) or predicate in ("has", "near", "on")
    assert len(seen) >= 24, seen
    assert sum(seen.values()) > 900


def test_most_relations_are_told_by_somebody(told):
    everything = found = 0
    for scene, *groups in told:
        by_anybody = {triple for group in groups for tree in group for triple in expressed(tree, scene)}
        everything += len(scene.relations)
        found += len(by_anybody & set(scene.relations))
    assert found / everything > 0.6


def gender(scene: Scene, index: int) -> str | None:
    thing = scene.things[index]
    if len(thing.boxes) > 1 or thing.category in ALWAYS_PLURAL:
        return "they"
    if categories()[thing.category].type == "people":
        return "he" if thing.category in HE.split() else "she" if thing.category in SHE.split() else None
    return "it"


def owner(scene: Scene, mark: str) -> int | None:
    return scene.things[int(mark) - 1].part_of if mark.isdigit() and mark != "0" else None


def test_pronouns_mean_one_thing(told):
    """In this sentence and the one before, a pronoun fits one thing only: the one it is marked with."""
    seen = Counter()
    for scene, five, story in told:
        for sentences in [[tree] for tree in five] + [story]:
            before: list[str] = []
            for tree in sentences:
                marked = [(n.referent, trees.tokens(n)) for n, _, _ in trees.spans(tree) if n.referent]
                for i, (referent, words) in enumerate(marked):
                    if words[0] not in PRONOUNS or len(words) > 1 or "+" in referent:
                        continue
                    earlier = [*before, *(mark for mark, _ in marked[:i])]
                    # *His arm* has spoken of him as well.
                    earlier += [str(p + 1) for m in earlier if (p := owner(scene, m)) is not None]
                    candidates = {
                        mark
                        for mark in earlier
                        if mark.isdigit() and mark != "0" and gender(scene, int(mark) - 1) == PRONOUNS[words[0]]
                    }
                    assert candidates == {referent}, (trees.text(tree), before)
                    seen[words[0]] += 1
                before = [mark for mark, _ in marked]
    assert min(seen[word] for word in ("he", "she", "it")) > 8, seen
    assert seen["they"] > 0


def test_definite_phrases_are_clear(told):
    """*The dog*, in a story, is the only thing mentioned so far that is called a dog (or *the other* of two)."""
    seen = 0
    for _, _, story in told:
        called: dict[str, list[str]] = {}
        for tree in story:
            for node, _, _ in trees.spans(tree):
                words = trees.tokens(node) if node.referent and node.referent not in ("0", "S") else [""]
                if words[0] == "the" and node.referent in called and words[1] != "other":
                    others = [name for mark, name in called.items() if mark != node.referent]
                    assert not any(name[-len(words[1:]) :] == words[1:] for name in others), trees.text(tree)
                    seen += 1
                elif len(words) > 1 or words[0] not in ("", *PRONOUNS):
                    called.setdefault(node.referent, words)
    assert seen > 80


def test_sides_are_where_they_are_said_to_be(told):
    """*On the left, there is a dog*: its middle lies in the left half; *in the middle*: in the middle third."""
    seen = Counter()
    pattern = re.compile(r"\(PP \(IN (?:on|in)\) \(NP#0 \(DT the\) \(NN (left|right|middle)\)\)\) \(, ,\) .*?#(\d+) ")
    for scene, *groups in told:
        for tree in (tree for group in groups for tree in group):
            for side, mark in pattern.findall(str(tree)):
                for x1, _, x2, _ in scene.things[int(mark) - 1].boxes:
                    middle = (x1 + x2) / 2 / WIDTH
                    low, high = {"left": (0, 1 / 2), "right": (1 / 2, 1), "middle": (1 / 3, 2 / 3)}[side]
                    assert low <= middle <= high, trees.text(tree)
                seen[side] += 1
    assert min(seen.values()) > 3, seen


def test_the_setting_is_named_as_it_is(told):
    nouns = {name: [n.split()[-1] for n in entry["nouns"]] for name, entry in lexicon()["settings"].items()}
    for scene, *groups in told:
        for tree in (tree for group in groups for tree in group):
            for node, _, _ in trees.spans(tree):
                if node.referent == "S":
                    assert trees.tokens(node)[-1] in nouns[scene.setting]
