"""Relations read from trees, worked by hand."""

from crosslook.data.emoji.expressed import clauses, expressed, meanings
from crosslook.data.emoji.scene import Scene, Thing
from crosslook.data.emoji.trees import parse


def test_expressed_by_hand():
    scene = Scene(
        "hand",
        0,
        "park",
        tuple(Thing(c, None, "medium", ((0, 0, 9, 9),)) for c in ("man", "guitar", "dog", "bench", "cap")),
        ((0, "playing", 1), (0, "wearing", 4), (2, "under", 3), (0, "sitting_on", 3), (2, "next_to", 0)),
    )
    cases = {
        "(S (NP#2 (DT a) (NN guitar)) (VP (VBZ is) (VP (VBG being) (VP (VBN played) (PP (IN by)"
        " (NP (NP#1 (DT a) (NN man)) (PP (IN in) (NP#5 (DT a) (NN cap)))))))) (. .))": [
            (0, "wearing", 4),
            (0, "playing", 1),
        ],
        "(S (NP#1 (DT a) (NN man)) (VP (VP (VBZ sits) (PP (IN on) (NP#4 (DT a) (NN bench)))) (CC and) (VP (VBZ plays)"
        " (NP#2 (DT a) (NN guitar)))) (. .))": [(0, "sitting_on", 3), (0, "playing", 1)],
        "(S (ADVP (RB next) (PP (IN to) (NP#1 (PRP him)))) (, ,) (NP (EX there)) (VP (VBZ is) (NP"
        " (NP#3 (DT a) (NN dog)) (PP (IN under) (NP#4 (DT the) (NN bench))))) (. .))": [
            (2, "next_to", 0),
            (2, "under", 3),
        ],
        "(NP (NP#1 (DT a) (NN man)) (SBAR (WHNP (WP who)) (S (VP (VBZ has) (NP#2 (DT a) (NN guitar))))) (. .))": [],
        "(S (NP#1 (DT the) (NN man)) (VP (VBZ is) (ADJP (JJ next) (PP (IN to) (NP#3 (DT a) (NN dog))))) (. .))": [
            (0, "next_to", 2)
        ],
    }
    for string, triples in cases.items():
        assert sorted(expressed(parse(string), scene)) == sorted(triples), string
    passive = clauses(parse(next(iter(cases))))
    assert [tuple(clause) for clause in passive] == [(("1",), "play", ("2",)), (("1",), "in", ("5",))]


def test_meanings():
    assert meanings("sit on") == ("sitting_on",)
    assert meanings("stand on") == ("standing_on", "on", "has", "wearing")
    assert meanings("beside") == ("next_to",)
    assert meanings("park next to") == ("next_to",)
    assert set(meanings("with")) == {"has", "wearing", "holding", "carrying"}
    assert meanings("show") == ()
