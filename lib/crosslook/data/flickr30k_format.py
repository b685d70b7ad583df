"""The two files that Flickr30k Entities has for an image: boxes by chain (XML), and captions with marked phrases.

Format: Plummer et al. (2015), Flickr30k Entities v1.0. Places in errors count lines, characters and objects from 1.
"""

import re
from dataclasses import dataclass
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler

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
        _check_types(chain, types, f"{where}:{opening + 1}")
        plain = line[position:opening]
        start = length + len(plain)
        length = start + len(phrase)
        pieces += (plain, phrase)
        mentions.append(Mention(start, length, chain, types))
        position = mark.end()
    pieces.append(line[position:])
    caption = "".join(pieces)
    if "]" in caption:
        raise DataError(f"{where}:{line.index(']') + 1}", _stray(line))
    return Sentence(caption, tuple(mentions))


def _stray(line: str) -> str:
    return f"']' closes no bracket (in {line[:60]!r})"


def _what_is_wrong(line: str, opening: int, where: str) -> tuple[str, str]:
    place = f"{where}:{opening + 1}"
    shown = repr(line[opening : opening + 40])
    end = re.compile(r"[\[\]]").search(line, opening + 1)
    if end is None or end.group() == "[":
        return place, f"expected ']' before {'another bracket' if end else 'the end of the line'}, got {shown}"
    return place, f"expected '[/EN#chain/type words]', got {shown}"


def _check_types(chain: str, types: tuple[str, ...], place: str) -> None:
    for kind in types:
        if kind not in TYPES:
            raise DataError(place, f"expected types of {TYPES}, got {kind!r}")
    if (chain == "0") != ("notvisual" in types):
        raise DataError(place, f"expected chain 0 and type notvisual together, got chain {chain}, types {types}")


class _Node:
    """An XML element, with the line and column where it starts."""

    __slots__ = ("children", "column", "line", "parts", "tag")

    def __init__(self, tag: str, line: int, column: int) -> None:
        self.tag, self.line, self.column = tag, line, column
        self.children: list[_Node] = []
        self.parts: list[str] = []


class _Tree(ContentHandler):
    """Collects elements; what it has seen hangs under `open[0]`."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [_Node("", 1, 1)]

    def startElement(self, name: str, attrs: object) -> None:
        node = _Node(name, self._locator.getLineNumber(), self._locator.getColumnNumber() + 1)
        self.open[-1].children.append(node)
        self.open.append(node)

    def endElement(self, name: str) -> None:
        self.open.pop()

    def characters(self, content: str) -> None:
        self.open[-1].parts.append(content)


class _Wrong(Exception):
    """What is wrong with an element, before it is known which file it is in."""

    def __init__(self, node: _Node, message: str) -> None:
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
    tree = _Tree()
    try:
        # No annotation has a document type, so none is read, and without one no entity can be defined.
        defusedxml.sax.parseString(text.encode(), tree, forbid_dtd=True)
        return _annotation(tree.open[0].children[0])
    except SAXParseException as error:
        place = f"{name}:{error.getLineNumber()}:{error.getColumnNumber() + 1}"
        raise DataError(place, f"expected well-formed XML, got {error.getMessage()}") from None
    except defusedxml.DefusedXmlException as error:
        raise DataError(name, f"expected XML without document type and entities, got {error}") from None
    except _Wrong as error:
        raise DataError(f"{name}:{error.node.line}:{error.node.column}", error.message) from None


def _annotation(root: _Node) -> Annotation:
    if root.tag != "annotation":
        raise _Wrong(root, f"expected <annotation>, got <{root.tag}>")
    size = _only(root, "size")
    width, height, depth = (_number(_only(size, tag)) for tag in ("width", "height", "depth"))
    if width < 1 or height < 1:
        raise _Wrong(size, f"expected a size of at least 1 x 1, got {width} x {height}")
    objects = [node for node in root.children if node.tag == "object"]
    return Annotation(
        filename=_text(_only(root, "filename")),
        width=width,
        height=height,
        objects=tuple(_object(node, f"object {number}", width, height) for number, node in enumerate(objects, 1)),
        depth=depth,
    )


def _object(node: _Node, which: str, width: int, height: int) -> Object:
    chains = tuple(_text(child) for child in node.children if child.tag == "name")
    if not chains:
        raise _Wrong(node, f"{which}: expected a <name> with a chain id, got none")
    for chain in chains:
        if not _CHAIN.fullmatch(chain):
            raise _Wrong(node, f"{which}: name: expected a chain id (1 or more), got {chain!r}")
    tags = {child.tag for child in node.children} & {"bndbox", "scene", "nobndbox"}
    if tags == {"bndbox"}:
        return Object(chains, _box(_only(node, "bndbox"), which, width, height))
    if tags != {"scene", "nobndbox"}:
        got = " and ".join(f"<{tag}>" for tag in sorted(tags)) or "none of them"
        raise _Wrong(node, f"{which}: expected either <bndbox> or <scene> and <nobndbox>, got {got}")
    flags = _text(_only(node, "scene")), _text(_only(node, "nobndbox"))
    if flags not in (("0", "1"), ("1", "0"), ("1", "1")):
        raise _Wrong(node, f"{which}: expected scene and nobndbox of 0 or 1, at least one of 1, got {flags}")
    return Object(chains, None, flags[0] == "1", flags[1] == "1")


def _box(node: _Node, which: str, width: int, height: int) -> Box:
    x1, y1, x2, y2 = box = tuple(_number(_only(node, tag)) for tag in ("xmin", "ymin", "xmax", "ymax"))
    if x1 >= x2 or y1 >= y2:
        raise _Wrong(node, f"{which}: bndbox: expected xmin < xmax and ymin < ymax, got {box}, which has no area")
    if x1 < 1 or y1 < 1 or x2 > width or y2 > height:
        raise _Wrong(node, f"{which}: bndbox: expected a box inside (1, 1, {width}, {height}), got {box}")
    return box


def _only(node: _Node, tag: str) -> _Node:
    found = [child for child in node.children if child.tag == tag]
    if len(found) != 1:
        raise _Wrong(node, f"<{node.tag}>: expected one <{tag}>, got {len(found)}")
    return found[0]


def _text(node: _Node) -> str:
    return "".join(node.parts).strip()


def _number(node: _Node) -> int:
    text = _text(node)
    if not _NUMBER.fullmatch(text):
        raise _Wrong(node, f"<{node.tag}>: expected a whole number, got {text[:40]!r}")
    return int(text)
