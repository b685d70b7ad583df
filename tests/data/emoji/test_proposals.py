"""Proposals: where they may lie, what they find, and that a seed fixes them."""

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook.data.detector import matches
from crosslook.data.emoji.proposals import COUNT, MIN_SIDE, proposals
from crosslook.data.emoji.scene import Scene, Thing, sample_scene
from crosslook.data.emoji.world import HEIGHT, WIDTH

SCENES = [sample_scene(f"s{seed}", seed) for seed in range(150)]


def overlap(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """IoU of two boxes in whole numbers."""
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def scene_of(boxes: list[tuple[int, int, int, int]], seed: int = 0) -> Scene:
    things = tuple(Thing("ball" if i else "dog", None, "medium", (box,)) for i, box in enumerate(boxes))
    return Scene("made", seed, "park", things, ())


edge = st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), st.integers(1, WIDTH), st.integers(1, HEIGHT))
box = edge.map(lambda e: (e[0], e[1], min(e[0] + e[2], WIDTH), min(e[1] + e[3], HEIGHT)))


@given(st.lists(box, min_size=1, max_size=60), st.integers(0, 2**40))
@settings(max_examples=150, deadline=None)
def test_inside_the_image_with_an_area(boxes, seed):
    found = proposals(scene_of(boxes, seed))
    assert found.shape == (COUNT, 4)
    assert found.dtype == np.int64
    x1, y1, x2, y2 = found.T
    assert (x1 >= 0).all()
    assert (y1 >= 0).all()
    assert (x2 <= WIDTH).all()
    assert (y2 <= HEIGHT).all()
    assert (x2 - x1 >= MIN_SIDE).all()
    assert (y2 - y1 >= MIN_SIDE).all()


def test_they_follow_from_the_seed_alone():
    scene = SCENES[3]
    assert np.array_equal(proposals(scene), proposals(scene))
    renamed = Scene("other", scene.seed, "street", scene.things, ())
    assert np.array_equal(proposals(scene), proposals(renamed))
    other = Scene(scene.id, scene.seed + 1, scene.setting, scene.things, scene.relations)
    assert not np.array_equal(proposals(scene), proposals(other))


def test_the_same_on_every_machine():
    found = proposals(scene_of([(10, 20, 110, 200), (200, 50, 230, 90)], seed=7))
    assert hashlib.sha256(found.astype("<i8").tobytes()).hexdigest()[:16] == "4509c43b3c78cc5e"


def test_nearly_every_object_is_found():
    best = []
    for scene in SCENES:
        found = proposals(scene).tolist()
        best += [max(overlap(box, p) for p in found) for thing in scene.things for box in thing.boxes]
    assert np.mean(np.array(best) >= 0.5) >= 0.97
    # But as a detector finds them, loosely.
    assert 0.6 < np.mean(best) < 0.9


def test_some_are_doubled_some_show_nothing():
    owners = [matches(scene, proposals(scene).astype(np.float32)) for scene in SCENES]
    shares = np.array([(row >= 0).mean() for row in owners])
    assert 0.4 < shares.mean() < 0.75
    assert (shares < 1).all()
    doubled = [np.bincount(row[row >= 0]).max() >= 2 for row in owners]
    assert np.mean(doubled) > 0.95


def test_their_order_tells_nothing():
    """Objects come first in no place: each of the 36 shows one about as often as any other."""
    owners = np.array([matches(scene, proposals(scene).astype(np.float32)) >= 0 for scene in SCENES])
    expected = owners.mean()
    error = np.sqrt(expected * (1 - expected) / len(SCENES))
    assert (abs(owners.mean(0) - expected) < 4.5 * error).all()


def test_matches_by_hand():
    scene = scene_of([(0, 0, 10, 10), (0, 0, 20, 10)])
    edges = np.array(
        [
            (0, 0, 10, 10),  # the first exactly
            (0, 0, 20, 10),  # the second exactly; half of it is the first
            (0, 0, 5, 10),  # half of the first, a quarter of the second
            (0, 0, 4, 10),  # less than half of anything
            (100, 100, 120, 120),  # nothing
        ],
        dtype=np.float32,
    )
    assert matches(scene, edges).tolist() == [0, 1, 0, -1, -1]
