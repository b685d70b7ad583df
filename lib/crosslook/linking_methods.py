"""Four ways to say how similar a noun phrase and a region's label are, and how good their rankings are.

Ilinykh and Dobnik (2022, section 4 and Table 2): vectors of words multiplied or added up, BERTScore, and a
sentence-transformer (`crosslook.linking`). Where no file of GloVe vectors is given, static vectors of word pieces stand
in for them: the input embeddings of all-MiniLM-L6-v2, a word being the mean of its pieces. That is said wherever they
are used.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from crosslook import linking
from crosslook.data.sample import Sample

Similarity = Float[np.ndarray, "phrase region"]
Method = Callable[[Sequence[str], Sequence[str]], Similarity]
Vectors = Callable[[str], Float[np.ndarray, " dim"] | None]
"""A word's vector, None where it has none."""


def methods(vectors: Vectors | None = None) -> Mapping[str, Method]:
    """The methods of Table 2 by name: from phrases and labels to their similarities.

    `vectors`: of words, `read_glove(path)`; default: `static_vectors`.
    """
    of = vectors or static_vectors
    return {
        "GloVe multiply": partial(word_vectors, vectors=of, combine="multiply"),
        "GloVe add": partial(word_vectors, vectors=of, combine="add"),
        "BERTScore": bert_score,
        "sentence-transformer": linking.similarity,
    }


def word_vectors(phrases: Sequence[str], labels: Sequence[str], vectors: Vectors, combine: str) -> Similarity:
    """Cosine of the sums, or of the elementwise products, of word vectors; -1 where a text has no word with a vector.

    Raises:
        ValueError: `combine` is neither `"add"` nor `"multiply"`.
    """
    if combine not in ("add", "multiply"):
        raise ValueError(f"combine: expected add or multiply, got {combine!r}")
    reduce = np.sum if combine == "add" else np.prod

    @cache
    def vector(text: str) -> np.ndarray | None:
        found = [v for word in text.lower().split() if (v := vectors(word)) is not None]
        return reduce(np.stack(found).astype(np.float64), axis=0) if found else None

    def cosine(a: np.ndarray | None, b: np.ndarray | None) -> float:
        if a is None or b is None:
            return -1.0
        length = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(a @ b) / length if length else -1.0

    found = np.array([[cosine(vector(phrase), vector(label)) for label in labels] for phrase in phrases])
    return found.reshape(len(phrases), len(labels))


def read_glove(path: str | os.PathLike) -> Vectors:
    """Word vectors from a text file: on each line a word and its numbers, as GloVe is published.

    Raises:
        FileNotFoundError: no such file.
        ValueError: naming file and line, when one is not a word and numbers, or has another number of them.
    """
    path, table, width = Path(path), {}, None
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            word, *values = line.rstrip("\n").split(" ")
            try:
                vector = np.array(values, dtype=np.float32)
            except ValueError as error:
                raise ValueError(f"{path}: line {number}: expected a word and numbers ({error})") from error
            width = width or len(vector)
            if not word or len(vector) != width or not width:
                raise ValueError(f"{path}: line {number}: expected a word and {width} numbers, got {len(vector)}")
            table[word] = vector
    return table.get


@cache
def static_vectors(word: str) -> Float[np.ndarray, " dim"] | None:
    """The stand-in for GloVe: the mean input embedding of a word's pieces in all-MiniLM-L6-v2."""
    tokenizer, model = _bert()
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    if not ids:
        return None
    return model.get_input_embeddings().weight[ids].mean(0).numpy(force=True)


@torch.no_grad()
def bert_score(phrases: Sequence[str], labels: Sequence[str]) -> Similarity:
    """BERTScore's F1 (Zhang et al. 2020), without rescaling and idf, on the last layer of all-MiniLM-L6-v2.

    Each piece of one text is matched with the most similar piece of the other; F1 is the harmonic mean of both ways.
    [CLS] and [SEP] take part in no match. Texts without a piece get 0.
    """
    unique = list(dict.fromkeys([*phrases, *labels]))
    states = dict(zip(unique, _states(unique), strict=True))

    def f1(a: torch.Tensor, b: torch.Tensor) -> float:
        if not len(a) or not len(b):
            return 0.0
        cosines = a @ b.T
        recall, precision = cosines.amax(1).mean(), cosines.amax(0).mean()
        return float(2 * precision * recall / (precision + recall))

    found = np.array([[f1(states[label], states[phrase]) for label in labels] for phrase in phrases])
    return found.reshape(len(phrases), len(labels))


def average_precision(
    similarities: Float[np.ndarray, "phrase region"], gold: Sequence[frozenset[int]]
) -> Float[np.ndarray, " phrase"]:
    """How high a phrase's gold regions stand in its ranking of all regions of the image (their Eq. 4).

    Equal similarities count as one step. NaN for a phrase without a gold region.

    Raises:
        ValueError: for another number of gold links than phrases.
    """
    from sklearn.metrics import average_precision_score

    if len(gold) != len(similarities):
        raise ValueError(f"gold: expected one link for each of {len(similarities)} phrases, got {len(gold)}")
    truth = np.zeros(similarities.shape, dtype=bool)
    for row, right in zip(truth, gold, strict=True):
        row[list(right)] = True
    return np.array(
        [
            average_precision_score(right, row) if right.any() else np.nan
            for right, row in zip(truth, similarities, strict=True)
        ]
    )


def linked(similarities: Float[np.ndarray, "phrase region"], phrases: Sequence[str]) -> list[frozenset[int]]:
    """The most similar regions of each phrase, several where they tie; none for a phrase that names no object."""
    links = []
    for phrase, row in zip(phrases, similarities, strict=True):
        best = np.isclose(row, row.max(), rtol=0, atol=1e-6) if len(row) else row
        links.append(frozenset() if linking.ignored(phrase) else frozenset(np.flatnonzero(best).tolist()))
    return links


def compare(
    samples: Sequence[Sample], labels: Sequence[Sequence[str]], ways: Mapping[str, Method]
) -> dict[str, Float[np.ndarray, "image 3"]]:
    """Every way to link on the same phrases: for each image sums of hits and of average precisions, and phrases judged.

    Phrases without a gold region are not judged, nor are ignored ones, which no way links.

    Args:
        samples: with gold links, one text an image.
        labels: what the regions of each are called.
        ways: `methods()`.
    """
    found = {}
    for name, method in ways.items():
        rows = []
        for sample, names in zip(samples, labels, strict=True):
            said = [phrase.text for phrase in sample.phrases]
            similar = method(said, names)
            right = linking.hits(linked(similar, said), sample.links)
            ranks = average_precision(similar, sample.links)
            judged = ~np.isnan(right) & ~np.array([linking.ignored(each) for each in said], dtype=bool)
            rows.append([right[judged].sum(), ranks[judged].sum(), judged.sum()])
        found[name] = np.array(rows).reshape(-1, 3)
    return found


@cache
def _bert():
    model = linking.sentence_transformer()[0]
    return model.tokenizer, model.auto_model


def _states(texts: Sequence[str]) -> list[torch.Tensor]:
    """For each text the last states of its pieces, `(piece, dim)`, of length 1."""
    tokenizer, model = _bert()
    found: list[torch.Tensor] = []
    for start in range(0, len(texts), 256):
        some = list(texts[start : start + 256])
        inputs = tokenizer(some, padding=True, return_tensors="pt", return_special_tokens_mask=True)
        words = ~inputs.pop("special_tokens_mask").bool() & inputs["attention_mask"].bool()
        states = torch.nn.functional.normalize(model(**inputs).last_hidden_state, dim=-1)
        found += [rows[keep] for rows, keep in zip(states, words, strict=True)]
    return found
