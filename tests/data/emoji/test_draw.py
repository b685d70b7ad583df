"""Drawings: what the scene says is what the pixels show."""

import numpy as np
import pytest
from PIL import Image

from crosslook.data.emoji import body
from crosslook.data.emoji.backgrounds import VARIANTS, background
from crosslook.data.emoji.draw import draw
from crosslook.data.emoji.scene import Scene, Thing
from crosslook.data.emoji.sprites import RGB, hue
from crosslook.data.emoji.world import SETTINGS, categories

LINED = ("walking", "pulling", "looking_at", "feeding")
"""Relations with a lead, a rope, a string or a biscuit, which lie outside the boxes."""


def pixels(scene: Scene, without=()) -> np.ndarray:
    return np.asarray(draw(scene, without)).astype(int)


def changed(scene: Scene, full: np.ndarray, i: int) -> np.ndarray:
    """Which pixels thing `i` (with what it wears) is responsible for."""
    gone = {i} | {o for s, p, o in scene.relations if s == i and p == "wearing"}
    return np.abs(full - pixels(scene, gone)).sum(axis=-1) > 30


def test_size_and_mode(scenes):
    image = draw(scenes[0])
    assert image.size == (320, 240)
    assert image.mode == "RGB"


def test_the_same_picture_twice_and_caches_untouched(scenes):
    first = [draw(scene).tobytes() for scene in scenes[:30]]
    assert first == [draw(scene).tobytes() for scene in scenes[:30]]
    assert len(set(first)) == 30


def test_things_are_seen_in_their_boxes_and_nowhere_else(scenes):
    """Without a thing the picture changes in its boxes (and by its shadow beside them), in each of them."""
    checked = 0
    for scene in scenes[:60]:
        full = pixels(scene)
        for i, thing in enumerate(scene.things):
            worn = any(o == i and p == "wearing" for _, p, o in scene.relations)
            if thing.part_of is not None or worn or any(i in (s, o) and p in LINED for s, p, o in scene.relations):
                continue
            difference = changed(scene, full, i)
            around = np.zeros_like(difference)
            for x1, y1, x2, y2 in thing.boxes:
                assert difference[y1:y2, x1:x2].mean() > 0.08, (scene.seed, thing)
                # A shadow is a sixth wider than the thing; a hat or a hand may stand a little over the frame.
                x, y = 10 + (x2 - x1) // 8, 10 + (y2 - y1) // 8
                around[max(0, y1 - 2 * y) : y2 + y, max(0, x1 - x) : x2 + x] = True
            for s, p, o in scene.relations:
                if s == i and p == "wearing":
                    for x1, y1, x2, y2 in scene.things[o].boxes:
                        around[y1:y2, x1:x2] = True
            assert not (difference & ~around).any(), (scene.seed, thing)
            checked += 1
    assert checked > 250


@pytest.mark.parametrize("key", ["dog", "car", "tree", "guitar", "giraffe", "airplane", "man", "soccer_ball"])
def test_a_box_is_tight(key):
    """Alone in a picture, a thing reaches (nearly) all edges of its box; a person has some air beside."""
    box = (100, 60, 153, 180) if key == "man" else (100, 80, 180, 160)
    colour = next(iter(categories()[key].colours), None)
    scene = Scene("x", 3, "park", (Thing(key, colour, "medium", (box,)),), ())
    rows, columns = np.nonzero(np.abs(pixels(scene) - pixels(scene, {0})).sum(axis=-1) > 120)
    x1, y1, x2, y2 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    assert abs(y1 - box[1]) <= 6
    assert abs(y2 - box[3]) <= 12
    assert abs(x1 - box[0]) <= 10
    assert abs(x2 - box[2]) <= 10


def test_clothes_change_their_own_boxes(scenes):
    checked = 0
    for scene in scenes[:60]:
        full = pixels(scene)
        for _, predicate, o in scene.relations:
            if predicate != "wearing":
                continue
            thing = scene.things[o]
            difference = np.abs(full - pixels(scene, {o})).sum(axis=-1) > 30
            for x1, y1, x2, y2 in thing.boxes:
                assert difference[y1:y2, x1:x2].mean() > 0.04, (scene.seed, thing)
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("colour", ["red", "blue", "green", "yellow", "black", "white"])
def test_a_coloured_shirt_is_that_colour(colour):
    man = (130, 80, 184, 202)
    shirt = body.worn("t_shirt", man, "stand")
    things = (Thing("man", None, "medium", (man,)), Thing("t_shirt", colour, "medium", (shirt,)))
    image = pixels(Scene("x", 3, "park", things, ((0, "wearing", 1),)))
    x, y = (shirt[0] + shirt[2]) // 2, (shirt[1] + shirt[3]) // 2
    median = np.median(image[y - 6 : y + 7, x - 6 : x + 7].reshape(-1, 3), axis=0)
    assert min(RGB, key=lambda name: np.abs(median - np.array(RGB[name])).sum()) == colour


def test_hair_of_the_colour_that_is_said():
    man = (130, 80, 184, 202)
    for colour in body.hair_colours("man", False):
        look = body.variant("man", man, colour)
        assert look["hair_colour"] == colour
        hands = body.hands((Thing("man", None, "medium", (man,)),), (), 0, 0, "stand")
        hair = body.part_box("hair", look, man, "stand", hands)
        things = (Thing("man", None, "medium", (man,)), Thing("hair", colour, "medium", (hair,), 0))
        image = pixels(Scene("x", 3, "room", things, ((0, "has", 1),)))
        x, y = (hair[0] + hair[2]) // 2, hair[1] + 4
        seen = np.median(image[y - 2 : y + 3, x - 4 : x + 5].reshape(-1, 3), axis=0)
        degrees, chroma = (int(v[0]) for v in hue(seen[None].astype(np.int32)))
        light = seen.mean()
        expected = {
            "black": light < 70,
            "brown": light < 90,
            "yellow": 35 <= degrees <= 55 and chroma > 90,
            "red": (degrees <= 25 or degrees >= 345) and chroma > 120,
            "gray": chroma < 30 and light > 120,
        }
        assert expected[colour], (colour, seen)


def test_faces_are_skin():
    """The middle of the face's box is of the skin that the hands have."""
    man = (130, 80, 184, 202)
    for x in range(100, 130, 3):
        box = (x, man[1], x + 54, man[3])
        look = body.variant("man", box)
        scene = Scene("x", 3, "park", (Thing("man", None, "medium", (box,)),), ())
        face = body.part_box("face", look, box, "stand", body.HANDS)
        image = pixels(scene)[face[1] : face[3], face[0] : face[2]].reshape(-1, 3)
        near = np.abs(image - np.array(look["skin"])).sum(axis=1) < 60
        assert near.mean() > 0.3, look["name"]


def test_postures_follow_relations():
    names = ["man", "chair", "horse", "skateboard", "car", "bed"]
    cases = {("sitting_on", 1): "sit", ("riding", 2): "ride", ("riding", 3): "stand", ("driving", 4): "bust"}
    cases |= {("lying_on", 5): "lie", ("next_to", 1): "stand"}
    for (predicate, o), expected in cases.items():
        assert body.posture("man", 0, [(0, predicate, o)], names) == expected
    assert body.posture("baby", 0, [], names) == "sit"


def test_hands_reach_what_is_held():
    man, ball = (130, 80, 184, 202), (176, 140, 200, 164)
    things = (Thing("man", None, "medium", (man,)), Thing("basketball", "orange", "medium", (ball,)))
    left, right = body.hands(things, ((0, "holding", 1),), 0, 0, "stand")
    x, y = body.at(man, "stand", *right)
    assert ball[0] - 4 <= x <= ball[2]
    assert ball[1] <= y <= ball[3]
    assert left == body.HANDS[0]


@pytest.mark.parametrize("setting", SETTINGS)
def test_backgrounds(setting):
    pictures = [background(setting, number) for number in range(VARIANTS)]
    assert all(p.size == (320, 240) and p.mode == "RGB" for p in pictures)
    assert len({p.tobytes() for p in pictures}) == VARIANTS
    # The ground is not the backdrop.
    for picture in pictures:
        array = np.asarray(picture).astype(int)
        assert np.abs(array[:40].mean(axis=(0, 1)) - array[-40:].mean(axis=(0, 1))).sum() > 15


def test_every_category_can_be_drawn():
    for key, category in categories().items():
        if category.type == "bodyparts" or category.roles[:1] in [("hat",), ("eyes",), ("neck",)]:
            continue
        colour = next(iter(category.colours), None)
        scene = Scene("x", 1, "stage", (Thing(key, colour, "large", ((120, 60, 200, 160),)),), ())
        assert isinstance(draw(scene), Image.Image)
        assert draw(scene).tobytes() != background("stage", 1).tobytes(), key
