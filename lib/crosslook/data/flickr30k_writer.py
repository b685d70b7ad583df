"""Write annotations and captions in the layout of Flickr30k Entities, down to the tabs."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from crosslook.data.flickr30k_format import Annotation, Mention, Object, Sentence, parse_annotation, parse_sentence
from crosslook.data.sample import Sample


def annotation_xml(annotation: Annotation) -> str:
    """The text of `Annotations/ID.xml`. It is not checked here; `write` and the reader do that."""
    lines = [
        "<annotation>",
        f"\t<filename>{escape(annotation.filename)}</filename>",
        "\t<size>",
        f"\t\t<width>{annotation.width}</width>",
        f"\t\t<height>{annotation.height}</height>",
        f"\t\t<depth>{annotation.depth}</depth>",
        "\t</size>",
    ]
    for thing in annotation.objects:
        lines += ["\t<object>", *(f"\t\t<name>{escape(chain)}</name>" for chain in thing.chains)]
        if thing.box is None:
            lines += [f"\t\t<scene>{thing.scene:d}</scene>", f"\t\t<nobndbox>{thing.nobndbox:d}</nobndbox>"]
        else:
            edges = zip(("xmin", "ymin", "xmax", "ymax"), thing.box, strict=True)
            lines += ["\t\t<bndbox>", *(f"\t\t\t<{tag}>{edge}</{tag}>" for tag, edge in edges), "\t\t</bndbox>"]
        lines.append("\t</object>")
    return "\n".join([*lines, "</annotation>"])


def sentences_text(sentences: Sequence[Sentence]) -> str:
    """The text of `Sentences/ID.txt`.

    Raises ValueError for a caption that the format cannot hold: one with square brackets or line ends, or with mentions
    that are empty, begin or end with a space, overlap, or are of an unknown type (DataError).
    """
    return "".join(f"{_marked(sentence)}\n" for sentence in sentences)


def _marked(sentence: Sentence) -> str:
    position, parts = 0, []
    for mention in sentence.mentions:
        words = sentence.text[mention.start : mention.end]
        parts += [sentence.text[position : mention.start], f"[/EN#{mention.chain}/{'/'.join(mention.types)} {words}]"]
        position = mention.end
    line = "".join([*parts, sentence.text[position:]])
    # Reading it back finds everything that the format cannot hold.
    if set("\r\n") & set(line) or parse_sentence(line, f"caption {sentence.text[:40]!r}") != sentence:
        raise ValueError(f"expected a caption that can be marked, got {sentence}")
    return line


def write(folder: str | os.PathLike, split: str, images: Iterable[tuple[str, Annotation, Sequence[Sentence]]]) -> None:
    """Write (image id, annotation, captions) as `Annotations/`, `Sentences/` and `{split}.txt` in `folder`.

    The split list comes last, so that a folder with one is complete; files of the same name are replaced.

    Raises ValueError for what could not be read back: DataError naming the file for a box without area or outside the
    image, an object without a chain; and as `sentences_text` does.
    """
    folder = Path(folder)
    for name in ("Annotations", "Sentences"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ids = []
    for image_id, annotation, sentences in images:
        xml, path = annotation_xml(annotation), folder / "Annotations" / f"{image_id}.xml"
        if parse_annotation(xml, str(path)) != annotation:
            raise ValueError(f"{path}: expected an annotation that can be read back, got {annotation}")
        _replace(path, xml)
        _replace(folder / "Sentences" / f"{image_id}.txt", sentences_text(sentences))
        ids.append(image_id)
    _replace(folder / f"{split}.txt", "".join(f"{image_id}\n" for image_id in ids))


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8", newline="\n")
    os.replace(unfinished, path)


def from_samples(
    samples: Iterable[Sample], suffix: str = ".jpg"
) -> Iterator[tuple[str, Annotation, tuple[Sentence, ...]]]:
    """What `write` takes, from samples; the captions of an image must follow each other.

    Only what the phrases hold is written: boxes are those of the chains that are mentioned, and a chain without boxes
    is a scene when one of its types says so. Boxes keep the order of the regions where these are the annotated ones.
    `suffix` is the ending of the images' names.

    Raises ValueError when a box is not in whole pixels or a chain has other boxes in another caption.
    """
    for image_id, group in groupby(samples, key=lambda sample: sample.image_id):
        captions = tuple(group)
        sentences = tuple(
            Sentence(s.caption, tuple(Mention(p.start, p.end, p.chain, p.types) for p in s.phrases)) for s in captions
        )
        first = captions[0]
        yield image_id, Annotation(f"{image_id}{suffix}", first.width, first.height, _objects(captions)), sentences


def _objects(captions: Sequence[Sample]) -> tuple[Object, ...]:
    boxes: dict[str, tuple] = {}
    types: dict[str, set[str]] = {}
    for sample in captions:
        for phrase in sample.phrases:
            if phrase.chain == "0":
                continue
            where = f"image {sample.image_id}: {phrase.text!r} (chain {phrase.chain})"
            edges = phrase.boxes + 1
            if not np.array_equal(edges, np.round(edges)):
                raise ValueError(f"{where}: expected boxes in whole pixels, got {phrase.boxes.tolist()}")
            found = tuple(tuple(int(edge) for edge in box) for box in edges)
            if boxes.setdefault(phrase.chain, found) != found:
                raise ValueError(f"{where}: expected boxes {boxes[phrase.chain]} as in another caption, got {found}")
            types.setdefault(phrase.chain, set()).update(phrase.types)
    # A box that several chains have is one object with several names; one that a chain has twice stays two.
    owners: dict[tuple, list[str]] = {}
    for chain, found in boxes.items():
        for place, box in enumerate(found):
            owners.setdefault((box, found[:place].count(box)), []).append(chain)
    regions = [tuple(box) for box in (captions[0].regions.boxes + 1).tolist()]
    order = {box: place for place, box in reversed(list(enumerate(regions)))}
    boxed = [
        Object(tuple(owners[key]), key[0]) for key in sorted(owners, key=lambda key: order.get(key[0], len(order)))
    ]
    flags = [(chain, "scene" in types[chain]) for chain, found in boxes.items() if not found]
    return (*boxed, *(Object((chain,), None, scene, not scene) for chain, scene in flags))
