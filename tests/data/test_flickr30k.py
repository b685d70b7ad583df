"""The reader: files become samples; what is wrong is named or, on request, left out and counted."""

import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crosslook.boxes import iou
from crosslook.data import bottom_up, flickr30k
from crosslook.data.archive import open_files
from crosslook.data.errors import DataError
from crosslook.data.flickr30k_format import TYPES, Annotation, Mention, Object, Sentence
from crosslook.data.flickr30k_writer import annotation_xml, sentences_text
from crosslook.data.sample import Phrase, Regions


def _texts(ids=("7", "8"), captions=2):
    """A data set in memory. Chain 1 has two boxes, the second of which is chain 2's, too; chain 3 is a scene."""
    objects = (
        Object(("1",), (1, 1, 4, 5)),
        Object(("1", "2"), (3, 3, 20, 10)),
        Object(("3",), None, scene=True),
    )
    people, dog = Mention(0, 7, "1", ("people",)), Mention(12, 17, "2", ("animals",))
    park, middle = Mention(21, 29, "3", ("scene",)), Mention(33, 43, "0", ("notvisual",))
    sentence = Sentence("Two men see a dog in the park in the middle .", (people, dog, park, middle))
    texts = {"val.txt": "".join(f"{i}\n" for i in ids)}
    for i in ids:
        texts[f"Annotations/{i}.xml"] = annotation_xml(Annotation(f"{i}.jpg", 20, 10, objects))
        texts[f"Sentences/{i}.txt"] = sentences_text([sentence] * captions)
    return texts


def test_a_sample_by_hand():
    data = flickr30k.read(_texts(), "val")
    assert len(data) == 4
    assert [(sample.image_id, sample.caption_index) for sample in data] == [("7", 0), ("7", 1), ("8", 0), ("8", 1)]
    sample = data[-1]
    assert (sample.width, sample.height, sample.image) == (20, 10, None)
    assert sample.caption == "Two men see a dog in the park in the middle ."
    assert [phrase.text for phrase in sample.phrases] == ["Two men", "a dog", "the park", "the middle"]
    assert [phrase.chain for phrase in sample.phrases] == ["1", "2", "3", "0"]
    assert sample.regions.boxes.tolist() == [[0, 0, 3, 4], [2, 2, 19, 9]]
    assert [phrase.boxes.tolist() for phrase in sample.phrases] == [
        [[0, 0, 3, 4], [2, 2, 19, 9]],
        [[2, 2, 19, 9]],
        [],
        [],
    ]
    assert all(phrase.boxes.shape[1:] == (4,) for phrase in sample.phrases)
    assert sample.links == (frozenset({0, 1}), frozenset({1}), frozenset(), frozenset())


def test_slices_lists_and_copies():
    data = flickr30k.read(_texts(), "val")
    part = data[1:3]
    assert [(sample.image_id, sample.caption_index) for sample in part] == [("7", 1), ("8", 0)]
    assert data.image_ids == ("7", "8")
    assert repr(part) == "<Flickr30k: 2 captions of 2 images>"
    assert pickle.loads(pickle.dumps(part))[0].caption == part[0].caption  # workers of a DataLoader get copies
    with pytest.raises(IndexError):
        data[4]


def test_all_splits_at_once():
    texts = _texts(("7", "8", "10"))
    del texts["val.txt"]
    texts |= {"Annotations/.DS_Store": "", "Sentences/._7.txt": "", "Sentences/README": ""}
    assert flickr30k.read(texts).image_ids == ("10", "7", "8")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Annotations/7.xml", "<annotation>", r"^Annotations/7\.xml:1:13: expected well-formed XML"),
        ("Annotations/7.xml", None, r"^Annotations/7\.xml: expected this file, there is none"),
        ("Sentences/7.txt", None, r"^Sentences/7\.txt: expected this file, there is none"),
        ("Sentences/7.txt", "a\n[/EN#1/people dog\n", r"^Sentences/7\.txt:2:1: expected '\]'"),
        ("Sentences/7.txt", "A [/EN#9/people dog]\n", r"^Sentences/7\.txt:1: 'dog': .* of Annotations/7\.xml, got 9"),
        ("Annotations/7.xml", "OTHER", r"^Annotations/7\.xml: filename: expected 7 with an ending, got '9.jpg'"),
        ("Annotations/7.xml", "LARGE", r"^Annotations/7\.xml:10:3: object 1: bndbox: .* inside \(1, 1, 20, 10\)"),
    ],
)
def test_a_wrong_file_is_an_error_or_on_request_left_out(name, text, message):
    texts = _texts()
    changed = {
        None: None,
        "OTHER": texts[name].replace("7.jpg", "9.jpg"),
        "LARGE": texts[name].replace("<xmax>4<", "<xmax>21<"),
    }.get(text, text)
    texts = {**texts, name: changed}
    if changed is None:
        del texts[name]
    with pytest.raises(DataError, match=message):
        flickr30k.read(texts, "val")
    with pytest.warns(UserWarning, match="skipped 1 of 2 images; the first: ") as caught:
        data = flickr30k.read(texts, "val", on_error="skip")
    assert len(caught) == 1
    assert data.image_ids == ("8",)
    assert len(data.skipped) == 1
    with pytest.raises(DataError, match=message):
        raise data.skipped[0]
    assert repr(data) == "<Flickr30k: 2 captions of 1 images, 1 images skipped>"


def test_without_errors_nothing_is_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert flickr30k.read(_texts(), "val", on_error="skip").skipped == ()


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("7\n\n8\n", "val.txt:2: expected an image id, got ''"),
        ("7\n../../8\n", r"val.txt:2: expected an image id, got '../../8'"),
        ("7\n8\n7\n", "val.txt:3: image 7 is also in line 1"),
        ("", "val.txt:1: expected an image id"),
    ],
)
def test_a_wrong_split_list_is_an_error_in_any_case(ids, message, on_error):
    with pytest.raises(DataError, match=message):
        flickr30k.read(_texts() | {"val.txt": ids}, "val", on_error=on_error)


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(DataError, match=r"trian.txt: expected a list of image ids; there are lists for \['val'\]"):
        flickr30k.read(_texts(), "trian")
    with pytest.raises(ValueError, match="on_error: expected 'raise' or 'skip', got 'ignore'"):
        flickr30k.read(_texts(), "val", on_error="ignore")
    with pytest.raises(ValueError, match="regions: expected 'gold', 'detector', a function or a mapping, got 'silver'"):
        flickr30k.read(_texts(), "val", regions="silver")
    with pytest.raises(ValueError, match="regions: 'detector' needs features"):
        flickr30k.read(_texts(), "val", regions="detector")
    with pytest.raises(ValueError, match="regions: expected 'detector' or none together with features"):
        flickr30k.read(_texts(), "val", regions={}, features=tmp_path)
    with pytest.raises(DataError, match="expected a folder of images, there is none"):
        flickr30k.read(_texts(), "val", images=tmp_path / "none")


def _write(folder, texts):
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_images_are_found_in_the_folder_and_checked(tmp_path):
    _write(tmp_path, _texts(("7", "8", "9")))
    (tmp_path / "images").mkdir()
    Image.new("L", (20, 10), 200).save(tmp_path / "images/7.png")
    Image.new("RGB", (10, 20)).save(tmp_path / "images/8.jpg")
    (tmp_path / "images/9.jpg").write_bytes(b"no image")
    for data in (flickr30k.read(tmp_path, "val"), flickr30k.read(_texts(("7", "8", "9")), images=tmp_path / "images")):
        assert data[0].image.mode == "RGB"
        assert data[0].image.getpixel((3, 3)) == (200, 200, 200)
        with pytest.raises(DataError, match="image 8: expected 20 x 10 pixels as annotated, got 10 x 20"):
            _ = data[2].image
        with pytest.raises(DataError, match=r"9\.jpg: expected an image"):
            _ = data[4].image


def _detected(image_id, boxes, width=20, height=10):
    n = len(boxes)
    return bottom_up.Detections(
        image_id=image_id,
        width=width,
        height=height,
        objects_id=np.arange(n),
        objects_conf=np.full(n, 0.5, np.float32),
        attrs_id=np.zeros(n, np.int64),
        attrs_conf=np.full(n, 0.25, np.float32),
        boxes=np.array(boxes, dtype=np.float32),
        features=np.arange(3 * n, dtype=np.float32).reshape(n, 3),
    )


def test_detected_regions_from_a_file(tmp_path):
    boxes = [[2, 2, 19, 9], [0, 0, 3, 9], [10, 2, 19, 9], [11, 2, 19, 9]]
    _write(tmp_path, _texts() | {"objects_vocab.txt": "a,b\nc\nd\ne\n", "attributes_vocab.txt": "red\n"})
    bottom_up.write(tmp_path / "f.tsv", [_detected("8", boxes), _detected("7", boxes[:2])])
    data = flickr30k.read(tmp_path, "val", features=tmp_path / "f.tsv")
    assert data[0].regions.boxes.tolist() == boxes[:2]
    regions = data[2].regions
    assert regions.boxes.tolist() == boxes
    assert regions.features[1].tolist() == [3, 4, 5]
    assert regions.labels == ("a", "c", "d", "e")
    assert regions.classes == ("a,b", "c", "d", "e")
    assert regions.attributes[2] == (("red", 0.25),)
    # By hand: (0, 0, 3, 9) covers 20 of 40 pixels, half; (10, ...) 80 of 144, (11, ...) 72 of 144, exactly half.
    assert data[2].links == (frozenset({0, 1, 2, 3}), frozenset({0, 2, 3}), frozenset(), frozenset())
    assert flickr30k.read(tmp_path, "val", features=tmp_path / "f.tsv", regions="gold")[2].regions.features is None


def test_images_without_regions_or_of_another_size_are_errors(tmp_path):
    bottom_up.write(tmp_path / "f.tsv", [_detected("8", [[0, 0, 5, 5]], width=21)])
    with pytest.raises(DataError, match=r"f\.tsv: expected regions of image 7, there are none"):
        flickr30k.read(_texts(), "val", features=tmp_path / "f.tsv")
    with pytest.raises(DataError, match=r"f\.tsv:1: expected an image of 20 x 10 as in its annotation, got 21 x 10"):
        flickr30k.read(_texts(("8",)), "val", features=tmp_path / "f.tsv")
    with pytest.warns(UserWarning, match="skipped 2 of 2"):
        assert len(flickr30k.read(_texts(), "val", features=tmp_path / "f.tsv", on_error="skip")) == 0


def test_regions_from_a_function_or_a_mapping():
    regions = Regions(np.array([[2, 2, 19, 9]], dtype=np.float32), labels=("dog",))
    for source in ({"7": regions, "8": regions}, lambda image_id: regions):
        sample = flickr30k.read(_texts(), "val", regions=source)[0]
        assert sample.regions is regions
        assert sample.links == (frozenset({0}), frozenset({0}), frozenset(), frozenset())


corners = st.lists(st.integers(0, 12), min_size=4, max_size=4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@given(st.lists(st.lists(corners, max_size=3), max_size=4), st.lists(corners, min_size=1, max_size=5))
def test_links_are_those_of_overlaps_counted_in_pixels(gold, regions):
    def pixels(box):
        return {(x, y) for x in range(box[0], box[2] + 1) for y in range(box[1], box[3] + 1)}

    def array(boxes):
        return np.array(boxes, dtype=np.float32).reshape(-1, 4)

    phrases = [Phrase(0, 1, "a", ("other",), "1", array(boxes)) for boxes in gold]
    expected = tuple(
        frozenset(
            r
            for r, region in enumerate(regions)
            if any(2 * len(pixels(box) & pixels(region)) >= len(pixels(box) | pixels(region)) for box in boxes)
        )
        for boxes in gold
    )
    assert flickr30k.link(phrases, Regions(array(regions))) == expected


def test_types_are_those_of_the_world():
    from crosslook.data.emoji.world import TYPES as DRAWN

    assert set(TYPES) == {*DRAWN, "notvisual"}


COUNT = """
import json, sys
from crosslook.data import flickr30k

def count(data):
    images, boxes, chains, types = set(), 0, set(), []
    for sample in data:
        if sample.image_id not in images:
            images.add(sample.image_id)
            boxes += len(sample.regions.boxes)
        for phrase in sample.phrases:
            assert sample.caption[phrase.start : phrase.end] == phrase.text
            if phrase.chain != "0":
                chains.add((sample.image_id, phrase.chain))
            if len(phrase.boxes):
                types.append(phrase.types)
    return {"images": len(images), "captions": len(data), "boxes": boxes, "chains": len(chains), "types": types}

whole = count(flickr30k.read(sys.argv[1]))
del whole["types"]
print(json.dumps([whole, count(flickr30k.read(sys.argv[1], "val"))]))
"""


@pytest.fixture(scope="module")
def counted(shared):
    """Counts of all of Flickr30k Entities and of its validation split."""
    archive = shared / "data/flickr30k_entities/flickr30k_entities_v1_full.tar.xz"
    # In a process of its own, without the shape checks, which would take longer than the reading.
    done = subprocess.run([sys.executable, "-c", COUNT, archive], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.realdata
def test_the_whole_of_flickr30k_entities(counted):
    """Numbers of the real data's README; chains are those with an entity (all but chain 0) that captions mention."""
    assert counted[0] == {"images": 31_783, "captions": 158_915, "boxes": 275_775, "chains": 243_891}


@pytest.mark.realdata
def test_the_validation_split_is_that_of_frank_2021(counted, shared):
    """14,433 pairs of a caption and a grounded phrase; their types in the authors' list, in its order."""
    published = json.loads((shared / "data/frank2021/ix2type.json").read_text())
    ours = counted[1]["types"]
    assert counted[1]["captions"] == 5000
    assert len(ours) == len(published) == 14_433
    assert all(published[str(place)] in types for place, types in enumerate(ours))


@pytest.mark.realdata
def test_real_photographs(shared):
    """The sizes that the annotations give are checked when an image is opened."""
    folder = shared / "data/flickr30k_entities"
    ids = sorted(path.stem for path in (folder / "images").glob("*.jpg"))
    assert len(ids) == 7
    with open_files(folder / "flickr30k_entities_v1_full.tar.xz", flickr30k.FOLDERS) as files:
        names = [name for name in files.names if name.split("/")[-1].split(".")[0] in ids]
        texts = {name: files.text(name) for name in names}
    data = flickr30k.read(texts, images=folder / "images")
    assert data.image_ids == tuple(ids)
    for sample in data[::5]:
        assert sample.image.size == (sample.width, sample.height)


def test_gold_boxes_overlap_themselves_fully():
    boxes = torch.tensor(flickr30k.read(_texts(), "val")[0].regions.boxes)
    assert iou(boxes, boxes, inclusive=True).diagonal().tolist() == [1, 1]
