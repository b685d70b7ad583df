"""Names that people gave to regions, to compare with what a detector says: LabelMatch of Frank et al. (2021, 6.5)."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from crosslook.ablation_examples import Example
from crosslook.data.sample import Sample

NOUNS = ("NOUN", "PROPN")


def nouns(samples: Sequence[Sample], chosen: Sequence[Example], backend: str = "stanza") -> list[tuple[str, ...]]:
    """The nouns of each example's phrase, in lower case, as a tagger finds them in the whole caption.

    Args:
        samples: the data set; captions with blanks between their tokens.
        chosen: examples of it.
        backend: as in `crosslook.text.parse`. The paper uses Stanza.
    """
    from crosslook.text import parse

    places = list(dict.fromkeys(one.sample for one in chosen))
    parsed = dict(zip(places, parse([samples[place].caption for place in places], backend, True), strict=True))
    found = []
    for one in chosen:
        phrase = samples[one.sample].phrases[one.phrase]
        inside = [t for t in parsed[one.sample].tokens if phrase.start <= t.start and t.end <= phrase.end]
        found.append(tuple(token.text.lower() for token in inside if token.upos in NOUNS))
    return found


def label_match(found: Sequence[Sequence[str]], classes: Sequence[str]) -> list[int | None]:
    """The class that each list of nouns names, None where they are no class's name, or that of several.

    All nouns together must be a name of the class, word by word: "stop sign" is one, "yellow stop sign" is not.

    Args:
        found: nouns of phrases, in any case.
        classes: names with blanks or underscores between words and commas between alternatives: "stop sign,stopsign".
    """
    named: dict[tuple[str, ...], set[int]] = {}
    for place, names in enumerate(classes):
        for name in names.lower().replace("_", " ").split(","):
            named.setdefault(tuple(name.split()), set()).add(place)
    matches = (named.get(tuple(noun.lower() for noun in each), set()) for each in found)
    return [next(iter(places)) if len(places) == 1 else None for places in matches]


def class_types(labels: Sequence[int | None], types: Sequence[str], n_classes: int) -> list[str]:
    """The entity type of each class: the most frequent one of its examples, "other" where there are none.

    Raises:
        ValueError: if there are not as many types as labels.
    """
    counts: list[Counter[str]] = [Counter() for _ in range(n_classes)]
    for label, kind in _pairs("types", labels, types):
        if label is not None:
            counts[label][kind] += 1
    return [count.most_common(1)[0][0] if count else "other" for count in counts]


def confusion(
    gold: Sequence[int], said: Sequence[int], types: Sequence[str], order: Sequence[str]
) -> Float[np.ndarray, "gold said"]:
    """Figure 6: of the times that a class of some type is said, how often wrongly, by type of the right class.

    Args:
        gold: classes by people.
        said: the detector's, as many.
        types: of each class.
        order: the types of rows and columns.

    Returns:
        A column adds up to the share of that type's predictions which are wrong; NaN for a type that is never said. The
        diagonal holds confusions within a type.

    Raises:
        ValueError: if there are not as many of both.
    """
    place = {kind: row for row, kind in enumerate(order)}
    wrong, times = np.zeros((len(order), len(order))), np.zeros(len(order))
    for right, given in _pairs("said", gold, said):
        times[place[types[given]]] += 1
        wrong[place[types[right]], place[types[given]]] += right != given
    with np.errstate(invalid="ignore"):
        return wrong / times


def _pairs(name: str, first: Sequence, second: Sequence) -> zip:
    if len(first) != len(second):
        raise ValueError(f"{name}: expected {len(first)}, as many as examples, got {len(second)}")
    return zip(first, second, strict=True)
