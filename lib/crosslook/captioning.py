"""How good are written texts? BLEU, METEOR, ROUGE-L, CIDEr-D and a word mover's score, with intervals over images.

Texts are compared as lists of words: lower case, without punctuation, as the evaluation of COCO captions does.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from crosslook import linking_methods, meteor
from crosslook.linking_methods import Vectors
from crosslook.significance import bootstrap_ratio

ORDERS = 4
"""Longest n-grams of BLEU and CIDEr-D."""
WIDTH = 6.0
"""CIDEr-D: how many words two lengths may differ before it matters much."""

ORDER = (*(f"BLEU-{n + 1}" for n in range(ORDERS)), "METEOR", "ROUGE-L", "CIDEr-D", "WMD")
"""Scores as papers list them."""

Words = list[str]


@dataclass(frozen=True, eq=False)
class Score:
    """A score of all texts with its 95% interval over images, and that of each image by itself.

    The score is the mean of the images' for all but BLEU and METEOR, which count in all texts together.
    """

    value: float
    interval: tuple[float, float]
    images: Float[np.ndarray, " image"]


def evaluate(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    vectors: Vectors | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Score]:
    """Compare texts, one for each image, with what people wrote about the same images.

    Papers often print 100 times these numbers.

    Args:
        texts: one an image; one without words scores 0.
        references: for each image at least one text, with words.
        vectors: of words, for the word mover's score (default: `linking_methods.static_vectors`).
        n_resamples, seed: of the intervals, as in `significance.bootstrap_ratio`.

    Returns:
        `BLEU-1` to `BLEU-4`, `METEOR`, `ROUGE-L` (0 to 1), `CIDEr-D` (0 to 10), `WMD` (0 to 1); more is better.
        `METEOR` is left out where it cannot be measured (`meteor.missing`).

    Raises:
        ValueError: fewer than two images, another number of references, or an image without a reference with words.
    """
    if len(texts) < 2:
        raise ValueError(f"texts: expected those of at least two images, got {len(texts)}")
    if len(references) != len(texts):
        raise ValueError(f"references: expected those of {len(texts)} images, got those of {len(references)}")
    said, truth = [split(text) for text in texts], [[split(text) for text in some] for some in references]
    for place, some in enumerate(truth):
        if not some or not all(some):
            raise ValueError(f"references: image {place}: expected texts with words, got {list(references[place])}")
    of = vectors or linking_methods.static_vectors
    means = {
        "ROUGE-L": rouge_l(said, truth),
        "CIDEr-D": cider_d(said, truth),
        "WMD": np.array([word_mover(text, some, of) for text, some in zip(said, truth, strict=True)]),
    }
    ends = {name: bootstrap_ratio(values, n_resamples=n_resamples, seed=seed) for name, values in means.items()}
    scores = {
        name: Score(float(values.mean()), (float(ends[name][0]), float(ends[name][1])), values)
        for name, values in means.items()
    }
    parts = _of_sums(bleu, bleu_counts(said, truth), n_resamples, seed)
    scores |= {f"BLEU-{n + 1}": part for n, part in enumerate(parts)}
    if meteor.missing() is None:
        counts = meteor.counts(said, truth)
        (scores["METEOR"],) = _of_sums(lambda sums: meteor.meteor(sums)[..., None], counts, n_resamples, seed)
    return {name: scores[name] for name in ORDER if name in scores}


def split(text: str) -> Words:
    """A text's words in lower case.

    >>> split("A red-haired man.")
    ['a', 'red', 'haired', 'man']
    """
    return re.findall(r"\w+", text.lower())


def _of_sums(of: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, n_resamples: int, seed: int) -> list[Score]:
    """Scores of what is counted in all texts together: `counts (image, count)`, `of (*, count) -> (*, score)`."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=n_resamples)
    value, images = of(counts.sum(0)), of(counts)
    low, high = np.quantile(of(drawn @ counts), [0.025, 0.975], axis=0)
    return [Score(float(value[i]), (float(low[i]), float(high[i])), images[:, i]) for i in range(len(value))]


def bleu_counts(said: Sequence[Words], truth: Sequence[Sequence[Words]]) -> Float[np.ndarray, "image 10"]:
    """What BLEU counts in a text, by torchmetrics.

    How many of its n-grams are in a reference (n = 1 to 4; not more often than there), how many it has, how long it is,
    and how long the reference of the closest length.
    """
    from torchmetrics.text import BLEUScore

    metric, rows = BLEUScore(n_gram=ORDERS), []
    for words, some in zip(said, truth, strict=True):
        metric.reset()
        metric.update([" ".join(words)], [[" ".join(other) for other in some]])
        parts = (metric.numerator, metric.denominator, metric.preds_len[None], metric.target_len[None])
        rows.append(np.concatenate([part.numpy() for part in parts]))
    return np.array(rows, dtype=np.float64)


def bleu(counts: Float[np.ndarray, "*corpus 10"]) -> Float[np.ndarray, "*corpus 4"]:
    """BLEU-1 to BLEU-4 from the sums of `bleu_counts` (Papineni et al. 2002), without smoothing.

    The geometric mean of the shares of n-grams that are in a reference, times exp(1 - r / c) where the texts' length c
    is less than the references' r. 0 where there is no such n-gram at all.
    """
    right, there, length, wanted = np.split(counts, [ORDERS, 2 * ORDERS, 2 * ORDERS + 1], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.log(np.where(there > 0, right / there, 0))
        brevity = np.where(length > 0, np.minimum(1 - wanted / length, 0), -np.inf)
    return np.exp(np.cumsum(shares, -1) / np.arange(1, ORDERS + 1) + brevity)


def rouge_l(said: Sequence[Words], truth: Sequence[Sequence[Words]]) -> Float[np.ndarray, " image"]:
    """F1 of the longest common subsequence, with the best reference (Lin 2004), by torchmetrics."""
    from torchmetrics.functional.text import rouge_score

    found = (
        rouge_score(" ".join(words), [" ".join(other) for other in some], accumulate="best", rouge_keys="rougeL")
        for words, some in zip(said, truth, strict=True)
    )
    return np.array([float(each["rougeL_fmeasure"]) for each in found])


def cider_d(said: Sequence[Words], truth: Sequence[Sequence[Words]]) -> Float[np.ndarray, " image"]:
    """CIDEr-D (Vedantam et al. 2015), 0 to 10, with document frequencies from these references.

    The mean over n = 1 to 4, and over references, of the cosine of n-gram counts weighted by how rare the n-grams are;
    counts of the text are cut down to the reference's, and a difference in length costs exp(-d^2 / (2 6^2)). As in the
    published program, weights come from plain counts, and n-grams that a text is too short for score 0.
    """
    images = len(truth)
    seen = Counter(gram for some in truth for gram in {gram for other in some for gram in _grams(other)})

    def weighted(words: Words) -> list[dict[tuple[str, ...], float]]:
        by_order: list[dict[tuple[str, ...], float]] = [{} for _ in range(ORDERS)]
        for gram, count in _grams(words).items():
            by_order[len(gram) - 1][gram] = count * np.log(images / max(seen[gram], 1))
        return by_order

    def similarity(words: Words, other: Words) -> float:
        cosines = [_clipped(a, b) for a, b in zip(weighted(words), weighted(other), strict=True)]
        return 10 * float(np.exp(-((len(words) - len(other)) ** 2) / (2 * WIDTH**2)) * np.mean(cosines))

    return np.array(
        [np.mean([similarity(words, other) for other in some]) for words, some in zip(said, truth, strict=True)]
    )


def _grams(words: Words) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for n in range(1, ORDERS + 1) for i in range(len(words) - n + 1))


def _clipped(a: dict[tuple[str, ...], float], b: dict[tuple[str, ...], float]) -> float:
    """Cosine, where weights of `a` above those of `b` count as these in the product."""
    length = float(np.linalg.norm([*a.values()]) * np.linalg.norm([*b.values()]))
    return sum(min(weight, b[gram]) * b[gram] for gram, weight in a.items() if gram in b) / length if length else 0.0


def word_mover(words: Words, references: Sequence[Words], vectors: Vectors) -> float:
    """exp(-d), where d is how far the words of a text must be moved to become those of the closest reference.

    The distance is Kusner et al.'s (2015), on vectors of length 1 and with all words; the exponential makes a score of
    it, as Kilickaya et al. (2017) do. Words without a vector are left out; a text without others scores 0.
    """
    distances = [_moved(words, other, vectors) for other in references]
    return float(np.exp(-min(distances)))


def _moved(words: Words, other: Words, vectors: Vectors) -> float:
    from scipy.spatial.distance import cdist

    (places_a, mass_a), (places_b, mass_b) = (_masses(some, vectors) for some in (words, other))
    if not len(mass_a) or not len(mass_b):
        return np.inf
    return transport(mass_a, mass_b, cdist(places_a, places_b))


def _masses(words: Words, vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 of the different words, `(word, dim)`, and each word's share of the text."""
    known = {word: vector for word in dict.fromkeys(words) if (vector := vectors(word)) is not None and vector.any()}
    counts = Counter(word for word in words if word in known)
    places = np.array([*known.values()], dtype=np.float64)
    shares = np.array([counts[word] for word in known]) / max(sum(counts.values()), 1)
    return places / np.linalg.norm(places, axis=-1, keepdims=True), shares


def transport(
    supply: Float[np.ndarray, " here"], demand: Float[np.ndarray, " there"], cost: Float[np.ndarray, "here there"]
) -> float:
    """The least cost of moving all supply to where the demand is (Kantorovich's problem), exact, by linear programming.

    Args:
        supply, demand: at least 0, and of the same sum.
        cost: of moving one unit from here to there.

    Raises:
        ValueError: when there is no way to move them: their sums differ.
    """
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    here, there = cost.shape
    rows = kron(eye_array(here), np.ones((1, there)))
    columns = kron(np.ones((1, here)), eye_array(there))
    # What leaves the last place follows from the rest; asked for twice it would have to agree to the last digit.
    found = linprog(cost.ravel(), A_eq=vstack([rows, columns]).tocsr()[:-1], b_eq=np.concatenate([supply, demand])[:-1])
    if not found.success or not np.isclose(supply.sum(), demand.sum()):
        raise ValueError(f"supply, demand: expected the same sum, got {supply.sum():g} and {demand.sum():g}")
    return float(found.fun)
