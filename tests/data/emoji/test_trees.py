"""Reading and writing trees, and what is read from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosslook.data.emoji import trees
from crosslook.data.emoji.tags import universal, upos
from crosslook.data.emoji.trees import Tree, parse

EXAMPLE = (
    "(S (NP#1 (DT a) (JJ young) (NN man)) (VP (VBZ is) (VP (VBG playing) (NP#2 (DT a) (JJ brown) (NN guitar))"
    " (PP (IN on) (NP#S (DT the) (NN stage))))) (. .))"
)

words = st.text(st.characters(blacklist_categories=["Z", "C"]), min_size=1).filter(
    lambda word: not any(c.isspace() for c in word) and "-LRB-" not in word and "-RRB-" not in word
)
labels = st.sampled_from(["S", "NP", "VP", "WHNP", "NN", ",", ".", "PRP$"])
marks = st.none() | st.sampled_from(["0", "S", "1", "12", "1+3", "2+10+4"])
any_tree = st.recursive(
    st.builds(lambda label, word: Tree(label, word=word), labels, words),
    lambda inner: st.builds(
        lambda label, children, mark: Tree(label, tuple(children), None, mark),
        labels,
        st.lists(inner, min_size=1, max_size=4),
        marks,
    ),
    max_leaves=25,
)


@given(any_tree)
def test_round_trip(tree: Tree):
    assert parse(str(tree)) == tree


@given(any_tree)
def test_words_come_in_the_order_of_the_string(tree: Tree):
    # The oracle: a leaf is the only place where a word is followed by a closing bracket.
    written = [part.split(")")[0] for part in str(tree).split(" ") if ")" in part]
    assert [w.replace("-LRB-", "(").replace("-RRB-", ")") for w in written] == trees.tokens(tree)
    assert len(trees.tags(tree)) == len(written)


@given(any_tree)
def test_constituents_are_nested_and_not_empty(tree: Tree):
    found = trees.constituents(tree)
    assert all(0 <= a < b <= len(trees.tokens(tree)) for _, a, b in found)
    assert not any(a < c < b < d for _, a, b in found for _, c, d in found)


def test_worked_example():
    tree = parse(EXAMPLE)
    assert str(tree) == EXAMPLE
    assert trees.text(tree) == "A young man is playing a brown guitar on the stage ."
    assert trees.tags(tree) == ["DT", "JJ", "NN", "VBZ", "VBG", "DT", "JJ", "NN", "IN", "DT", "NN", "."]
    assert trees.phrases(tree) == [(0, 11, "1"), (23, 37, "2"), (41, 50, "S")]
    assert [trees.text(tree)[a:b] for a, b, _ in trees.phrases(tree)] == ["A young man", "a brown guitar", "the stage"]
    assert trees.constituents(tree) == [
        ("S", 0, 12),
        ("NP", 0, 3),
        ("VP", 3, 11),
        ("VP", 4, 11),
        ("NP", 5, 8),
        ("PP", 8, 11),
        ("NP", 9, 11),
    ]
    assert universal(tree)[3:5] == ["AUX", "VERB"]


def test_a_tree_may_be_deep():
    depth = 50_000
    string = "(NP " * depth + "(NN dog)" + ")" * depth
    assert str(parse(string)) == string


@pytest.mark.parametrize(
    ("string", "place", "expected"),
    [
        ("", 0, r"'\('"),
        ("dog", 0, r"'\('"),
        ("(NP (NN dog)", 12, r"'\(' or '\)'"),
        ("(NP (NN dog)))", 13, "the end of the string"),
        ("(NP (NN dog)) (NN cat)", 14, "the end of the string"),
        ("(NP () (NN dog))", 5, "a label"),
        ("((NN dog))", 1, "a label"),
        ("(NP)", 3, "a word"),
        ("(NN big dog)", 8, r"'\)'"),
        ("(NN (JJ big) dog)", 13, r"'\(' or '\)'"),
        ("(NP#x (NN dog))", 6, "label#referent"),
        ("(NP# (NN dog))", 5, "label#referent"),
        ("(NP#0+1 (NN dog))", 8, "label#referent"),
        ("(#1 (NN dog))", 4, "label#referent"),
        ("(NN#1 dog)", 6, "a word or"),
    ],
)
def test_bad_strings_name_the_place(string: str, place: int, expected: str):
    with pytest.raises(ValueError, match=f"character {place}: expected .*{expected}"):
        parse(string)


@given(any_tree, st.data())
def test_a_lost_bracket_is_always_noticed(tree: Tree, data: st.DataObject):
    string = str(tree)
    place = data.draw(st.sampled_from([i for i, c in enumerate(string) if c in "()"]))
    with pytest.raises(ValueError, match="expected"):
        parse(string[:place] + string[place + 1 :])


def test_a_marked_phrase_inside_a_marked_phrase():
    with pytest.raises(ValueError, match="marked phrase inside"):
        trees.phrases(parse("(NP#1 (NP#2 (NN dog)) (PP (IN on) (NP#3 (NN grass))))"))


def test_referents():
    assert trees.referents("3") == (2,)
    assert trees.referents("1+10") == (0, 9)
    assert trees.referents("S") == trees.referents("0") == ()


def test_a_node_has_children_or_a_word():
    with pytest.raises(ValueError, match="children or a word"):
        Tree("NP")
    with pytest.raises(ValueError, match="children or a word"):
        Tree("NN", (Tree("NN", word="dog"),), "dog")


def test_universal_tags():
    assert upos("IN", "while") == "SCONJ"
    assert upos("IN", "under") == "ADP"
    assert upos("VBG", "being") == "AUX"
    with pytest.raises(ValueError, match="Penn Treebank tag"):
        upos("XYZ", "dog")
    there = parse(
        "(S (NP (EX there)) (VP (VBZ is) (NP#1 (DT a) (NN dog)) (SBAR (WHNP (WDT that)) (S (VP (VBZ is))))) (. .))"
    )
    assert universal(there) == ["PRON", "VERB", "DET", "NOUN", "PRON", "AUX", "PUNCT"]
