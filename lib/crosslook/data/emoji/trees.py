"""Penn-Treebank style trees whose base noun phrases name what they refer to: `(NP#3 (DT a) (NN dog))`.

A sentence is one such string. Everything else about it (words, tags, constituents, phrases and their
referents) is read from the tree, so it cannot disagree with the sentence.

A referent is written after `#` on a base noun phrase: `3` is the third thing of the scene (counting from 1),
`1+3` a group of things, `S` the setting, `0` something that cannot be seen as a box ("the background").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_REFERENT = re.compile(r"0|S|[1-9][0-9]*(\+[1-9][0-9]*)*")
_TOKEN = re.compile(r"[()]|[^\s()]+")


@dataclass(frozen=True, slots=True)
class Tree:
    """A constituent over `children`, or, when `word` is set, a part-of-speech tag over that word.

    `referent` is set on marked base noun phrases only. `str(tree)` writes the tree on one line; round brackets
    in words are written `-LRB-` and `-RRB-`, as in the Penn Treebank.
    """

    label: str
    children: tuple["Tree", ...] = ()
    word: str | None = None
    referent: str | None = None

    def __post_init__(self) -> None:
        if (self.word is None) == (not self.children):
            raise ValueError(f"({self.label}: expected children or a word, came {self.children} and {self.word!r}")

    def __str__(self) -> str:
        parts: list[str] = []
        stack: list[Tree | str] = [self]
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                parts.append(item)
            elif item.word is not None:
                parts.append(f"({item.label} {_escape(item.word)})")
            else:
                parts.append(f"({item.label}#{item.referent}" if item.referent else f"({item.label}")
                stack.append(")")
                for child in reversed(item.children):
                    stack += [child, " "]
        return "".join(parts)


def parse(string: str) -> Tree:
    """The tree that a string writes out, in time linear in the string's length.

    Raises ValueError naming the character at which the string stops being one tree and what was expected there.
    """
    label, word, root = None, None, None  # of the bracket that has just been opened; the finished tree
    state = "start"
    above: list[tuple[str, str | None, list[Tree]]] = []  # brackets still open: label, referent, children so far
    expected = {
        "start": "'('",
        "opened": "a label",
        "labelled": "a word or '('",
        "word": "')'",
        "inside": "'(' or ')'",
        "done": "the end of the string",
    }
    for match in _TOKEN.finditer(string):
        token = match.group()
        if token == "(" and state in ("start", "labelled", "inside"):
            if state == "labelled":
                name, _, referent = label.partition("#")
                if not name or ("#" in label and not _REFERENT.fullmatch(referent)):
                    raise _bad(string, match.start(), f"a label or label#referent before '(', not {label!r}", token)
                above.append((name, referent or None, []))
            state = "opened"
        elif token == ")" and state in ("word", "inside"):
            if state == "word":
                tree = Tree(label, (), _unescape(word))
            else:
                name, referent, children = above.pop()
                tree = Tree(name, tuple(children), None, referent)
            if above:
                above[-1][2].append(tree)
                state = "inside"
            else:
                root, state = tree, "done"
        elif token not in "()" and state == "opened":
            label, state = token, "labelled"
        elif token not in "()" and state == "labelled" and "#" not in label:
            word, state = token, "word"
        else:
            raise _bad(string, match.start(), expected[state], token)
    if root is None:
        raise _bad(string, len(string), expected[state], "the end of the string")
    return root


def _bad(string: str, place: int, expected: str, came: str) -> ValueError:
    near = string[max(0, place - 20) : place + 20]
    return ValueError(f"character {place}: expected {expected}, came {came!r} (near {near!r})")


def _escape(word: str) -> str:
    return word.replace("(", "-LRB-").replace(")", "-RRB-")


def _unescape(word: str) -> str:
    return word.replace("-LRB-", "(").replace("-RRB-", ")")


def leaves(tree: Tree) -> Iterator[Tree]:
    """The part-of-speech nodes from left to right."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if node.word is not None:
            yield node
        stack.extend(reversed(node.children))


def tokens(tree: Tree) -> list[str]:
    """The words, as in the tree (the first one not capitalised)."""
    return [leaf.word for leaf in leaves(tree)]


def tags(tree: Tree) -> list[str]:
    """The Penn Treebank tag of every word."""
    return [leaf.label for leaf in leaves(tree)]


def text(tree: Tree) -> str:
    """The sentence as Flickr30k Entities writes it: words joined by one space, first letter capitalised."""
    joined = " ".join(tokens(tree))
    return joined[:1].upper() + joined[1:]


def spans(tree: Tree) -> list[tuple[Tree, int, int]]:
    """Every node that is not a part of speech, outer before inner, with its first token and the one after its last."""
    found: list[list] = []
    position = 0
    stack: list[tuple[Tree | None, list | None]] = [(tree, None)]
    while stack:
        node, closing = stack.pop()
        if closing is not None:
            closing[2] = position
        elif node.word is not None:
            position += 1
        else:
            entry = [node, position, position]
            found.append(entry)
            stack.append((None, entry))
            stack.extend((child, None) for child in reversed(node.children))
    return [(node, start, end) for node, start, end in found]


def constituents(tree: Tree) -> list[tuple[str, int, int]]:
    """(label, first token, token after the last) of every constituent, outer before inner."""
    return [(node.label, start, end) for node, start, end in spans(tree)]


def phrases(tree: Tree) -> list[tuple[int, int, str]]:
    """(first character, character after the last, referent) of every marked noun phrase, in `text(tree)`.

    Raises ValueError when a marked phrase lies inside another.
    """
    ends, place = [], -1
    for token in tokens(tree):
        ends.append(place := place + 1 + len(token))
    marked = [(node, start, end) for node, start, end in spans(tree) if node.referent]
    for (_, _, end), (inner, start, _) in pairwise(marked):
        if start < end:
            raise ValueError(f"marked phrase inside a marked phrase: {inner}")
    return [
        (ends[start] - len(word), ends[end - 1], node.referent)
        for node, start, end in marked
        for word in [next(leaves(node)).word]
    ]


def referents(mark: str) -> tuple[int, ...]:
    """The indices into `Scene.things` that a mark names (counting from 0); none for `S` and `0`.

    >>> referents("1+3")
    (0, 2)
    """
    return () if mark in ("S", "0") else tuple(int(number) - 1 for number in mark.split("+"))
