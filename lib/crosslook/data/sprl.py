"""Read spatial role labelling data (SpRL 2012): sentences with who is where, marked by head words.

The file is XML. A `<SENTENCE id="s1">` has a tokenised `<CONTENT>` and, before each `<RELATION>`, the elements that it
names. The number in the id of an element is the place of its word in the sentence, counted from 0: `tw2` is the third.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from operator import eq
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree

from crosslook.data.errors import DataError
from crosslook.relations import KINDS, Part, Relation

ROLES = {"tr": "TRAJECTOR", "sp": "SPATIAL_INDICATOR", "lm": "LANDMARK"}
"""The attributes of a relation, and the elements that they name by id."""
ABSENT = "undefined"
"""The text of a landmark that the sentence does not name."""
ALIKE = 0.75
"""How similar (as `difflib` counts) a word must be to be a marked word in another spelling."""
TRAINING, TEST = range(1, 601), range(601, 1214)
"""The numbers of the sentences in the two parts of the shared task of 2012."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """An id such as `s12`, words with single spaces between them, and the relations, each once.

    Targets and landmarks are one word each, their head; a relation has as many words as were marked.
    """

    id: str
    text: str
    relations: tuple[Relation, ...]


def read(path: str | os.PathLike) -> list[Sentence]:
    """The sentences of a file, in its order.

    Raises:
        DataError: the XML is malformed, has a document type, or no sentence; a sentence lacks its id or content; a
            relation is of another kind, or names an element that does not stand before it; a word cannot be found.
    """
    name, text = Path(path).name, Path(path).read_text(encoding="utf-8")
    try:
        root = defusedxml.ElementTree.fromstring(text, forbid_dtd=True)
    except ParseError as error:
        line, column = error.position
        message = str(error).rpartition(": line ")[0]
        raise DataError(f"{name}:{line}:{column + 1}", f"expected well-formed XML, got {message}") from None
    except defusedxml.DefusedXmlException as error:
        raise DataError(name, f"expected XML without document type and entities, got {error}") from None
    nodes = root.findall("SENTENCE")
    if not nodes:
        raise DataError(name, f"expected <SENTENCE> in <{root.tag}>, got none")
    return [_sentence(node, f"{name}: sentence {number}") for number, node in enumerate(nodes, 1)]


def divide(sentences: Sequence[Sentence]) -> tuple[list[Sentence], list[Sentence]]:
    """The training and the test part of the shared task, by the number in the id; what has none of theirs is left out.

    Copies of the file carry a few sentences besides the task's 1,213, before and behind them.
    """
    numbered = [(int(each.id[1:]), each) for each in sentences if re.fullmatch("s[0-9]{1,9}", each.id)]
    training, test = ([each for number, each in numbered if number in part] for part in (TRAINING, TEST))
    return training, test


def _sentence(node: Element, where: str) -> Sentence:
    identity = node.get("id", "")
    if not identity:
        raise DataError(where, "expected an id, got none")
    where = f"{where} ({identity})"
    words = (node.findtext("CONTENT") or "").split()
    if not words:
        raise DataError(where, "expected words in <CONTENT>, got none")
    # The same id can come again with other words: a relation means the last one before it.
    known: dict[tuple[str, str], Element] = {}
    found = []
    for child in node:
        if child.tag in ROLES.values():
            known[child.tag, child.get("id", "")] = child
        elif child.tag == "RELATION":
            found.append(_relation(child, known, words, where))
    return Sentence(identity, " ".join(words), tuple(dict.fromkeys(found)))


def _relation(node: Element, known: dict[tuple[str, str], Element], words: list[str], where: str) -> Relation:
    # As it is written: region, Regions, DIRECTION, direction relative.
    said = node.get("general_type", "")
    kind = next((kind for kind in KINDS if said.strip().lower().startswith(kind)), None)
    where = f"{where}, relation {node.get('id')}"
    if kind is None:
        raise DataError(where, f"general_type: expected one of {', '.join(KINDS)}, got {said!r}")
    parts = {}
    for role, tag in ROLES.items():
        element = known.get((tag, node.get(role, "")))
        if element is None:
            raise DataError(where, f"{role}: expected the id of a <{tag}> before it, got {node.get(role)!r}")
        parts[role] = _part(element, words, where)
    if parts["tr"] is None or parts["sp"] is None:
        raise DataError(where, f"expected words for trajector and indicator, got {ABSENT!r}")
    return Relation(parts["tr"], parts["sp"], parts["lm"], kind)


def _part(element: Element, words: list[str], where: str) -> Part | None:
    """Where the element's words stand: at the place in its id, or nearest to it if it has other words there."""
    identity = element.get("id", "")
    place = re.fullmatch("[a-z]+([0-9]{1,9})", identity)
    if place is None:
        raise DataError(where, f"<{element.tag}>: expected an id such as tw2, got {identity!r}")
    marked = re.split(r"[\s_-]+", (element.text or "").strip(" _-\n").lower())
    if marked == [ABSENT]:
        return None
    first, last = _find(marked, [word.lower() for word in words], int(place[1]))
    if first == last:
        raise DataError(where, f"<{element.tag}> {identity}: expected {' '.join(marked)!r} in {' '.join(words)!r}")
    start = sum(len(word) + 1 for word in words[:first])
    text = " ".join(words[first:last])
    return Part(start, start + len(text), first, last, last - 1, text)


def _find(marked: list[str], words: list[str], place: int) -> tuple[int, int]:
    """The words `first` to `last` (exclusive); none where nothing fits.

    Annotators wrote the number of any of several words, put right what was misspelt, and turned numbers of nouns.
    """
    n = len(marked)
    runs = {first: sum(map(eq, marked, words[first : first + n])) for first in range(len(words) - n + 1)}
    best = max(runs.values(), default=0)
    if n == 1 and not best:
        alike = get_close_matches(marked[0], words, cutoff=ALIKE)
        runs, best = {first: int(words[first] in alike) for first in runs}, 1
    there = [first for first, count in runs.items() if count == best]
    if not n or not there or not best:
        return (place, place + 1) if place < len(words) else (place, place)
    first = min(there, key=lambda first: 0 if first <= place < first + n else abs(place - first))
    return first, first + n
