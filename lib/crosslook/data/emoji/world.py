"""What the world of Emoji Entities holds: categories, colours, sizes, settings and predicates.

The categories are data (`data/emoji_entities/categories.json`); this module reads them. All weights are relative
frequencies: they make the world skewed as life is, so that a setting, a relation or an object predicts the rest.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from crosslook.paths import DATA

FOLDER: Path = DATA / "emoji_entities"
WIDTH, HEIGHT = 320, 240
"""Every image's size in pixels."""

TYPES = ("people", "bodyparts", "clothing", "animals", "instruments", "vehicles", "scene", "other")
"""The phrase types of Flickr30k Entities (Plummer et al. 2015), in its spelling."""
SETTINGS = ("room", "street", "park", "beach", "stage")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray")
SIZES = ("small", "medium", "large")
PREDICATES = (
    *("left_of", "right_of", "next_to", "near", "behind", "in_front_of", "on", "above", "under", "in"),
    *("wearing", "holding", "carrying", "riding", "driving", "playing", "sitting_on", "standing_on", "lying_on"),
    *("leaning_on", "hanging_from", "pulling", "pushing", "walking", "chasing", "kicking", "throwing", "feeding"),
    *("looking_at", "reading", "has"),
)


@dataclass(frozen=True)
class Category:
    """One kind of thing.

    `emoji` is None where the sprite is drawn by this project or where the thing is a part of a person. `size` is the
    longest side in pixels of a medium one in the foreground (0: it follows the person who wears or has it).
    `colours`, `settings`, `subject` and `object` map a name to its weight; `colours` is empty where the colour is
    never varied, and `subject`/`object` hold the predicates the thing can take part in. `roles` say how it is drawn:
    `doll` (a head with a drawn body), `figure` (one sprite), `part`, where it is worn, `sky`, `water`, `wall`,
    `floor`, ... `faces` is the side that the sprite looks to, if any.
    """

    key: str
    emoji: str | None
    type: str
    frequency: int
    size: int
    colours: MappingProxyType[str, int]
    settings: MappingProxyType[str, int]
    subject: MappingProxyType[str, int]
    object: MappingProxyType[str, int]
    roles: tuple[str, ...]
    faces: str | None


def _weights(row: dict, field: str, allowed: tuple[str, ...], where: str) -> MappingProxyType[str, int]:
    weights = row[field]
    for name, weight in weights.items():
        if name not in allowed or not isinstance(weight, int) or weight <= 0:
            raise ValueError(
                f"{where}: {field}: expected positive integers for names of {allowed}, got {name}={weight!r}"
            )
    return MappingProxyType(weights)


@cache
def categories(path: Path = FOLDER / "categories.json") -> MappingProxyType[str, Category]:
    """The categories by their key, in the order of the file.

    Raises ValueError naming the file and the category when a type, colour, setting or predicate is unknown.
    """
    world = {}
    for key, row in json.loads(path.read_text(encoding="utf-8")).items():
        where = f"{path}: {key}"
        if row["type"] not in TYPES:
            raise ValueError(f"{where}: type: expected one of {TYPES}, got {row['type']!r}")
        world[key] = Category(
            key=key,
            emoji=row["emoji"],
            type=row["type"],
            frequency=row["frequency"],
            size=row["size"],
            colours=_weights(row, "colours", COLOURS, where),
            settings=_weights(row, "settings", SETTINGS, where),
            subject=_weights(row, "subject", PREDICATES, where),
            object=_weights(row, "object", PREDICATES, where),
            roles=tuple(row["roles"]),
            faces=row["faces"],
        )
    return MappingProxyType(world)
