"""The two files that Flickr30k Entities has for an image: boxes by chain (XML), and captions with marked phrases.

Format: Plummer et al. (2015), Flickr30k Entities v1.0. Places in errors count lines, characters and objects from 1.
"""

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError
from xml.sax.handler import ContentHandler

import defusedxml.ElementTree
import defusedxml.sax

from crosslook.data.errors import DataError

TYPES = ("people", "bodyparts", "clothing", "animals", "instruments", "vehicles", "scene", "other", "notvisual")
"""The types of phrases. `notvisual` goes with chain 0 and only with it."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Object:
    """An `<object>`: the chains it belongs to and its box `(xmin, ymin, xmax, ymax)`, or two flags in its place.

    The box is as in the file: pixels counted from 1, last row and column included.
    """

    chains: tuple[str, ...]
    box: Box | None = None
    scene: bool = False
    nobndbox: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """An XML file: the image's size in pixels and its objects in the order of the file."""

    filename: str
    width: int
    height: int
    objects: tuple[Object, ...]
    depth: int = 3


@dataclass(frozen=True, slots=True)
class Mention:
    """A marked phrase: characters `start` to `end` (exclusive) of the caption, its chain and types."""

    start: int
    end: int
    chain: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A caption without its marks, and the marked phrases from left to right (they never overlap)."""

    text: str
    mentions: tuple[Mention, ...] = ()


_MARK = re.compile(r"\[/EN#(0|[1-9][0-9]*)((?:/[a-z]+)+) ((?! )[^\[\]]*[^\[\] ])\]")
_KNOWN = frozenset(TYPES)
_CHAIN = re.compile(r"[1-9][0-9]*")
_NUMBER = re.compile(r"-?[0-9]{1,9}")


def parse_sentences(text: str, name: str) -> tuple[Sentence, ...]:
    """The captions of a sentence file, one a line.

    Args:
        text: the file's text, lines such as `[/EN#547/people Several climbers] are climbing .`
        name: what errors call the file.

    Raises:
        DataError: a bracket is not closed or not opened, a mark has another form or an unknown type, a type does not
            go with its chain, a line is empty, or there is none.
    """
    return tuple(parse_sentence(line, f"{name}:{number}") for number, line in enumerate(split_lines(text), 1))


def split_lines(text: str) -> list[str]:
    """The lines of a text file, with the line ends of any system and nothing else taken for one."""
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def parse_sentence(line: str, where: str) -> Sentence:
    """One caption; `where` is the file and line that errors name. Errors as in `parse_sentences`."""
    if not line.strip():
        raise DataError(where, "expected a caption, got an empty line")
    pieces: list[str] = []
    mentions: list[Mention] = []
    position = length = 0
    while (opening := line.find("[", position)) >= 0:
        mark = _MARK.match(line, opening)
        if mark is None:
            raise DataError(*_what_is_wrong(line, opening, where))
        chain, marks, phrase = mark.groups()
        types = tuple(marks[1:].split("/"))
        if not _KNOWN.issuperset(types) or (chain == "0") != ("notvisual" in types):
            raise DataError(f"{where}:{opening + 1}", _wrong_types(chain, types))
        plain = line[position:opening]
        if "]" in plain:
            break
        start = length + len(plain)
        length = start + len(phrase)
        pieces += (plain, phrase)
        mentions.append(Mention(start, length, chain, types))
        position = mark.end()
    stray = line.find("]", position)
    if stray >= 0:
        raise DataError(f"{where}:{stray + 1}", f"']' closes no bracket, after {line[max(0, stray - 40) : stray]!r}")
    return Sentence("".join([*pieces, line[position:]]), tuple(mentions))


def _what_is_wrong(line: str, opening: int, where: str) -> tuple[str, str]:
    place = f"{where}:{opening + 1}"
    shown = repr(line[opening : opening + 40])
    end = re.compile(r"[\[\]]").search(line, opening + 1)
    if end is None or end.group() == "[":
        return place, f"expected ']' before {'another bracket' if end else 'the end of the line'}, got {shown}"
    return place, f"expected '[/EN#chain/type words]', got {shown}"


def _wrong_types(chain: str, types: tuple[str, ...]) -> str:
    if unknown := [kind for kind in types if kind not in TYPES]:
        return f"expected types of {TYPES}, got {unknown[0]!r}"
    return f"expected chain 0 and type notvisual together, got chain {chain}, types {types}"


class _Wrong(Exception):
    """What is wrong with an element, before it is known where in which file it is."""

    def __init__(self, node: Element, message: str) -> None:
        super().__init__(node, message)
        self.node, self.message = node, message


def parse_annotation(text: str, name: str) -> Annotation:
    """The annotation of an image.

    Args:
        text: the XML file's text.
        name: what errors call the file.

    Raises:
        DataError: the XML is malformed or has a document type; an element is missing, doubled or no number; an object
            has neither a box nor a flag; a box has no area (`xmin >= xmax`) or does not lie in the image.
    """
    root = None
    try:
        # No annotation has a document type, so none is read, and without one no entity can be defined.
        root = defusedxml.ElementTree.fromstring(text, forbid_dtd=True)
        return _annotation(root)
    except ParseError as error:
        line, column = error.position
        message = str(error).rpartition(": line ")[0]
        raise DataError(f"{name}:{line}:{column + 1}", f"expected well-formed XML, got {message}") from None
    except defusedxml.DefusedXmlException as error:
        raise DataError(name, f"expected XML without document type and entities, got {error}") from None
    except _Wrong as error:
        line, column = _place(text, list(root.iter()).index(error.node))
        raise DataError(f"{name}:{line}:{column}", error.message) from None


def _place(text: str, number: int) -> tuple[int, int]:
    """Line and column at which the `number`-th element starts; only an error needs it, so it costs a second pass."""
    places: list[tuple[int, int]] = []

    class Starts(ContentHandler):
        def startElement(self, name: str, attrs: object) -> None:
            places.append((self._locator.getLineNumber(), self._locator.getColumnNumber() + 1))

    defusedxml.sax.parseString(text.encode(), Starts(), forbid_dtd=True)
    return places[number]


def _annotation(root: Element) -> Annotation:
    if root.tag != "annotation":
        raise _Wrong(root, f"expected <annotation>, got <{root.tag}>")
    size = _only(root, "size")
    width, height, depth = _numbers(size, ("width", "height", "depth"))
    if width < 1 or height < 1:
        raise _Wrong(size, f"expected a size of at least 1 x 1, got {width} x {height}")
    objects = tuple(_object(node, number, width, height) for number, node in enumerate(root.findall("object"), 1))
    return Annotation((_only(root, "filename").text or "").strip(), width, height, objects, depth)


def _object(node: Element, number: int, width: int, height: int) -> Object:
    chains = tuple((name.text or "").strip() for name in node.findall("name"))
    if not chains:
        raise _Wrong(node, f"object {number}: expected a <name> with a chain id, got none")
    for chain in chains:
        if not _CHAIN.fullmatch(chain):
            raise _Wrong(node, f"object {number}: name: expected a chain id (1 or more), got {chain!r}")
    tags = {child.tag for child in node} & {"bndbox", "scene", "nobndbox"}
    if tags == {"bndbox"}:
        return Object(chains, _box(_only(node, "bndbox"), number, width, height))
    if tags != {"scene", "nobndbox"}:
        got = " and ".join(f"<{tag}>" for tag in sorted(tags)) or "none of them"
        raise _Wrong(node, f"object {number}: expected either <bndbox> or <scene> and <nobndbox>, got {got}")
    flags = scene, nobndbox = _numbers(node, ("scene", "nobndbox"))
    if flags not in ((0, 1), (1, 0), (1, 1)):
        raise _Wrong(node, f"object {number}: expected scene and nobndbox of 0 or 1, at least one of 1, got {flags}")
    return Object(chains, None, scene == 1, nobndbox == 1)


def _box(node: Element, number: int, width: int, height: int) -> Box:
    x1, y1, x2, y2 = box = _numbers(node, ("xmin", "ymin", "xmax", "ymax"))
    if x1 >= x2 or y1 >= y2:
        raise _Wrong(node, f"object {number}: bndbox: expected xmin < xmax and ymin < ymax, got {box}, without area")
    if x1 < 1 or y1 < 1 or x2 > width or y2 > height:
        raise _Wrong(node, f"object {number}: bndbox: expected a box inside (1, 1, {width}, {height}), got {box}")
    return box


def _only(node: Element, tag: str) -> Element:
    found = node.findall(tag)
    if len(found) != 1:
        raise _Wrong(node, f"<{node.tag}>: expected one <{tag}>, got {len(found)}")
    return found[0]


def _numbers(node: Element, tags: tuple[str, ...]) -> tuple[int, ...]:
    """The whole numbers in children with these tags, of which there must be one each."""
    numbers = []
    for tag in tags:
        found = node.findall(tag)
        if len(found) != 1:
            raise _Wrong(node, f"<{node.tag}>: expected one <{tag}>, got {len(found)}")
        text = (found[0].text or "").strip()
        if not _NUMBER.fullmatch(text):
            raise _Wrong(found[0], f"<{tag}>: expected a whole number, got {text[:40]!r}")
        numbers.append(int(text))
    return tuple(numbers)
