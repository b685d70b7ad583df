"""Region proposals as a detector gives them: loose, doubled, partial, some on nothing.

They follow from the scene's seed alone, through additions, multiplications and comparisons of floats, so that they are
the same on every machine.
"""

import random
from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from crosslook.data.emoji.rules import Box
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.world import HEIGHT, WIDTH

COUNT = 36
"""Proposals an image, as in the bottom-up-attention features that the studies use (Anderson et al. 2018)."""
MIN_SIDE = 8
"""No proposal is narrower or lower, in pixels."""


def proposals(scene: Scene) -> Int[np.ndarray, "36 4"]:
    """36 boxes `(x1, y1, x2, y2)` in pixels, right and bottom edge exclusive, inside the image, in no order.

    Every object gets one that is roughly right (over 97% of the objects are hit with IoU >= 0.5, see the tests); the
    rest are seconds, parts, pairs and background.
    """
    rng = random.Random(f"proposals {scene.seed}")
    objects = [box for thing in scene.things for box in thing.boxes]
    largest = sorted(objects, key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))
    boxes = [_loose(box, rng, 0.2) for box in largest[:COUNT]]
    kinds: list[Callable[[list[Box], random.Random], Box]] = [_second] * 8 + [_part] * 5 + [_pair] * 3 + [_ground] * 4
    while len(boxes) < COUNT:
        boxes.append(_pick(kinds, rng)(objects, rng))
    keyed = sorted((rng.random(), box) for box in boxes)
    return np.array([box for _, box in keyed], dtype=np.int64)


def _pick(items: list, rng: random.Random):
    # Not rng.choice: only random() is promised to stay the same in all versions of Python.
    return items[int(rng.random() * len(items))]


def _between(low: float, high: float, rng: random.Random) -> float:
    return low + (high - low) * rng.random()


def _inside(x1: float, y1: float, x2: float, y2: float) -> Box:
    """Rounded to whole pixels, at least `MIN_SIDE` wide and high, and pushed into the image."""
    edges: list[int] = []
    for low, high, length in ((x1, x2, WIDTH), (y1, y2, HEIGHT)):
        start = min(max(int(low + 0.5), 0), length - MIN_SIDE)
        edges += [start, min(max(int(high + 0.5), start + MIN_SIDE), length)]
    return edges[0], edges[2], edges[1], edges[3]


def _loose(box: Box, rng: random.Random, by: float) -> Box:
    """Every edge moved on its own, by at most this share of the box's width or height."""
    x1, y1, x2, y2 = box
    w, h = by * (x2 - x1), by * (y2 - y1)
    left, top, right, bottom = (_between(-1, 1, rng) for _ in range(4))
    return _inside(x1 + w * left, y1 + h * top, x2 + w * right, y2 + h * bottom)


def _second(objects: list[Box], rng: random.Random) -> Box:
    """Another go at an object, looser than the first."""
    return _loose(_pick(objects, rng), rng, 0.3)


def _part(objects: list[Box], rng: random.Random) -> Box:
    """A side of an object: 35% to 75% of its width and height."""
    x1, y1, x2, y2 = _pick(objects, rng)
    w, h = (x2 - x1) * _between(0.35, 0.75, rng), (y2 - y1) * _between(0.35, 0.75, rng)
    left, top = _between(x1, x2 - w, rng), _between(y1, y2 - h, rng)
    return _inside(left, top, left + w, top + h)


def _pair(objects: list[Box], rng: random.Random) -> Box:
    """One box around two objects, or twice as large as one when both picks are the same."""
    a, b = _pick(objects, rng), _pick(objects, rng)
    if a == b:
        return _inside(*(1.25 * p - 0.25 * q for p, q in zip(a, (a[2], a[3], a[0], a[1]), strict=True)))
    return _inside(min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def _ground(objects: list[Box], rng: random.Random) -> Box:
    """Anywhere: of eight tries, the box with the smallest share of it on objects."""
    tries = []
    for _ in range(8):
        w, h = _between(24, 130, rng), _between(24, 110, rng)
        left, top = _between(0, WIDTH - w, rng), _between(0, HEIGHT - h, rng)
        x1, y1, x2, y2 = box = _inside(left, top, left + w, top + h)
        covered = sum(max(0, min(x2, o[2]) - max(x1, o[0])) * max(0, min(y2, o[3]) - max(y1, o[1])) for o in objects)
        tries.append((covered / ((x2 - x1) * (y2 - y1)), box))
    return min(tries)[1]
