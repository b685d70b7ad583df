"""Where things are according to captions, worked by hand; and of all captions of a split."""

from crosslook.data.emoji import records, trees
from crosslook.data.emoji.scene import Scene, Thing, from_record
from crosslook.data.emoji.spatial import PREDICATES, spatial
from crosslook.data.emoji.world import PREDICATES as ALL

SCENE = Scene(
    "hand",
    0,
    "park",
    tuple(Thing(c, None, "medium", ((0, 0, 9, 9),)) for c in ("man", "guitar", "dog", "bench", "cap")),
    ((0, "playing", 1), (0, "wearing", 4), (2, "under", 3), (0, "sitting_on", 3), (2, "next_to", 0), (1, "near", 3)),
)


def told(tree):
    found = spatial(trees.parse(tree), SCENE)
    return [(each.kind, each.target.text, each.relation.text, each.landmark and each.landmark.text) for each in found]


def test_by_hand():
    assert told(
        "(S (NP#1 (DT a) (NN man)) (VP (VP (VBZ sits) (PP (IN on) (NP#4 (DT a) (NN bench)))) (CC and) (VP (VBZ plays)"
        " (NP#2 (DT a) (NN guitar)))) (. .))"
    ) == [("region", "A man", "on", "a bench")]
    # The indicator's words, not the setting's; wearing is not a relation of space.
    assert told(
        "(S (NP (NP#1 (DT a) (NN man)) (PP (IN in) (NP#5 (DT a) (NN cap)))) (VP (VBZ is) (ADJP (JJ next) (PP (IN to)"
        " (NP#3 (DT a) (NN dog)))) (PP (IN in) (NP#S (DT the) (NN park)))) (. .))"
    ) == [("region", "A man", "next to", "a dog"), ("region", "A man", "in", "the park")]
    assert told(
        "(S (ADVP (RB next) (PP (IN to) (NP#1 (PRP him)))) (, ,) (NP (EX there)) (VP (VBZ is) (NP"
        " (NP#3 (DT a) (NN dog)) (PP (IN under) (NP#4 (DT the) (NN bench))))) (. .))"
    ) == [("region", "a dog", "Next to", "him"), ("direction", "a dog", "under", "the bench")]
    # Of two subjects, the one of which it is true; a distance.
    assert told(
        "(S (NP (NP#2 (DT a) (NN guitar)) (CC and) (NP#5 (DT a) (NN cap))) (VP (VBP are) (PP (IN near)"
        " (NP#4 (DT a) (NN bench)))) (. .))"
    ) == [("distance", "A guitar", "near", "a bench")]
    assert told(
        "(S (PP (IN on) (NP#0 (DT the) (NN left))) (, ,) (NP (EX there)) (VP (VBZ is) (NP#3 (DT a) (NN dog))))"
    ) == [("direction", "a dog", "On the left", None)]
    assert told("(S (NP#3 (DT a) (NN dog)) (VP (VBZ is) (PP (IN in) (NP#0 (DT the) (NN background)))) (. .))") == [
        ("region", "A dog", "in", "the background")
    ]
    # A setting is where things are, and is nowhere itself.
    assert told("(S (NP#S (DT the) (NN park)) (VP (VBZ is) (PP (IN in) (NP#0 (DT the) (NN background)))) (. .))") == []
    # Of two equal prepositions, each landmark has its own.
    dog_under = "(S (NP#3 (PRP it)) (VP (VBZ is) (PP (IN under) (NP#4 (DT a) (NN bench)))))"
    found = spatial(trees.parse(f"(S {dog_under} (CC and) {dog_under})"), SCENE)
    assert [(each.relation.first, each.landmark.first) for each in found] == [(2, 3), (8, 9)]
    assert told("(S (NP#0 (DT this) (NN photo)) (VP (VBZ shows) (NP#3 (DT a) (NN dog))))") == []


def test_the_same_thing_twice_in_a_sentence():
    """Marks are the same; the phrases are not."""
    found = spatial(
        trees.parse(
            "(S (S (NP#3 (DT a) (NN dog)) (VP (VBZ is) (PP (IN under) (NP#4 (DT a) (NN bench))))) (CC and)"
            " (S (NP#3 (PRP it)) (VP (VBZ is) (ADVP (RB next) (PP (IN to) (NP#1 (DT a) (NN man)))))))"
        ),
        SCENE,
    )
    assert [(each.target.text, each.target.first) for each in found] == [("A dog", 0), ("it", 7)]


def test_every_predicate_of_space_is_drawn():
    names = " ".join(PREDICATES.values()).split()
    assert len(names) == len(set(names))
    assert set(names) <= set(ALL)


def test_all_sentences_of_a_split():
    """Every part is words of the sentence, targets and landmarks are marked phrases, and every kind is there."""
    kinds = set()
    for record in records.read("test")[:60]:
        scene = from_record(record)
        for tree in map(trees.parse, [*record["captions"], *record["paragraph"]]):
            text, phrases = trees.text(tree), trees.phrases(tree)
            spans = {(start, end) for start, end, mark in phrases}
            for relation in spatial(tree, scene):
                kinds.add(relation.kind)
                for part in (relation.target, relation.relation, relation.landmark):
                    assert part is None or text[part.start : part.end] == part.text
                    assert part is None or text.split(" ")[part.first : part.last] == part.text.split(" ")
                for part in (relation.target, relation.landmark):
                    assert part is None or (part.start, part.end) in spans
                assert relation.landmark is None or relation.relation.last <= relation.landmark.first
    assert kinds == set(PREDICATES)
