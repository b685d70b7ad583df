"""Emoji Entities as samples: each record is written as Flickr30k Entities writes an image, and read by its reader.

So what is read from the book's own world went through the same code as the real data. Thing k of a scene is chain
k + 1; the setting is a chain without a box; a group of things ("two people") is a chain that shares their boxes.
"""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crosslook.data import bottom_up, flickr30k
from crosslook.data.emoji import records
from crosslook.data.emoji.scene import from_record
from crosslook.data.emoji.trees import parse, phrases, referents
from crosslook.data.emoji.trees import text as words
from crosslook.data.emoji.world import FOLDER, HEIGHT, WIDTH, categories
from crosslook.data.flickr30k import Detector
from crosslook.data.flickr30k_format import Annotation, Mention, Object, Sentence
from crosslook.data.flickr30k_writer import annotation_xml, sentences_text, write
from crosslook.progress import track

if TYPE_CHECKING:
    from PIL import Image


TEXTS = ("captions", "paragraph")


def load(
    split: str, *, regions: str | Detector = "detector", text: str = "captions", folder: Path = FOLDER
) -> flickr30k.Flickr30k:
    """The captions of a split; images are drawn when they are asked for.

    Args:
        split: `"train"`, `"val"` or `"test"`.
        text: `"captions"`: five of each image, a sentence each. `"paragraph"`: one of several sentences.
        regions: `"detector"`: 36 proposals an image, as the trained detector sees them. `"gold"`: the boxes of all
            things. Or regions by image id, as a function or mapping, e.g. `regions.detector_regions(split, degrade=2)`.
        folder: where `scenes/` lies.

    Raises:
        ValueError: another split, text or kind of regions, or a record that is not one (named).
    """
    if text not in TEXTS:
        raise ValueError(f"text: expected one of {', '.join(TEXTS)}, got {text!r}")
    found = records.read(split, folder)
    if regions == "detector":
        # Here, because the features take a moment to load and "gold" needs none.
        from crosslook.data.emoji.regions import detector_regions

        regions = detector_regions(split)
    return from_records(found, split, regions, text)


def from_records(found: list[dict], split: str, regions: str | Detector, text: str = "captions") -> flickr30k.Flickr30k:
    """The captions of records (`records.read`), through Flickr30k Entities' files and back, all of it in memory."""
    texts = {f"{split}.txt": "".join(f"{record['id']}\n" for record in found)}
    for image_id, annotation, sentences in (described(record, text) for record in found):
        texts[f"Annotations/{image_id}.xml"] = annotation_xml(annotation)
        texts[f"Sentences/{image_id}.txt"] = sentences_text(sentences)
    drawn = partial(_drawn, {record["id"]: record for record in found})
    return flickr30k.read(texts, split, images=drawn, regions=regions)


def _drawn(by_id: dict[str, dict], image_id: str) -> "Image.Image":
    from crosslook.data.emoji.draw import draw

    return draw(from_record(by_id[image_id]))


def described(record: dict, text: str = "captions") -> tuple[str, Annotation, tuple[Sentence, ...]]:
    """A record as (image id, annotation, captions) of Flickr30k Entities, which is what its writer takes.

    A paragraph is one caption: its sentences with blanks between them.

    Raises ValueError naming the record and what is wrong in it.
    """
    scene = from_record(record)
    kinds = [(categories()[thing.category].type,) for thing in scene.things]
    setting = str(len(kinds) + 1)
    groups: dict[tuple[int, ...], str] = {}

    def refers(mark: str) -> tuple[str, tuple[str, ...]]:
        """The chain and the types of a phrase with this mark."""
        things = tuple(sorted(set(referents(mark))))
        if mark == "0":
            return "0", ("notvisual",)
        if mark == "S":
            return setting, ("scene",)
        if things[-1] >= len(kinds):
            raise ValueError(f"expected one of {len(kinds)} things, got #{mark}")
        if len(things) == 1:
            return str(things[0] + 1), kinds[things[0]]
        chain = groups.setdefault(things, str(len(kinds) + 2 + len(groups)))
        return chain, tuple(sorted({kind for thing in things for kind in kinds[thing]}))

    sentences = []
    for number, line in enumerate(record[text], 1):
        try:
            tree = parse(line)
            mentions = tuple(Mention(start, end, *refers(mark)) for start, end, mark in phrases(tree))
        except ValueError as error:
            what = "caption" if text == "captions" else "sentence"
            raise ValueError(f"scene {scene.id!r}: {what} {number}: {error}") from error
        sentences.append(Sentence(words(tree), mentions))
    if text == "paragraph":
        sentences = [_joined(sentences)]
    boxed = [
        Object((str(k + 1), *(chain for things, chain in groups.items() if k in things)), (x1 + 1, y1 + 1, x2, y2))
        for k, thing in enumerate(scene.things)
        for x1, y1, x2, y2 in thing.boxes
    ]
    objects = (*boxed, Object((setting,), scene=True))
    return scene.id, Annotation(f"{scene.id}.png", WIDTH, HEIGHT, objects), tuple(sentences)


def _joined(sentences: list[Sentence]) -> Sentence:
    """Sentences as one, with blanks between them."""
    mentions, start = [], 0
    for sentence in sentences:
        mentions += [replace(each, start=each.start + start, end=each.end + start) for each in sentence.mentions]
        start += len(sentence.text) + 1
    return Sentence(" ".join(sentence.text for sentence in sentences), tuple(mentions))


def export(split: str, folder: str | os.PathLike, *, images: bool = False, features: bool = False) -> None:
    """Write a split as a folder in the layout of Flickr30k Entities, for any program that reads that.

    Args:
        split: `"train"`, `"val"` or `"test"`.
        folder: gets `Annotations/`, `Sentences/` and `{split}.txt`.
        images: also `images/ID.png`; those that are there already are not drawn again.
        features: also `{split}_obj36.tsv`, the detector's regions in the form of bottom-up attention, and vocabularies.
    """
    folder = Path(folder)
    found = records.read(split)
    write(folder, split, map(described, track(found, desc=f"writing {split}", total=len(found))))
    if images:
        _export_images(folder / "images", found)
    if features:
        _export_features(folder, split, found)


def _export_images(folder: Path, found: list[dict]) -> None:
    from crosslook.data.emoji.draw import draw

    folder.mkdir(exist_ok=True)
    for record in track(found, desc="drawing", total=len(found)):
        path = folder / f"{record['id']}.png"
        if not path.is_file():
            unfinished = path.with_suffix(".part")
            draw(from_record(record)).save(unfinished, format="PNG")
            os.replace(unfinished, path)


def _export_features(folder: Path, split: str, found: list[dict]) -> None:
    from crosslook.data.detector import heads
    from crosslook.data.emoji.regions import detector_regions

    regions = detector_regions(split)
    bottom_up.write(
        folder / f"{split}_obj36.tsv",
        (
            bottom_up.from_regions(record["id"], WIDTH, HEIGHT, regions[record["id"]], heads().attributes)
            for record in track(found, desc="features", total=len(found))
        ),
    )
    for name, known in (("objects", heads().classes), ("attributes", heads().attributes)):
        (folder / f"{name}_vocab.txt").write_text("".join(f"{word}\n" for word in known), encoding="utf-8")
