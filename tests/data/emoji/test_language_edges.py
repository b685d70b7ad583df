"""Language of unusual scenes, and the same language everywhere."""

import hashlib
import os
import subprocess
import sys

import pytest

from crosslook.data.emoji import trees
from crosslook.data.emoji.language import captions, paragraph
from crosslook.data.emoji.scene import Scene, Thing, sample_scene
from crosslook.data.emoji.trees import parse

NUMBERS = ("a", "an", "another", "one", "two", "three", "four", "five", "six")


@pytest.mark.parametrize(
    "things",
    [
        (Thing("dog", None, "medium", ((10, 10, 60, 60),)),),
        (Thing("jeans", "blue", "medium", ((10, 10, 60, 60),)),),
        (Thing("bird", "red", "small", tuple((20 * i, 10, 20 * i + 15, 25) for i in range(9))),),
    ],
)
def test_poor_scenes_are_told_too(things: tuple[Thing, ...]):
    scene = Scene("poor", 5, "beach", things, ())
    assert len([parse(tree) for tree in captions(scene)]) == 5
    assert [parse(tree) for tree in paragraph(scene)]
    if len(things[0].boxes) == 9:
        assert not any(word in NUMBERS for tree in captions(scene) for word in trees.tokens(parse(tree))[:3])


def test_a_scene_without_things():
    with pytest.raises(ValueError, match="scene 'none': expected things"):
        captions(Scene("none", 1, "park", (), ()))


def test_the_same_on_every_machine():
    """Hash seeds differ between processes; what is written must not."""
    program = (
        "import hashlib\nfrom crosslook.data.emoji.scene import sample_scene\n"
        "from crosslook.data.emoji.language import captions, paragraph\n"
        "scenes = [sample_scene('s', seed) for seed in range(20)]\n"
        "print(hashlib.sha256(repr([(captions(s), paragraph(s)) for s in scenes]).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    scenes = [sample_scene("s", seed) for seed in range(20)]
    here = hashlib.sha256(repr([(captions(s), paragraph(s)) for s in scenes]).encode()).hexdigest()
    assert digests == {here}
