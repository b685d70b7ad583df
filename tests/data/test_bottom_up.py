"""The TSV form of bottom-up attention: read as the reference recipe reads it, and refused where it is malformed."""

import base64
import csv
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosslook.data import bottom_up
from crosslook.data.errors import DataError

# The shape checks that tests switch on draw random numbers of their own.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

ARRAYS = ("objects_id", "objects_conf", "attrs_id", "attrs_conf", "boxes", "features")


def _image(image_id="a", n=2, dim=3, seed=0, width=40, height=30):
    rng = np.random.default_rng(seed)
    x, y = (np.sort(rng.choice(size, (n, 2)), axis=1) for size in (width, height))
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1] + 0.5, y[:, 1] + 0.5], axis=1)
    return bottom_up.Detections(
        image_id=image_id,
        width=width,
        height=height,
        objects_id=rng.integers(0, 1600, n),
        objects_conf=rng.random(n, dtype=np.float32),
        attrs_id=rng.integers(0, 400, n),
        attrs_conf=rng.random(n, dtype=np.float32),
        boxes=boxes.astype(np.float32),
        features=rng.random((n, dim), dtype=np.float32),
    )


def _same(a, b):
    assert (a.image_id, a.width, a.height) == (b.image_id, b.width, b.height)
    for name in ARRAYS:
        assert getattr(a, name).dtype == getattr(b, name).dtype
        assert np.array_equal(getattr(a, name), getattr(b, name))


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32)), max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory, shapes):
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    images = [_image(f"COCO_{i}", *shape) for i, shape in enumerate(shapes)]
    bottom_up.write(path, images)
    for before, after in zip(images, bottom_up.read(path), strict=True):
        _same(before, after)
    table = bottom_up.Table(path)
    assert list(table) == [image.image_id for image in images]
    for image in reversed(images):
        _same(image, table[image.image_id])
        assert table.size(image.image_id) == (40, 30)


def test_one_line_by_hand(tmp_path):
    image = _image("a", 1, 2)
    bottom_up.write(tmp_path / "a.tsv", [image])
    fields = (tmp_path / "a.tsv").read_text().removesuffix("\n").split("\t")
    assert fields[:3] == ["a", "30", "40"]
    assert fields[7] == "1"
    assert base64.b64decode(fields[8]) == b"".join(np.float32(v).tobytes() for v in image.boxes[0])
    assert base64.b64decode(fields[3]) == int(image.objects_id[0]).to_bytes(8, "little")


def _fails(tmp_path, change, message):
    """Writes two good lines and a third that `change` has been at."""
    path = tmp_path / "a.tsv"
    bottom_up.write(path, [_image("a"), _image("b"), _image("c")])
    lines = path.read_text().splitlines()
    row = dict(zip(bottom_up.FIELDS, lines[2].split("\t"), strict=True))
    change(row)
    path.write_text("\n".join([*lines[:2], "\t".join(value for value in row.values() if value is not None)]) + "\n")
    with pytest.raises(DataError, match=rf"a\.tsv:3: {message}"):
        list(bottom_up.read(path))


def _encoded(values, kind="<f4"):
    return base64.b64encode(np.array(values, dtype=kind).tobytes()).decode()


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": None}, "expected 10 fields, img_id .* features, got 9"),
        ({"features": "a\tb"}, "expected 10 fields, .* got 11"),
        ({"img_w": "40.5"}, "img_w: expected a whole number above 0, got '40.5'"),
        ({"img_h": "-3"}, "img_h: expected a whole number above 0"),
        ({"num_boxes": "0"}, "num_boxes: expected a whole number above 0, got '0'"),
        ({"num_boxes": "3"}, "objects_id: expected 24 bytes for 3 boxes, got 16"),
        ({"num_boxes": "9" * 12}, "num_boxes: expected a whole number above 0"),
        ({"boxes": "not base64!"}, "boxes: expected base64"),
        ({"boxes": _encoded([0, 0, 5, 5])}, "boxes: expected 32 bytes for 2 boxes, got 16"),
        ({"boxes": _encoded([0, 0, 5, 5, 0, 0, NAN, 5])}, "boxes: box 2: expected a finite number, got nan"),
        (
            {"boxes": _encoded([0, 0, 5, 5, 3, 0, 3, 5])},
            r"boxes: box 2: expected an area .* got \[3.0, 0.0, 3",
        ),
        ({"boxes": _encoded([0, 0, 5, 5, 0, 0, 5, 32])}, r"boxes: box 2: .* inside \(0, 0, 40, 30\)"),
        ({"boxes": _encoded([-2, 0, 5, 5, 0, 0, 5, 5])}, "boxes: box 1: expected an area inside"),
        ({"objects_id": _encoded([0, 1], "<i4")}, "objects_id: expected 16 bytes for 2 boxes, got 8"),
        ({"attrs_id": _encoded([0, -1], "<i8")}, "attrs_id: box 2: expected an id of 0 or more, got -1"),
        ({"attrs_conf": _encoded([np.inf, 0])}, "attrs_conf: box 1: expected a finite number, got inf"),
        ({"features": _encoded([0, 1, 2, NAN, 0, 0])}, "features: box 2: expected a finite number, got nan"),
        ({"features": _encoded([0, 1, 2])}, "features: expected a multiple of 8 bytes for 2 boxes, got 12"),
        ({"features": ""}, "features: expected a multiple of 8 bytes for 2 boxes, got 0"),
    ],
)
def test_a_wrong_line_names_number_and_field(tmp_path, change, message):
    _fails(tmp_path, lambda row: row.update(change), message)


def test_an_image_twice_or_a_line_without_end_is_an_error(tmp_path, monkeypatch):
    bottom_up.write(tmp_path / "a.tsv", [_image("a"), _image("b"), _image("a")])
    with pytest.raises(DataError, match=r"a\.tsv:3: img_id: image 'a' is also at .*a\.tsv:1"):
        bottom_up.Table(tmp_path / "a.tsv")
    monkeypatch.setattr(bottom_up, "LONGEST", 100)
    with pytest.raises(DataError, match=r"a\.tsv:1: expected a line of less than 100 bytes"):
        list(bottom_up.read(tmp_path / "a.tsv"))


def test_what_could_not_be_read_is_not_written(tmp_path):
    image = _image()
    image.boxes[1, 2] = NAN
    with pytest.raises(DataError, match=r"a\.tsv:2: boxes: box 2: expected a finite number"):
        bottom_up.write(tmp_path / "a.tsv", [_image("b"), image])
    assert not (tmp_path / "a.tsv").exists()


def test_regions_and_back(tmp_path):
    image = _image("a", 3)
    image.objects_id[:] = [0, 2, 1]
    image.attrs_id[:] = [1, 1, 0]
    regions = bottom_up.to_regions(image, ("dog", "cat,kitten", "man"), ("red,crimson", "big"))
    assert regions.labels == ("dog", "man", "cat")
    assert [row[0][0] for row in regions.attributes] == ["big", "big", "red"]
    assert regions.class_probs is None
    assert regions.classes == ("dog", "cat,kitten", "man")
    probs = np.eye(3, dtype=np.float32)[[0, 2, 1]] * image.objects_conf[:, None]
    full = bottom_up.Regions(
        regions.boxes, regions.labels, regions.attributes, probs, regions.features, regions.classes
    )
    _same(bottom_up.from_regions("a", 40, 30, full, ("red,crimson", "big")), image)
    with pytest.raises(ValueError, match=r"regions of image a: expected .*, got no class_probs"):
        bottom_up.from_regions("a", 40, 30, regions, ("red", "big"))
    with pytest.raises(IndexError, match="objects_id: expected ids below 2, got 2"):
        bottom_up.to_regions(image, ("dog", "cat"))
    bottom_up.write(tmp_path / "a.tsv", [image])
    (tmp_path / "objects_vocab.txt").write_text("dog\ncat\n")
    with pytest.raises(DataError, match=r"a\.tsv:1: objects_id: expected ids below 2, got 2"):
        bottom_up.Table(tmp_path / "a.tsv").regions("a")


def test_the_surest_attribute_is_kept():
    regions = bottom_up.Regions(
        np.array([[0, 0, 5, 5], [0, 0, 6, 6]], dtype=np.float32),
        ("dog", "dog"),
        ((("red", 0.25), ("big", 0.75)), ()),
        np.array([[0.5], [1]], dtype=np.float32),
        np.zeros((2, 3), dtype=np.float32),
        ("dog",),
    )
    image = bottom_up.from_regions("a", 40, 30, regions, ("red", "big"))
    assert image.attrs_id.tolist() == [1, 0]
    assert image.attrs_conf.tolist() == [0.75, 0]
    assert image.objects_conf.tolist() == [0.5, 1]


@pytest.mark.realdata
def test_real_features(shared, tmp_path):
    """Six COCO images, against the standard library's CSV reader; written again they are the same to the byte."""
    path = shared / "data/bottom_up_coco/train2014_obj36.tsv"
    before = csv.field_size_limit(2**30)
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file, bottom_up.FIELDS, delimiter="\t"))
    finally:
        csv.field_size_limit(before)
    images = list(bottom_up.read(path))
    assert len(images) == len(rows) == 6
    for image, row in zip(images, rows, strict=True):
        assert (image.image_id, str(image.width), str(image.height)) == (row["img_id"], row["img_w"], row["img_h"])
        for name in ARRAYS:
            kind = np.int64 if name.endswith("_id") else np.float32
            values = np.frombuffer(base64.b64decode(row[name]), dtype=kind)
            assert np.array_equal(getattr(image, name).ravel(), values)
        assert image.boxes.shape == (36, 4)
        assert image.features.shape == (36, 2048)
        assert image.features.min() >= 0
    bottom_up.write(tmp_path / "again.tsv", images)
    assert (tmp_path / "again.tsv").read_bytes() == path.read_bytes()
    table = bottom_up.Table(path)
    assert len(table.objects) == 1600
    assert len(table.attributes) == 400
    regions = table.regions("COCO_train2014_000000207647")
    assert len(regions.labels) == 36
    assert set(regions.labels) <= set(table.objects)


@pytest.mark.realdata
def test_a_damaged_copy_of_real_features(shared, tmp_path):
    path = shutil.copy(shared / "data/bottom_up_coco/train2014_obj36.tsv", tmp_path / "a.tsv")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - 1000])
    with pytest.raises(DataError, match=r"a\.tsv:6: features: expected (base64|a multiple of 144 bytes)"):
        list(bottom_up.read(path))
