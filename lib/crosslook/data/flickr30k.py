"""Read Flickr30k Entities (Plummer et al. 2015): a folder or archive in its layout becomes a sequence of samples.

Annotations/ID.xml   boxes and scene flags by chain        Sentences/ID.txt   five captions with marked phrases
train.txt val.txt test.txt   image ids, one a line         images/ID.jpg      the photographs, if you have them
"""

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import overload

import numpy as np

from crosslook.data.archive import Files, open_files
from crosslook.data.bottom_up import Table
from crosslook.data.errors import DataError
from crosslook.data.flickr30k_format import Annotation, parse_annotation, parse_sentence, parse_sentences, split_lines
from crosslook.data.images import Picture, checked, pictures
from crosslook.data.sample import Phrase, Regions, Sample
from crosslook.progress import track

__all__ = ["DataError", "Flickr30k", "link", "parse_annotation", "parse_sentences", "read"]

FOLDERS = ("Annotations", "Sentences")
WORTH_A_BAR = 1000  # so many files take about a second
OVERLAP = 0.5
"""A detected region shows a phrase when its IoU with one of the phrase's boxes is at least this."""

Detector = Callable[[str], Regions] | Mapping[str, Regions]
"""Gives the regions of an image id."""

_ID = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image's annotation as it is kept: small, since there may be tens of thousands."""

    image_id: str
    width: int
    height: int
    boxes: np.ndarray  # (region, 4) int32, as in the file
    chains: tuple[tuple[str, ...], ...]  # of every box
    boxless: frozenset[str]  # the chains that have flags in the place of boxes
    lines: tuple[str, ...]  # captions with their marks


class Flickr30k(Sequence[Sample]):
    """Samples in the order of the split, one for each caption; each is made when it is asked for.

    `skipped` holds the errors of the images that were left out (`on_error="skip"`). A slice is a `Flickr30k` too.
    """

    def __init__(
        self,
        places: Sequence[tuple[_Entry, int]],
        picture: Picture | None,
        detector: Callable[[str], Regions] | None,
        skipped: tuple[DataError, ...] = (),
    ) -> None:
        self._places = places
        self._picture = picture
        self._detector = detector
        self.skipped = skipped

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Flickr30k": ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return Flickr30k(self._places[index], self._picture, self._detector, self.skipped)
        return _sample(*self._places[index], self._picture, self._detector)

    def __repr__(self) -> str:
        skipped = f", {len(self.skipped)} images skipped" if self.skipped else ""
        return f"<Flickr30k: {len(self):,} captions of {len(self.image_ids):,} images{skipped}>"

    @property
    def image_ids(self) -> tuple[str, ...]:
        """The images in order."""
        return tuple(dict.fromkeys(entry.image_id for entry, _ in self._places))


def _sample(entry: _Entry, index: int, picture: Picture | None, detector: Callable[[str], Regions] | None) -> Sample:
    sentence = parse_sentence(entry.lines[index], f"Sentences/{entry.image_id}.txt:{index + 1}")
    gold = entry.boxes.astype(np.float32) - 1
    links = tuple(
        frozenset(i for i, chains in enumerate(entry.chains) if mention.chain in chains)
        for mention in sentence.mentions
    )
    phrases = tuple(
        Phrase(
            start=mention.start,
            end=mention.end,
            text=sentence.text[mention.start : mention.end],
            types=mention.types,
            chain=mention.chain,
            boxes=gold[sorted(found)],
        )
        for mention, found in zip(sentence.mentions, links, strict=True)
    )
    regions = Regions(gold) if detector is None else detector(entry.image_id)
    return Sample(
        image_id=entry.image_id,
        caption_index=index,
        caption=sentence.text,
        phrases=phrases,
        regions=regions,
        links=links if detector is None else link(phrases, regions),
        width=entry.width,
        height=entry.height,
        picture=picture and partial(checked, picture, entry.image_id, (entry.width, entry.height)),
    )


def link(phrases: Sequence[Phrase], regions: Regions, threshold: float = OVERLAP) -> tuple[frozenset[int], ...]:
    """For each phrase, the regions with an IoU (inclusive pixels) of at least `threshold` with one of its boxes."""
    import torch

    from crosslook.boxes import iou

    gold = np.concatenate([np.empty((0, 4), dtype=np.float32), *(phrase.boxes for phrase in phrases)])
    shown = (iou(torch.tensor(gold), torch.tensor(regions.boxes), inclusive=True) >= threshold).numpy()
    first_of = np.cumsum([0, *(len(phrase.boxes) for phrase in phrases)])
    return tuple(frozenset(np.flatnonzero(shown[i:j].any(0)).tolist()) for i, j in pairwise(first_of))


def read(
    source: str | os.PathLike | Mapping[str, str],
    split: str | None = None,
    *,
    images: str | os.PathLike | Picture | None = None,
    regions: str | Detector | None = None,
    features: str | os.PathLike | None = None,
    on_error: str = "raise",
) -> Flickr30k:
    """A data set in the layout of Flickr30k Entities.

    Args:
        source: a folder; a zip or tar archive, which is read in place; or a mapping from file names to texts.
        split: the image ids are the lines of `{split}.txt`; None takes every image that has files.
        images: the folder of photographs (default: `images` or `flickr30k-images` in or beside `source`), or a function
            from image id to image. Where there is no photograph `sample.image` is None.
        regions: `"gold"` (the default): the annotated boxes, with exact links. `"detector"` (the default with
            `features`): those of `features`. Or regions by image id, as a function or mapping. Detected regions are
            linked to phrases by `link`.
        features: a TSV file of bottom-up attention (`crosslook.data.bottom_up`), with vocabularies beside it.
        on_error: `"raise"`, or `"skip"`: images whose files are malformed or missing are left out, reported in one
            warning, and their errors kept in `.skipped`.

    Raises:
        DataError: names file, place and what was expected. A source, split list or feature file that cannot be read is
            an error in any case.
        ValueError: an argument has none of the values above.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error: expected 'raise' or 'skip', got {on_error!r}")
    table = _table(regions, features)
    errors: dict[str, DataError] = {}
    with open_files(source, FOLDERS) as files:
        wanted = _ids(files, split)
        entries = _entries(files, wanted, errors, on_error)
    if table is not None:
        entries = list(_covered(entries, table, errors, on_error))
    if errors:
        first = next(iter(errors.values()))
        warnings.warn(f"skipped {len(errors):,} of {len(wanted):,} images; the first: {first}", stacklevel=2)
    places = [(entry, index) for entry in entries for index in range(len(entry.lines))]
    picture = images if callable(images) else pictures(source, images)
    return Flickr30k(places, picture, _detector(regions, table), tuple(errors.values()))


def _table(regions: str | Detector | None, features: str | os.PathLike | None) -> Table | None:
    if isinstance(regions, str) and regions not in ("gold", "detector"):
        raise ValueError(f"regions: expected 'gold', 'detector', a function or a mapping, got {regions!r}")
    if regions == "detector" and features is None:
        raise ValueError("regions: 'detector' needs features, the path of a TSV file")
    if features is None or regions == "gold":
        return None
    if not (regions is None or regions == "detector"):
        raise ValueError("regions: expected 'detector' or none together with features")
    return Table(features)


def _detector(regions: str | Detector | None, table: Table | None) -> Callable[[str], Regions] | None:
    if table is not None:
        return table.regions
    if regions is None or regions == "gold":
        return None
    return regions.__getitem__ if isinstance(regions, Mapping) else regions


def _ids(files: Files, split: str | None) -> list[str]:
    """The image ids of a split. They become file names, so nothing is taken for one that could lead elsewhere."""
    if split is None:
        # Whatever else lies in the folders (.DS_Store, ._7.xml) is no annotation.
        found = [re.fullmatch(rf"Annotations/({_ID})\.xml|Sentences/({_ID})\.txt", name) for name in files.names]
        return sorted({match[1] or match[2] for match in found if match})
    name = f"{split}.txt"
    if name not in files.names:
        lists = sorted(n.removesuffix(".txt") for n in files.names if n.endswith(".txt") and "/" not in n)
        raise DataError(files.where(name), f"expected a list of image ids; there are lists for {lists}")
    ids: dict[str, int] = {}
    for number, line in enumerate(split_lines(files.text(name)), 1):
        image_id = line.strip()
        if not re.fullmatch(_ID, image_id):
            raise DataError(f"{files.where(name)}:{number}", f"expected an image id, got {line[:40]!r}")
        if image_id in ids:
            raise DataError(f"{files.where(name)}:{number}", f"image {image_id} is also in line {ids[image_id]}")
        ids[image_id] = number
    return list(ids)


def _entries(files: Files, wanted: list[str], errors: dict[str, DataError], on_error: str) -> list[_Entry]:
    """The images' annotations in the order of `wanted`; what cannot be read is raised or put in `errors`."""
    stored = {name: place for place, name in enumerate(files.names)}

    def steps(folder: str, suffix: str, ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        # In the order of the archive, since a compressed tar cannot go back; first what is missing.
        names = sorted((f"{folder}/{i}{suffix}", i) for i in ids)
        names.sort(key=lambda pair: stored.get(pair[0], -1))
        return track(names, desc=f"reading {folder}") if len(names) > WORTH_A_BAR else iter(names)

    entries: dict[str, _Entry] = {}
    for name, image_id in steps("Annotations", ".xml", wanted):
        with _error_of(image_id, errors, on_error):
            annotation = parse_annotation(files.text(name), files.where(name))
            entries[image_id] = _entry(annotation, image_id, files.where(name))
    for name, image_id in steps("Sentences", ".txt", list(entries)):
        entry = entries.pop(image_id)
        with _error_of(image_id, errors, on_error):
            entries[image_id] = replace(entry, lines=_lines(files.text(name), files.where(name), entry))
    return [entries[image_id] for image_id in wanted if image_id in entries]


@contextmanager
def _error_of(image_id: str, errors: dict[str, DataError], on_error: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        if on_error == "raise":
            raise
        errors[image_id] = error


def _entry(annotation: Annotation, image_id: str, where: str) -> _Entry:
    if Path(annotation.filename).stem != image_id:
        raise DataError(where, f"filename: expected {image_id} with an ending, got {annotation.filename!r}")
    boxed = [thing for thing in annotation.objects if thing.box is not None]
    boxless = [thing for thing in annotation.objects if thing.box is None]
    return _Entry(
        image_id=image_id,
        width=annotation.width,
        height=annotation.height,
        boxes=np.array([thing.box for thing in boxed], dtype=np.int32).reshape(-1, 4),
        chains=tuple(thing.chains for thing in boxed),
        boxless=frozenset(chain for thing in boxless for chain in thing.chains),
        lines=(),
    )


def _lines(text: str, where: str, entry: _Entry) -> tuple[str, ...]:
    """The marked captions, when all of them can be read and all chains are those of the annotation."""
    known = {"0", *entry.boxless, *(chain for chains in entry.chains for chain in chains)}
    for number, sentence in enumerate(parse_sentences(text, where), 1):
        for mention in sentence.mentions:
            if mention.chain not in known:
                place = f"{where}:{number}: {sentence.text[mention.start : mention.end]!r}"
                raise DataError(place, f"expected a chain of Annotations/{entry.image_id}.xml, got {mention.chain}")
    return tuple(split_lines(text))


def _covered(entries: Iterable[_Entry], table: Table, errors: dict[str, DataError], on_error: str) -> Iterator[_Entry]:
    """The entries whose regions are in the table, for images of the same size."""
    for entry in entries:
        with _error_of(entry.image_id, errors, on_error):
            size = table.size(entry.image_id)
            if size != (entry.width, entry.height):
                sizes = f"{entry.width} x {entry.height} as in its annotation, got {size[0]} x {size[1]}"
                raise DataError(table.where(entry.image_id), f"expected an image of {sizes}")
            yield entry
