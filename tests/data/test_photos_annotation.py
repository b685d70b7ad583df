"""The three annotated photographs, read with nothing but an XML parser and a regular expression."""

import importlib.resources
import re
from collections import Counter

import pytest
from defusedxml import ElementTree
from PIL import Image

from crosslook.paths import DATA

FOLDER = DATA / "photos"
IDS = (FOLDER / "photos.txt").read_text().split()
FILES = {
    "grace_hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}
TYPES = {"people", "bodyparts", "clothing", "animals", "instruments", "vehicles", "scene", "other", "notvisual"}
PHRASE = re.compile(r"\[/EN#(\d+)((?:/\w+)+) ([^\[\]]+)\]")


def objects(image_id: str) -> list[tuple[list[str], tuple[int, ...] | None]]:
    """Chain ids and box of every object; None where the annotation says that there is none."""
    rows = []
    for node in ElementTree.parse(FOLDER / "Annotations" / f"{image_id}.xml").getroot().iter("object"):
        box = node.find("bndbox")
        edges = box is not None and tuple(int(box.findtext(edge)) for edge in ("xmin", "ymin", "xmax", "ymax"))
        if not edges:
            assert (node.findtext("scene"), node.findtext("nobndbox")) in {("1", "0"), ("0", "1")}
        rows.append(([name.text for name in node.iter("name")], edges or None))
    return rows


def captions(image_id: str) -> list[str]:
    return (FOLDER / "Sentences" / f"{image_id}.txt").read_text(encoding="utf-8").splitlines()


def test_the_split_lists_what_is_there():
    assert sorted(IDS) == sorted(FILES)
    for folder, suffix in (("Annotations", "xml"), ("Sentences", "txt")):
        assert sorted(file.stem for file in (FOLDER / folder).glob(f"*.{suffix}")) == sorted(IDS)


@pytest.mark.parametrize("image_id", IDS)
def test_boxes_lie_in_the_photograph(image_id):
    package, name = FILES[image_id]
    with importlib.resources.as_file(importlib.resources.files(package) / name) as path, Image.open(path) as image:
        width, height = image.size
    root = ElementTree.parse(FOLDER / "Annotations" / f"{image_id}.xml").getroot()
    assert root.findtext("filename") == f"{image_id}.jpg"
    assert (int(root.findtext("size/width")), int(root.findtext("size/height"))) == (width, height)
    found = [box for _, box in objects(image_id) if box]
    assert len(found) >= 6
    assert len(set(found)) == len(found), "one box with several names is one object"
    for x1, y1, x2, y2 in found:
        assert 1 <= x1 < x2 <= width
        assert 1 <= y1 < y2 <= height


@pytest.mark.parametrize("image_id", IDS)
def test_captions_and_phrases(image_id):
    lines = captions(image_id)
    assert len(lines) == 5
    assert len(set(lines)) == 5
    known = {name for names, _ in objects(image_id) for name in names}
    used: dict[str, set[str]] = {}
    for line in lines:
        phrases = PHRASE.findall(line)
        assert phrases, line
        plain = PHRASE.sub(lambda match: match[3], line)
        assert not re.search(r"[\[\]/#]|  ", plain), plain
        # Tokens are set apart by spaces, as in the real files.
        assert re.fullmatch(r"[A-Z].* \.", plain), plain
        for chain, types, _ in phrases:
            assert set(types[1:].split("/")) <= TYPES
            assert (chain == "0") == (types == "/notvisual"), line
            if chain != "0":
                used.setdefault(chain, set()).update(types[1:].split("/"))
    assert set(used) == known, "every chain that a caption names is in the XML, and the other way round"


def test_chains_are_of_one_photograph_only():
    counts = Counter(name for i in IDS for name in {name for names, _ in objects(i) for name in names})
    assert max(counts.values()) == 1


def test_it_exercises_the_format():
    """Several boxes a chain, several chains a box, several types a phrase, scenes, and what is not to be seen."""
    rows = [row for i in IDS for row in objects(i)]
    text = " ".join(line for i in IDS for line in captions(i))
    assert any(len(names) > 1 for names, _ in rows)
    assert max(Counter(name for names, box in rows if box for name in names).values()) > 1
    assert any(box is None for _, box in rows)
    assert "/notvisual " in text
    assert re.search(r"#\d+/\w+/\w+ ", text)
    assert {"people", "bodyparts", "clothing", "vehicles", "scene", "other"} <= set(re.findall(r"/(\w+)", text))
