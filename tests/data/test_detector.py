"""The detector on its own world, on photographs, and with its dial turned."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from crosslook.data import detector
from crosslook.data.detector import BACKGROUND, DIM, WEIGHTS, detect, heads
from crosslook.data.detector_quality import emoji_quality, evaluate
from crosslook.data.emoji import regions
from crosslook.data.emoji.draw import draw
from crosslook.data.emoji.proposals import proposals
from crosslook.data.emoji.world import COLOURS, HEIGHT, SIZES, WIDTH, categories
from crosslook.data.sample import Regions


@pytest.fixture(scope="module")
def quality():
    return emoji_quality("val")


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image("china.jpg"))


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


# What was promised


def test_it_is_good_but_not_perfect(quality):
    assert 0.60 <= quality.accuracy <= 0.90
    assert quality.interval[0] < quality.accuracy < quality.interval[1]
    assert quality.accuracy > 5 * quality.commonest
    assert quality.rejected > 0.6
    assert quality.images == 500


def test_wrong_names_are_mostly_of_the_right_type(quality):
    assert quality.within_type > quality.other_type
    assert quality.within_type + quality.other_type + quality.to_background == pytest.approx(1)


def test_the_test_split_is_no_different(quality):
    assert abs(emoji_quality("test").accuracy - quality.accuracy) < 0.05


def test_the_dial_lowers_everything_together(quality):
    steps = [quality.accuracy, *(emoji_quality("val", degrade).accuracy for degrade in (0.5, 2.0))]
    assert all(b < a for a, b in itertools.pairwise(steps))
    assert steps[-1] < 0.5 * steps[0]
    better, worse = (regions.detector_regions("val", degrade)["val-00000"] for degrade in (0.0, 1.0))
    # What is named follows from the noisy features, not from the clean ones.
    logits = heads().name(torch.from_numpy(worse.features))
    assert np.allclose(logits.softmax(-1).numpy(), worse.class_probs, atol=1e-5)
    apart = (worse.features - better.features) / heads().spread.numpy()
    assert 0.9 < apart.std() < 1.1


def test_colours_and_sizes_are_told():
    """The surest colour of coloured things is mostly theirs; size, of which a crop shows little, beats chance."""
    colours, sizes = [], []
    found = regions.detector_regions("val")
    for scene in found.scenes[:150]:
        seen = found[scene.id]
        edges = seen.boxes + np.array([0, 0, 1, 1], dtype=np.float32)
        shape = detector.geometry(edges, WIDTH, HEIGHT)
        sure = heads().attribute_logits(torch.from_numpy(seen.features), shape).numpy()
        for owner, row, attributes in zip(detector.matches(scene, edges), sure, seen.attributes, strict=True):
            thing = scene.things[owner] if owner >= 0 else None
            if thing and thing.colour:
                colours.append((thing.colour, next((name for name, _ in attributes if name in COLOURS), "")))
            if thing:
                sizes.append((thing.size, row[len(COLOURS) :]))
    truth = [colour for colour, _ in colours]
    commonest = max(truth.count(colour) for colour in COLOURS) / len(truth)
    assert np.mean([a == b for a, b in colours]) > commonest + 0.4
    for k, size in enumerate(SIZES):
        assert roc_auc_score([true == size for true, _ in sizes], [row[k] for _, row in sizes]) > 0.62, size


# What comes out


def test_regions_of_a_scene_hang_together():
    scene = regions.scenes("val")[7]
    edges = proposals(scene)
    found = regions.detector_regions("val")[scene.id]
    assert found.boxes.dtype == np.float32
    assert np.array_equal(found.boxes, edges - [0, 0, 1, 1])
    assert found.classes == (*categories(), BACKGROUND)
    assert found.class_probs.shape == (36, len(found.classes))
    assert np.allclose(found.class_probs.sum(1), 1, atol=1e-5)
    assert found.labels == tuple(found.classes[i] for i in found.class_probs.argmax(1))
    assert found.features.shape == (36, DIM)
    for attributes in found.attributes:
        sure = [confidence for _, confidence in attributes]
        assert sure == sorted(sure, reverse=True)
        assert all(detector.SHOWN <= confidence <= 1 for confidence in sure)
        assert {name for name, _ in attributes} <= {*COLOURS, *SIZES}


@pytest.mark.parametrize(("split", "place"), [("val", 0), ("val", 311), ("val", 499), ("test", 42)])
def test_committed_features_are_those_of_the_drawings(split, place):
    """Draw, crop, run the backbone and project again: what is committed is no older than scenes, drawing or heads."""
    scene = regions.scenes(split)[place]
    fresh = detect(draw(scene), (proposals(scene) - [0, 0, 1, 1]).astype(np.float32))
    kept = regions.detector_regions(split)[scene.id]
    with safe_open(regions.committed(split), framework="pt") as file:
        step = file.get_tensor("step").numpy()
    assert (abs(fresh.features - kept.features) <= 0.51 * step + 1e-3).all()
    assert np.array_equal(fresh.boxes, kept.boxes)
    assert np.mean(np.array(fresh.labels) == np.array(kept.labels)) > 0.9
    assert abs(fresh.class_probs - kept.class_probs).mean() < 0.01


def test_a_photograph_is_looked_at_in_the_same_way(photograph):
    found = detect(photograph, boxes((0, 0, 639, 426), (61, 29, 372, 400), (10.5, 20.25, 90.75, 60)))
    assert isinstance(found, Regions)
    assert np.allclose(found.class_probs.sum(1), 1, atol=1e-5)
    assert np.array_equal(found.boxes[2], np.float32([10.5, 20.25, 90.75, 60]))


def test_boxes_that_end_on_the_edge_are_taken_back_by_a_pixel(photograph):
    both = detect(photograph, boxes((0, 0, 640, 427), (0, 0, 639, 426)))
    assert np.array_equal(both.boxes[0], both.boxes[1])
    assert np.array_equal(both.features[0], both.features[1])


@pytest.mark.parametrize(
    "bad", [(0, 0, 641, 10), (-1, 0, 9, 9), (10, 10, 8, 20), (0, 0, math.nan, 5), (640, 0, 640, 9)]
)
def test_a_bad_box_is_named(photograph, bad):
    with pytest.raises(ValueError, match=r"boxes\[1\]: expected 0 <= x1 < x2 <= 640"):
        detect(photograph, boxes((0, 0, 9, 9), bad))


def test_no_boxes(photograph):
    found = detect(photograph, boxes())
    assert found.labels == ()
    assert found.features.shape == (0, DIM)


def test_noise_is_seeded_and_scaled(photograph):
    box = boxes((61, 29, 372, 400))
    clean, half, whole, again, other = (
        detect(photograph, box, degrade, seed).features
        for degrade, seed in ((0.0, 0), (0.5, 3), (1.0, 3), (1.0, 3), (1.0, 4))
    )
    assert np.array_equal(whole, again)
    assert not np.allclose(whole, other)
    assert np.allclose(whole - clean, 2 * (half - clean), atol=1e-5)


@pytest.mark.parametrize("degrade", [-0.1, math.nan])
def test_a_bad_dial_is_refused(photograph, degrade):
    with pytest.raises(ValueError, match="degrade: expected a number from 0 upwards"):
        detect(photograph, boxes((0, 0, 9, 9)), degrade)
    with pytest.raises(ValueError, match="degrade: expected a number from 0 upwards"):
        regions.detector_regions("val", degrade)


# The files


def test_the_committed_files_are_small_and_say_what_they_are():
    assert WEIGHTS.stat().st_size <= 2_000_000
    assert sum(regions.committed(split).stat().st_size for split in ("val", "test")) <= 10_000_000
    with safe_open(WEIGHTS, framework="pt") as file:
        about = json.loads(file.metadata()["about"])
        assert {str(file.get_tensor(name).dtype) for name in file.keys()} == {"torch.float16"}  # noqa: SIM118
    assert about["classes"] == [*categories(), BACKGROUND]
    assert about["command"] == "python -m crosslook.data.train_detector"


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"no")
    save_file({"x": torch.zeros(1)}, tmp_path / "b.safetensors")
    for name in "ab":
        with pytest.raises(ValueError, match=rf"{name}\.safetensors: expected the detector's weights"):
            heads(tmp_path / f"{name}.safetensors")


def test_features_of_another_detector_are_refused(tmp_path, monkeypatch):
    for name, about in (("old", {"detector": "0123"}), ("bare", None)):
        save_file({"codes": torch.zeros(1), "low": torch.zeros(1), "step": torch.zeros(1)}, tmp_path / name, about)
        with pytest.raises(ValueError, match=rf"{name}: expected features of detector .* make them again"):
            regions._load(tmp_path / name, 1)
    own = {"detector": detector.fingerprint()}
    save_file({"codes": torch.zeros(2, 36, DIM), "low": torch.zeros(1), "step": torch.zeros(1)}, tmp_path / "few", own)
    with pytest.raises(ValueError, match="few: expected features of shape"):
        regions._load(tmp_path / "few", 3)


def test_an_unknown_split_is_an_error():
    with pytest.raises(ValueError, match="split: expected one of"):
        regions.detector_regions("validation")


def test_train_is_made_on_first_use_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSLOOK_CACHE", str(tmp_path))
    monkeypatch.setattr(regions, "SHARD", 2)
    regions._shard.cache_clear()
    found = regions.detector_regions("train")
    assert not list(tmp_path.rglob("*.safetensors"))
    first = found["train-00003"]
    files = list(tmp_path.rglob("*.safetensors"))
    assert [file.name[:3] for file in files] == ["001"]
    fresh = detect(draw(found.scenes[3]), first.boxes)
    assert np.mean(np.array(fresh.labels) == np.array(first.labels)) > 0.8
    made = files[0].stat().st_mtime_ns
    regions._shard.cache_clear()
    found["train-00002"]
    assert list(tmp_path.rglob("*.safetensors")) == files
    assert files[0].stat().st_mtime_ns == made
    regions._shard.cache_clear()


# Measuring it


TYPES = {"man": "people", "woman": "people", "dog": "animals", "hat": "clothing"}


def test_quality_by_hand():
    shown = [["man", "man", "dog", BACKGROUND], ["woman", "hat", BACKGROUND, BACKGROUND]]
    called = [["man", "woman", "hat", BACKGROUND], ["woman", BACKGROUND, "dog", BACKGROUND]]
    found = evaluate(shown, called, TYPES)
    assert (found.regions, found.images) == (5, 2)
    assert found.accuracy == pytest.approx(2 / 5)
    assert (found.within_type, found.other_type, found.to_background) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert found.commonest == pytest.approx(2 / 5)
    assert found.rejected == pytest.approx(2 / 3)
    assert found.types == ("people", "animals", "clothing", BACKGROUND)
    assert found.confusion.tolist() == [[3, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 2]]
    assert set(found.confused) == {("man", "woman", 1), ("dog", "hat", 1), ("hat", BACKGROUND, 1)}


names = st.sampled_from([*TYPES, BACKGROUND])
images = st.lists(st.lists(st.tuples(names, names), min_size=1, max_size=6), min_size=1, max_size=6)


@given(images)
@settings(max_examples=60, deadline=None)
def test_quality_adds_up(rows):
    shown, called = ([[pair[k] for pair in row] for row in rows] for k in (0, 1))
    if all(name == BACKGROUND for row in shown for name in row):
        with pytest.raises(ValueError, match="expected a region that shows an object"):
            evaluate(shown, called, TYPES)
        return
    found = evaluate(shown, called, TYPES, top=len(TYPES) ** 2)
    flat = [pair for row in rows for pair in row]
    assert found.confusion.sum() == len(flat)
    objects = [pair for pair in flat if pair[0] != BACKGROUND]
    assert found.accuracy == pytest.approx(np.mean([a == b for a, b in objects]))
    assert found.interval[0] <= found.accuracy + 1e-9
    assert found.accuracy <= found.interval[1] + 1e-9
    if found.accuracy < 1:
        assert found.within_type + found.other_type + found.to_background == pytest.approx(1)
        assert sum(count for *_, count in found.confused) == round((1 - found.accuracy) * found.regions)


def test_different_lengths_are_refused():
    with pytest.raises(ValueError, match="the same images with the same numbers"):
        evaluate([["man"]], [["man", "dog"]], TYPES)


def test_geometry_by_hand():
    found = detector.geometry(boxes((0, 0, 160, 240), (10, 20, 330 / 2, 60)), WIDTH, HEIGHT)
    assert found[0].tolist() == pytest.approx([math.log(0.5), 0, 1])
    assert found[1].tolist() == pytest.approx([math.log(155 / 320), math.log(40 / 240), 0.25])
