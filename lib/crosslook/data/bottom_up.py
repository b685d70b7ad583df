"""Regions in the TSV form of bottom-up attention (Anderson et al. 2018) that LXMERT and its kin are given.

A line is an image: `img_id img_h img_w objects_id objects_conf attrs_id attrs_conf num_boxes boxes features`, split by
tabs; the arrays are base64 of little-endian bytes, ids int64 and the rest float32. Boxes are `xyxy` in pixels from 0.
"""

import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from crosslook.data.errors import DataError
from crosslook.data.sample import Regions, first_name
from crosslook.progress import track

FIELDS = (
    *("img_id", "img_h", "img_w", "objects_id", "objects_conf", "attrs_id", "attrs_conf"),
    *("num_boxes", "boxes", "features"),
)
IDS = ("objects_id", "attrs_id")
LONGEST = 2**26
"""The most bytes of a line: 100 boxes of 2,048 features take one million."""
LONG = 2**28  # bytes of a file that takes seconds to index
EDGE = 1.0
"""By how many pixels a box may reach beyond its image: extractors clip to different edges, and round."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in an image: one line of the file."""

    image_id: str
    width: int
    height: int
    objects_id: Int64[np.ndarray, " region"]
    objects_conf: Float32[np.ndarray, " region"]
    attrs_id: Int64[np.ndarray, " region"]
    attrs_conf: Float32[np.ndarray, " region"]
    boxes: Float32[np.ndarray, "region 4"]
    features: Float32[np.ndarray, "region dim"]


def read(path: str | os.PathLike) -> Iterator[Detections]:
    """The images of a file, one at a time.

    Raises:
        DataError: names line and field: another number of fields, no base64, another number of bytes, no boxes, a value
            that is not finite, a negative id, a box without area or outside of its image.
    """
    for place, _, line in _lines(Path(path)):
        yield _parse(line, place)


def write(path: str | os.PathLike, images: Iterable[Detections]) -> None:
    """Write images as such a file, which is replaced only when all are written.

    Raises DataError, as `read` would, for what could not be read back.
    """
    path = Path(path)
    unfinished = path.with_name(path.name + ".part")
    with open(unfinished, "wb") as file:
        for number, image in enumerate(images, 1):
            line = _line(image)
            _parse(line, f"{path}:{number}")
            file.write(line)
    os.replace(unfinished, path)


class Table(Mapping[str, Detections]):
    """A file by image id. Only where each line starts is kept in memory; a line is read when it is asked for.

    `objects` and `attributes` are the vocabularies in the file's folder (`objects_vocab.txt`, `attributes_vocab.txt`),
    None where there is no such file. Raises DataError for an image that occurs twice, and as `read` does.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._places: dict[str, tuple[str, int, tuple[int, int]]] = {}
        lines = _lines(self.path)
        if self.path.stat().st_size > LONG:
            lines = track(lines, desc=f"indexing {self.path.name}")
        for place, offset, line in lines:
            name, height, width, *_ = _fields(line, place)
            image_id = name.decode("utf-8", "replace")
            if image_id in self._places:
                raise DataError(place, f"img_id: image {image_id!r} is also at {self.where(image_id)}")
            size = _count(width, "img_w", place), _count(height, "img_h", place)
            self._places[image_id] = place, offset, size
        self.objects = vocabulary(self.path.with_name("objects_vocab.txt"))
        self.attributes = vocabulary(self.path.with_name("attributes_vocab.txt"))

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, image_id: str) -> Detections:
        place, offset, _ = self._places[image_id]
        with open(self.path, "rb") as file:
            file.seek(offset)
            return _parse(file.readline(LONGEST), place)

    def where(self, image_id: str) -> str:
        """The file and line of an image, or the file alone where it has none."""
        return self._places[image_id][0] if image_id in self._places else str(self.path)

    def size(self, image_id: str) -> tuple[int, int]:
        """(width, height) of an image in pixels. Raises DataError when it is not in the file."""
        if image_id not in self._places:
            raise DataError(str(self.path), f"expected regions of image {image_id}, there are none")
        return self._places[image_id][2]

    def regions(self, image_id: str) -> Regions:
        """The regions of an image, named with the file's vocabularies. Raises DataError as `read` does."""
        try:
            return to_regions(self[image_id], self.objects, self.attributes)
        except IndexError as error:
            raise DataError(self.where(image_id), str(error)) from None


def vocabulary(path: Path) -> tuple[str, ...] | None:
    """The classes of a vocabulary file, one a line, with all their names. None without a file."""
    if not path.is_file():
        return None
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())


def to_regions(
    image: Detections, objects: Sequence[str] | None = None, attributes: Sequence[str] | None = None
) -> Regions:
    """Detections as regions; the vocabularies name classes and attributes. Only the best of each is in the file.

    Raises IndexError naming the vocabulary when an id is not in it.
    """
    for field, words in (("objects_id", objects), ("attrs_id", attributes)):
        if words is not None and getattr(image, field).max() >= len(words):
            raise IndexError(f"{field}: expected ids below {len(words)}, got {getattr(image, field).max()}")
    named = zip(image.attrs_id, image.attrs_conf.tolist(), strict=True)
    return Regions(
        boxes=image.boxes,
        labels=None if objects is None else tuple(first_name(objects[i]) for i in image.objects_id),
        attributes=None if attributes is None else tuple(((first_name(attributes[i]), conf),) for i, conf in named),
        features=image.features,
        classes=None if objects is None else tuple(objects),
    )


def from_regions(image_id: str, width: int, height: int, regions: Regions, attributes: Sequence[str]) -> Detections:
    """Regions as a line of the file: of the class distribution and the attributes only the best is kept.

    A region without an attribute gets the first one of the vocabulary `attributes`, with confidence 0.

    Raises ValueError where `regions` has no features, labels, classes, class distribution or attributes.
    """
    needed = ("features", "labels", "classes", "class_probs", "attributes")
    if missing := [name for name in needed if getattr(regions, name) is None]:
        raise ValueError(f"regions of image {image_id}: expected {', '.join(needed)}, got no {', '.join(missing)}")
    classes, known = ([first_name(names) for names in each] for each in (regions.classes, attributes))
    objects_id = np.array([classes.index(label) for label in regions.labels], dtype=np.int64)
    best = [max(found, key=lambda pair: pair[1], default=(known[0], 0.0)) for found in regions.attributes]
    return Detections(
        image_id=image_id,
        width=width,
        height=height,
        objects_id=objects_id,
        objects_conf=regions.class_probs[np.arange(len(objects_id)), objects_id],
        attrs_id=np.array([known.index(name) for name, _ in best], dtype=np.int64),
        attrs_conf=np.array([confidence for _, confidence in best], dtype=np.float32),
        boxes=regions.boxes,
        features=regions.features,
    )


def _lines(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """(file and number, offset, bytes) of every line."""
    with open(path, "rb") as file:
        number = offset = 0
        while line := _line_of(file, f"{path}:{number + 1}"):
            number += 1
            yield f"{path}:{number}", offset, line
            offset += len(line)


def _line_of(file: BufferedIOBase, place: str) -> bytes:
    line = file.readline(LONGEST)
    if len(line) == LONGEST:
        raise DataError(place, f"expected a line of less than {LONGEST:,} bytes, got more")
    return line


def _fields(line: bytes, place: str) -> list[bytes]:
    fields = line.rstrip(b"\r\n").split(b"\t")
    if len(fields) != len(FIELDS):
        raise DataError(place, f"expected {len(FIELDS)} fields, {' '.join(FIELDS)}, got {len(fields)}")
    return fields


def _parse(line: bytes, place: str) -> Detections:
    row = dict(zip(FIELDS, _fields(line, place), strict=True))
    width, height, n = (_count(row[name], name, place) for name in ("img_w", "img_h", "num_boxes"))
    image = Detections(
        image_id=row["img_id"].decode("utf-8", "replace"),
        width=width,
        height=height,
        **{name: _array(row, name, n, 1, place)[:, 0] for name in (*IDS, "objects_conf", "attrs_conf")},
        boxes=_array(row, "boxes", n, 4, place),
        features=_array(row, "features", n, None, place),
    )
    x1, y1, x2, y2 = image.boxes.T
    inside = (x1 >= -EDGE) & (y1 >= -EDGE) & (x2 <= width + EDGE) & (y2 <= height + EDGE) & (x1 < x2) & (y1 < y2)
    if not inside.all():
        worst = int(np.argmin(inside))
        message = f"expected an area inside (0, 0, {width}, {height}), got {image.boxes[worst].tolist()}"
        raise DataError(place, f"boxes: box {worst + 1}: {message}")
    return image


def _count(text: bytes, field: str, place: str) -> int:
    if not (text.isdigit() and len(text) < 10 and int(text) > 0):
        raise DataError(
            place, f"{field}: expected a whole number above 0, got {text[:40].decode('utf-8', 'replace')!r}"
        )
    return int(text)


def _array(row: dict[str, bytes], field: str, n: int, width: int | None, place: str) -> np.ndarray:
    """`(n, width)`, or `(n, as many as there are)`; a copy, which may be written to."""
    kind = np.dtype("<i8" if field in IDS else "<f4")
    try:
        raw = base64.b64decode(row[field], validate=True)
    except binascii.Error as error:
        raise DataError(place, f"{field}: expected base64 ({error})") from None
    size = n * kind.itemsize * (width or 1)
    if len(raw) != size if width else (len(raw) % size or not raw):
        expected = f"{size} bytes" if width else f"a multiple of {size} bytes"
        raise DataError(place, f"{field}: expected {expected} for {n} boxes, got {len(raw)}")
    values = np.frombuffer(raw, dtype=kind).reshape(n, -1)
    wrong = values < 0 if field in IDS else ~np.isfinite(values)
    if wrong.any():
        box = int(wrong.any(1).argmax())
        what = "an id of 0 or more" if field in IDS else "a finite number"
        raise DataError(place, f"{field}: box {box + 1}: expected {what}, got {values[box][wrong[box]][0]}")
    return values.astype(kind.newbyteorder("="))


def _line(image: Detections) -> bytes:
    def encode(field: str) -> bytes:
        return base64.b64encode(getattr(image, field).astype("<i8" if field in IDS else "<f4").tobytes())

    row = {
        "img_id": image.image_id.encode(),
        "img_h": b"%d" % image.height,
        "img_w": b"%d" % image.width,
        "num_boxes": b"%d" % len(image.boxes),
    }
    return b"\t".join(row[field] if field in row else encode(field) for field in FIELDS) + b"\n"
