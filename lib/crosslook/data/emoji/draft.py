"""Things that are being placed, and the dice: weights, sizes, perspective."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from crosslook.data.emoji.rules import Box
from crosslook.data.emoji.sprites import index
from crosslook.data.emoji.world import HEIGHT, WIDTH, Category, categories

MIN_SIDE = 13
"""No box is narrower or lower than this many pixels."""
PER_CENT = {"small": 75, "medium": 100, "large": 130}
DOLL_PER_CENT = {"small": 88, "medium": 100, "large": 116}
"""What the size words do to things and to people."""

GROUND = {"room": (150, 176), "street": (150, 172), "park": (138, 166), "beach": (146, 172), "stage": (156, 180)}
"""Per setting, where the back of the ground is (houses and walls stand there) and the furthest ground people use."""
SEA = (116, 136)
FRONT = 232


@dataclass
class Draft:
    """A thing that is being placed.

    `tall` is a doll's standing height. Drawing goes by `depth` (where it stands; None: where its cluster stands), then
    by `layer` within a cluster.
    """

    category: str
    colour: str | None
    size: str
    boxes: list[Box]
    layer: int = 0
    depth: int | None = None
    tall: int = 0
    part_of: "Draft | None" = None
    attached: "Draft | None" = None


@dataclass
class Cluster:
    """Drafts and their relations, standing at `ground` (the y of the feet, which orders clusters)."""

    ground: int
    drafts: list[Draft] = field(default_factory=list)
    relations: list[tuple[Draft, str, Draft]] = field(default_factory=list)


def pick(rng: Random, weights: Mapping[str, int]) -> str:
    """A key, with probability proportional to its weight."""
    at = rng.randrange(sum(weights.values()))
    for key, weight in weights.items():
        at -= weight
        if at < 0:
            return key
    raise AssertionError("unreachable: the weights add up")


def chance(rng: Random, per_cent: int) -> bool:
    return rng.randrange(100) < per_cent


def scale(ground: int) -> int:
    """Thousandths: things are drawn smaller the further back they stand."""
    return 1000 - 4 * max(0, min(130, FRONT - ground))


def dimensions(category: Category, size: str, ground: int) -> tuple[int, int]:
    """Width and height in pixels of a thing (not a doll) standing at `ground`."""
    people = index()["people"].get(category.key)
    width, height = people[0]["size"] if people else index()["things"][category.key]["size"]
    longest = category.size * PER_CENT[size] * scale(ground) // 100_000
    side = max(width, height)
    return max(1, longest * width // side), max(1, longest * height // side)


def draft(rng: Random, key: str, layer: int = 0, varied: bool = True) -> Draft:
    """A thing of this category with a colour and a size, not yet placed."""
    category = categories()[key]
    colour = pick(rng, category.colours) if category.colours else None
    doll = "doll" in category.roles
    spread = {"medium": 90, "large": 6, "small": 4} if doll else {"medium": 66, "small": 17, "large": 17}
    return Draft(key, colour, pick(rng, spread) if varied else "medium", [], layer)


def large_enough(boxes: list[Box]) -> bool:
    """Inside the image and no side shorter than MIN_SIDE?"""
    return all(
        min(x1, y1) >= 0 and x2 <= WIDTH and y2 <= HEIGHT and min(x2 - x1, y2 - y1) >= MIN_SIDE
        for x1, y1, x2, y2 in boxes
    )
