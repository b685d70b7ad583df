"""How good the detector is: right names on object regions, and what its wrong ones are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from crosslook.data.detector import BACKGROUND


@dataclass(frozen=True)
class Quality:
    """Counts over regions; shares lie between 0 and 1 (NaN out of nothing).

    `accuracy`: of the regions that show an object, how many have its name; `interval`: its 95% bootstrap interval over
    images. `within_type`, `other_type`, `to_background`: what its mistakes are, summing to 1. `commonest`: accuracy of
    always giving the commonest name. `rejected`: share of background regions called background. `confusion` counts
    regions by the type of what they show (row) and of what they were called (column), in the order of `types`, the last
    of which is background. `confused` lists the commonest mistakes: (shown, called, regions).
    """

    accuracy: float
    interval: tuple[float, float]
    regions: int
    images: int
    within_type: float
    other_type: float
    to_background: float
    commonest: float
    rejected: float
    types: tuple[str, ...]
    confusion: Int[np.ndarray, "type type"]
    confused: tuple[tuple[str, str, int], ...]


def evaluate(
    shown: Sequence[Sequence[str]], called: Sequence[Sequence[str]], types: Mapping[str, str], top: int = 12
) -> Quality:
    """Compare the names of regions with what they show.

    Args:
        shown: for each image, what each of its regions shows (`"background"` where nothing).
        called: the detector's names of the same regions.
        types: class name -> type, without background.
        top: how many of the commonest mistakes to list.

    Raises:
        ValueError: where the two differ in length, or no region shows an object.
    """
    from crosslook.significance import bootstrap_ratio

    if [len(row) for row in shown] != [len(row) for row in called]:
        raise ValueError("shown, called: expected the same images with the same numbers of regions")
    objects = np.array([sum(name != BACKGROUND for name in row) for row in shown])
    right = np.array(
        [sum(a == b != BACKGROUND for a, b in zip(*rows, strict=True)) for rows in zip(shown, called, strict=True)]
    )
    if not objects.sum():
        raise ValueError("shown: expected a region that shows an object, got none")
    pairs = Counter(pair for rows in zip(shown, called, strict=True) for pair in zip(*rows, strict=True))
    kinds = (*dict.fromkeys(types.values()), BACKGROUND)
    place = {BACKGROUND: len(kinds) - 1} | {name: kinds.index(kind) for name, kind in types.items()}
    confusion = np.zeros((len(kinds), len(kinds)), dtype=np.int64)
    for (a, b), count in pairs.items():
        confusion[place[a], place[b]] += count
    wrong = {pair: count for pair, count in pairs.items() if pair[0] not in (BACKGROUND, pair[1])}
    lost = sum(count for (_, b), count in wrong.items() if b == BACKGROUND)
    near = sum(count for (a, b), count in wrong.items() if place[a] == place[b])
    mistakes = sum(wrong.values())
    names = Counter(name for row in shown for name in row if name != BACKGROUND)
    low, high = bootstrap_ratio(right, objects)
    return Quality(
        accuracy=float(right.sum() / objects.sum()),
        interval=(float(low), float(high)),
        regions=int(objects.sum()),
        images=len(objects),
        within_type=_share(near, mistakes),
        other_type=_share(mistakes - near - lost, mistakes),
        to_background=_share(lost, mistakes),
        commonest=names.most_common(1)[0][1] / int(objects.sum()),
        rejected=_share(int(confusion[-1, -1]), int(confusion[-1].sum())),
        types=kinds,
        confusion=confusion,
        confused=tuple((a, b, n) for (a, b), n in sorted(wrong.items(), key=lambda row: (-row[1], row[0]))[:top]),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def emoji_quality(split: str = "val", degrade: float = 0.0) -> Quality:
    """`evaluate` on the committed features of Emoji Entities: seconds, and no backbone."""
    from crosslook.data.detector import matches
    from crosslook.data.emoji.regions import detector_regions
    from crosslook.data.emoji.world import categories

    regions = detector_regions(split, degrade)
    shown, called = [], []
    for scene in regions.scenes:
        found = regions[scene.id]
        owners = matches(scene, found.boxes + np.array([0, 0, 1, 1], dtype=np.float32))
        shown.append([scene.things[i].category if i >= 0 else BACKGROUND for i in owners.tolist()])
        called.append(found.labels or ())
    return evaluate(shown, called, {key: category.type for key, category in categories().items()})
