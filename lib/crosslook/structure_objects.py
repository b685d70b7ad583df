"""The objects of a picture: what its regions show, how these objects are grouped, and who is part of whom.

A detector proposes several boxes for a thing and many for none. So that a head which finds the other boxes of the same
thing is not taken for one that relates things, the analyses of `notebooks/structure.ipynb` go from object to object: an
annotated box, with all regions that show it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from crosslook import linking
from crosslook.boxes import iot, iou
from crosslook.data.flickr30k import link
from crosslook.data.sample import Sample

OVERLAP = 0.5
"""A region shows an object when its IoU with the object's box is at least this; of several, the one with the most."""
LOOSE = frozenset({"other", "notvisual"})
"""Types that are no themes: two things that fit nowhere have nothing in common."""
PARTS, WHOLES = frozenset({"bodyparts", "clothing"}), frozenset({"people"})
INSIDE = 0.7
"""A part has at least so much of its box inside that of its whole."""
BACKGROUND = "background"

Square = Bool[np.ndarray, "object object"]


@dataclass(frozen=True, eq=False)
class Objects:
    """What is to be seen in a picture: annotated boxes, their types, and the regions that show them.

    `boxes` are `xyxy`, pixels, the last included. `types` are those of Flickr30k Entities. `regions[o, r]`: region r
    shows object o; every object has one at least, every region shows one at most. `names` is what the detector calls
    most of an object's regions. `features` is the mean of theirs, None where there are none.
    """

    boxes: Float[np.ndarray, "object 4"]
    types: tuple[str, ...]
    regions: Bool[np.ndarray, "object region"]
    names: tuple[str, ...]
    features: Float[np.ndarray, "object dim"] | None

    def __len__(self) -> int:
        return len(self.boxes)


def find(sample: Sample, descriptions: Sequence[Sample] = ()) -> Objects:
    """The objects of a picture: all boxes of the phrases of its descriptions, as far as some region shows them.

    Args:
        sample: gives the regions, and its phrases.
        descriptions: more texts about the same picture.

    Raises:
        ValueError: for a description of another picture.
    """
    # Of the phrases that share a box ("two people", "the girl") the one with the fewest says best what is in it.
    said: dict[tuple[float, ...], tuple[int, str, str]] = {}
    for each in (sample, *descriptions):
        if each.image_id != sample.image_id:
            raise ValueError(f"descriptions: expected texts about {sample.image_id}, got one about {each.image_id}")
        for phrase in each.phrases:
            for box in phrase.boxes.tolist():
                known = said.get(tuple(box))
                if known is None or len(phrase.boxes) < known[0]:
                    said[tuple(box)] = (len(phrase.boxes), phrase.types[0], phrase.text)
    boxes = np.array(list(said), dtype=np.float32).reshape(-1, 4)
    shown = shows(boxes, sample.regions.boxes)
    seen = shown.any(1)
    shown, boxes = shown[seen], boxes[seen]
    known = [each for each, is_seen in zip(said.values(), seen, strict=True) if is_seen]
    labels, features = sample.regions.labels, sample.regions.features
    names = [_name(row, labels, text) for row, (_, _, text) in zip(shown, known, strict=True)]
    means = None if features is None else (shown / shown.sum(1, keepdims=True)) @ features.astype(np.float64)
    return Objects(boxes, tuple(kind for _, kind, _ in known), shown, tuple(names), means)


def shows(
    boxes: Float[np.ndarray, "object 4"], regions: Float[np.ndarray, "region 4"]
) -> Bool[np.ndarray, "object region"]:
    """Which regions show which object, of the objects that a region could show the one that it overlaps most."""
    if not len(boxes):
        return np.zeros((0, len(regions)), dtype=bool)
    overlap = iou(torch.tensor(boxes), torch.tensor(regions), inclusive=True).numpy()
    best = np.arange(len(boxes))[:, None] == overlap.argmax(0)
    return best & (overlap >= OVERLAP)


def _name(shown: Bool[np.ndarray, " region"], labels: Sequence[str] | None, text: str) -> str:
    said = [] if labels is None else [labels[region] for region in np.flatnonzero(shown)]
    counted = Counter(label for label in said if label != BACKGROUND)
    return counted.most_common(1)[0][0].replace("_", " ") if counted else text


def mentioned(sample: Sample, objects: Objects) -> Bool[np.ndarray, " object"]:
    """The objects that a description talks about."""
    said = {tuple(box) for phrase in sample.phrases for box in phrase.boxes.tolist()}
    return np.array([tuple(box) in said for box in objects.boxes.tolist()], dtype=bool)


def under(sample: Sample, description: Sample) -> Sample:
    """The picture of a sample with another text. If that is about another picture, no phrase is linked."""
    links = tuple(frozenset() for _ in description.phrases)
    if description.image_id == sample.image_id:
        links = link(description.phrases, sample.regions)
    text = {name: getattr(description, name) for name in ("caption", "caption_index", "phrases")}
    return replace(sample, **text, links=links)


def only(sample: Sample, places: Sequence[int]) -> Sample:
    """The sample with some of its phrases alone."""
    phrases, links = (tuple(each[place] for place in places) for each in (sample.phrases, sample.links))
    return replace(sample, phrases=phrases, links=links)


def rivals(descriptions: Sequence[Sample], objects: Objects) -> tuple[int, int] | None:
    """The two descriptions of a picture that differ most: each talks of objects that the other leaves out.

    Their places, the first ones where several differ alike; None where of any two one says all that the other does.
    """
    said = [mentioned(each, objects) for each in descriptions]
    apart = {(i, j): min((a & ~b).sum(), (b & ~a).sum()) for (i, a), (j, b) in combinations(enumerate(said), 2)}
    best = max(apart, key=lambda pair: apart[pair], default=None)
    return best if best is not None and apart[best] > 0 else None


def alike(descriptions: Sequence[Sample], objects: Objects) -> tuple[int, int] | None:
    """The first two descriptions in other words that talk of the same objects; None where there are none."""
    said = [(each.caption, mentioned(each, objects)) for each in descriptions]
    for (i, (text, a)), (j, (other, b)) in combinations(enumerate(said), 2):
        if text != other and (a == b).all():
            return i, j
    return None


def others(n: int) -> Square:
    """All pairs of different objects among n."""
    return ~np.eye(n, dtype=bool)


def related(labels: Sequence[str] | Int[np.ndarray, " object"], loose: frozenset = LOOSE) -> tuple[Square, Square]:
    """Pairs of objects of the same cluster, and of different ones; an object and itself are neither.

    Args:
        labels: each object's cluster.
        loose: what is no cluster: two objects of it are no pair, one of it and one of another are different.
    """
    labels = np.asarray(labels)
    same = (labels[:, None] == labels[None]) & others(len(labels))
    return same & ~np.isin(labels, list(loose))[:, None], labels[:, None] != labels[None]


def clusters(features: Sequence[Float[np.ndarray, "_ dim"]], k: int, seed: int = 0) -> list[Int[np.ndarray, " _"]]:
    """k-means over the objects of all pictures, on features of length 1; the clusters of each picture's objects.

    Raises:
        ValueError: for fewer than one cluster.
    """
    from sklearn.cluster import KMeans

    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    rows = np.concatenate(features)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    k = min(k, len(np.unique(rows, axis=0)))
    found = (
        KMeans(k, n_init=10, random_state=seed).fit(rows).labels_.astype(np.int64)
        if k > 1
        else np.zeros(len(rows), np.int64)
    )
    return np.split(found, np.cumsum([len(each) for each in features])[:-1])


def shuffled(labels: Sequence[Shaped[np.ndarray, " _"]], seed: int = 0) -> list[Shaped[np.ndarray, " _"]]:
    """The same clusters, given to the objects of each picture by chance."""
    random = np.random.default_rng(seed)
    return [random.permutation(np.asarray(each)) for each in labels]


def parts(objects: Objects) -> Square:
    """`[p, w]`: p is a part of w: a body part or a piece of clothing, and the person whose box holds it.

    Where several people's boxes do, that whose box is the smallest.
    """
    n = len(objects)
    found = np.zeros((n, n), dtype=bool)
    if not n:
        return found
    boxes = torch.tensor(objects.boxes)
    inside = iot(boxes, boxes, inclusive=True).numpy()
    width, height = (objects.boxes[:, 2:] - objects.boxes[:, :2] + 1).T
    people = np.array([kind in WHOLES for kind in objects.types])
    for part in range(n):
        holders = np.flatnonzero(people & (inside[part] >= INSIDE))
        if objects.types[part] in PARTS and len(holders):
            found[part, holders[np.argmin((width * height)[holders])]] = True
    return found


def similarities(names: Sequence[Sequence[str]]) -> list[Float[np.ndarray, "_ _"]]:
    """For each picture how similar the names of its objects are in meaning: cosine of sentence embeddings."""
    words = list(dict.fromkeys(name for each in names for name in each))
    place = {word: number for number, word in enumerate(words)}
    vectors = linking.embed(words).astype(np.float64) if words else np.zeros((0, 1))
    stacks = [vectors[[place[name] for name in each]] for each in names]
    return [stack @ stack.T for stack in stacks]


def cosines(features: Float[np.ndarray, "object dim"]) -> Float[np.ndarray, "object object"]:
    """How alike objects look: cosine of their features."""
    rows = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return rows @ rows.T


def top_quarter(values: Float[np.ndarray, "object object"]) -> Square:
    """The quarter of pairs of different objects with the largest values, more where they tie."""
    pairs = others(len(values))
    return pairs & (values >= np.quantile(values[pairs], 0.75)) if pairs.any() else pairs
