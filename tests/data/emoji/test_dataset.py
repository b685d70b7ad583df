"""Emoji Entities through the files of Flickr30k Entities: what a scene and a tree say is what the samples say."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from crosslook import data
from crosslook.data import bottom_up, flickr30k
from crosslook.data.emoji import dataset, records, trees, world
from crosslook.data.emoji.draw import draw
from crosslook.data.emoji.regions import detector_regions
from crosslook.data.emoji.scene import from_record
from crosslook.data.sample import Regions


def _record(**changes):
    """A man, two dogs (one thing) and a ball; the categories are those of the world, the rest is by hand."""
    things = [
        ["man", None, 1, [[10, 20, 40, 100]]],
        ["dog", "brown", 1, [[50, 60, 80, 90], [90, 60, 120, 90]]],
        ["balloon", "red", 0, [[300, 0, 320, 30]]],
    ]
    captions = [
        "(S (NP#1 (DT a) (NN man)) (VP (VBZ sees) (NP#2 (CD two) (NNS dogs))) (. .))",
        "(S (NP#1+2 (DT a) (NN group)) (PP (IN in) (NP#S (DT the) (NN park))) (. .))",
        "(S (NP#0 (DT the) (NN image)) (VP (VBZ shows) (NP#2+1 (PRP them)) (CC and) (NP#3 (DT a) (NN balloon))))",
        "(S (NP#1+2+3 (NN everything)))",
        "(FRAG (UH wow))",
    ]
    record = {"id": "val-00007", "seed": 7, "setting": "park", "things": things, "relations": [], "captions": captions}
    return record | changes


def test_a_record_by_hand():
    samples = dataset.from_records([_record()], "val", "gold")
    assert len(samples) == 5
    assert [sample.caption for sample in samples] == [
        "A man sees two dogs .",
        "A group in the park .",
        "The image shows them and a balloon",
        "Everything",
        "Wow",
    ]
    # Right and lower edges are the first pixel outside in a scene, and the last one inside in a sample.
    man, dogs, balloon = [[10, 20, 39, 99]], [[50, 60, 79, 89], [90, 60, 119, 89]], [[300, 0, 319, 29]]
    for sample in samples:
        assert (sample.image_id, sample.width, sample.height) == ("val-00007", 320, 240)
        assert sample.regions.boxes.tolist() == man + dogs + balloon
    found = [
        [(phrase.text, phrase.chain, phrase.types, phrase.boxes.tolist()) for phrase in sample.phrases]
        for sample in samples
    ]
    assert found == [
        [("A man", "1", ("people",), man), ("two dogs", "2", ("animals",), dogs)],
        [("A group", "5", ("animals", "people"), man + dogs), ("the park", "4", ("scene",), [])],
        [
            ("The image", "0", ("notvisual",), []),
            ("them", "5", ("animals", "people"), man + dogs),
            ("a balloon", "3", (world.categories()["balloon"].type,), balloon),
        ],
        [("Everything", "6", ("animals", "other", "people"), man + dogs + balloon)],
        [],
    ]
    assert samples[1].links == (frozenset({0, 1, 2}), frozenset())


def test_the_files_are_those_of_flickr30k_entities():
    image_id, annotation, _ = dataset.described(_record())
    assert image_id == "val-00007"
    assert annotation.filename == "val-00007.png"
    assert [(thing.chains, thing.box) for thing in annotation.objects] == [
        (("1", "5", "6"), (11, 21, 40, 100)),
        (("2", "5", "6"), (51, 61, 80, 90)),
        (("2", "5", "6"), (91, 61, 120, 90)),
        (("3", "6"), (301, 1, 320, 30)),
        (("4",), None),
    ]
    assert annotation.objects[-1].scene


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"captions": ["(S (NP#4 (NN x)))"]}, r"scene 'val-00007': caption 1: expected one of 3 things, got #4"),
        ({"captions": ["(S (NN x))", "(S (NP#1 (NN x))"]}, "scene 'val-00007': caption 2: character 16: expected"),
        ({"captions": ["(S (NN [x]))"]}, r"caption '\[x\]'"),
        ({"setting": "moon"}, "scene 'val-00007': setting: expected one of"),
    ],
)
def test_a_wrong_record_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dataset.from_records([_record(**changes)], "val", "gold")


@pytest.fixture(scope="module")
def val():
    found = records.read("val")[:40]
    return found, dataset.from_records(found, "val", "gold")


def test_samples_say_what_records_say(val):
    """Every phrase is where its tree has it and has the boxes of the things that the tree marks."""
    found, samples = val
    position = 0
    for record in found:
        for number, line in enumerate(record["captions"]):
            sample = samples[position]
            position += 1
            assert (sample.image_id, sample.caption_index) == (record["id"], number)
            marked = trees.phrases(trees.parse(line))
            assert [(phrase.start, phrase.end) for phrase in sample.phrases] == [mark[:2] for mark in marked]
            for phrase, linked, (start, end, mark) in zip(sample.phrases, sample.links, marked, strict=True):
                assert phrase.text == sample.caption[start:end]
                named = [record["things"][k] for k in trees.referents(mark)]
                boxes = {(x1, y1, x2 - 1, y2 - 1) for thing in named for x1, y1, x2, y2 in thing[3]}
                assert {tuple(box) for box in phrase.boxes.tolist()} == boxes
                assert {tuple(box) for box in sample.regions.boxes[sorted(linked)].tolist()} == boxes
                assert set(phrase.types) == {world.categories()[thing[0]].type for thing in named} or not named
    assert position == len(samples)


def test_a_chain_is_one_thing_in_all_captions_of_an_image(val):
    chains = {}
    for sample in val[1]:
        for phrase in sample.phrases:
            boxes = phrase.boxes.tolist()
            assert chains.setdefault((sample.image_id, phrase.chain), boxes) == boxes
    assert any(len(boxes) > 1 for boxes in chains.values())


def test_images_are_drawn_from_the_scene(val):
    found, samples = val
    drawn = samples[10].image
    assert drawn.size == (320, 240)
    assert drawn.tobytes() == draw(from_record(found[2])).tobytes()


def test_other_regions_are_linked_by_overlap():
    # The first is the man but for a tenth of him; the second is nothing.
    boxes = np.array([[10, 20, 39, 91], [200, 200, 210, 210]], dtype=np.float32)
    samples = dataset.from_records([_record()], "val", {"val-00007": Regions(boxes)})
    assert samples[0].links == (frozenset({0}), frozenset())


def test_an_exported_folder_is_the_same_data_set(tmp_path, monkeypatch):
    found = records.read("val")[:6]
    monkeypatch.setattr(records, "read", lambda split: found)
    dataset.export("val", tmp_path / "out", images=True)
    samples = data.load(f"flickr30k:{tmp_path / 'out'}:val")
    expected = dataset.from_records(found, "val", "gold")
    assert len(samples) == len(expected) == 30
    for a, b in zip(samples, expected, strict=True):
        assert (a.image_id, a.caption, a.links) == (b.image_id, b.caption, b.links)
        assert np.array_equal(a.regions.boxes, b.regions.boxes)
    assert samples[0].image.tobytes() == expected[0].image.tobytes()
    assert not list(tmp_path.rglob("*.part"))
    # Images that are there are kept: an export that was stopped goes on where it was.
    Image.new("RGB", (1, 1)).save(tmp_path / "out/images/val-00000.png")
    (tmp_path / "out/images/val-00001.png").unlink()
    dataset.export("val", tmp_path / "out", images=True)
    assert Image.open(tmp_path / "out/images/val-00000.png").size == (1, 1)
    assert Image.open(tmp_path / "out/images/val-00001.png").size == (320, 240)


def test_exported_features_are_those_of_the_detector(tmp_path, monkeypatch):
    detected = detector_regions("val")
    found = records.read("val")[:3]
    monkeypatch.setattr(records, "read", lambda split: found)
    dataset.export("val", tmp_path, features=True)
    samples = flickr30k.read(tmp_path, "val", features=tmp_path / "val_obj36.tsv")
    expected = dataset.from_records(found, "val", detected)
    for a, b in zip(samples, expected, strict=True):
        assert a.links == b.links
        assert a.regions.labels == b.regions.labels
        assert a.regions.classes == b.regions.classes
        assert np.array_equal(a.regions.boxes, b.regions.boxes)
        assert np.array_equal(a.regions.features, b.regions.features)
        best = [max(row, key=lambda pair: pair[1])[0] for row in b.regions.attributes if row]
        assert [
            row[0][0] for row, other in zip(a.regions.attributes, b.regions.attributes, strict=True) if other
        ] == best
    line = next(bottom_up.read(tmp_path / "val_obj36.tsv"))
    assert np.array_equal(line.objects_conf, expected[0].regions.class_probs.max(1))


def test_detected_regions_are_the_default():
    sample = data.load("emoji:val")[0]
    assert sample.regions.boxes.shape == (36, 4)
    assert sample.regions.features.shape[0] == 36
    grounded = [linked for phrase, linked in zip(sample.phrases, sample.links, strict=True) if len(phrase.boxes)]
    assert any(grounded)


def test_export_from_the_command_line(tmp_path):
    command = [sys.executable, "-m", "crosslook.data", "export"]
    done = subprocess.run([*command, "emoji:test", tmp_path / "out"], capture_output=True, text=True, check=True)
    assert f"crosslook.data.load('flickr30k:{tmp_path / 'out'}:test')" in done.stdout
    assert len((tmp_path / "out/test.txt").read_text().split()) == 500
    assert len(list((tmp_path / "out/Annotations").iterdir())) == 500
    assert not (tmp_path / "out/images").exists()
    failed = subprocess.run([*command, "emoji:no", tmp_path / "no"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert "invalid choice: 'emoji:no'" in failed.stderr
