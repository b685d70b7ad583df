"""Cross-modal input ablation (Frank et al. 2021): what does a model lose on one modality without the other?

A *condition* is a batch in which something is missing: regions that lost their features, or words that became [MASK].
Every function here takes several conditions of the same examples and gives one loss for each example and condition, in
bits, so that conditions can be compared pair by pair. Conditions are new batches: what they were made from stays as it
was. To ask something new, make another batch:

    background = without_regions(cases.batch, ~cases.hits(), filler)
    losses = word_bits(model, cases, {"none": cases.batch, "background": background})
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from crosslook.ablation_conditions import mask_id, stacked, take, without_regions, without_words
from crosslook.ablation_examples import THRESHOLD, Cases
from crosslook.data.sample import Batch
from crosslook.models.protocol import Encoded, head

ROWS = 128
"""How many rows go through a model at a time; logits over 30,000 words take 3 MB a row."""

Losses = dict[str, Float[Tensor, " batch"]]
Conditions = Mapping[str, Batch]


@torch.no_grad()
def word_bits(model: nn.Module, cases: Cases, conditions: Conditions) -> Losses:
    """Masked-language loss of each phrase (Eq. 1) under several conditions.

    All tokens of the phrase become [MASK] in every condition, and the loss is the mean over them.

    Args:
        model: with a head for masked words.
        cases: the examples.
        conditions: by name, batches of the same rows. Of their own captions only the phrase is overwritten.

    Returns:
        For each condition one loss an example, in bits; NaN for a phrase without tokens.

    Raises:
        ValueError: for a model without such a head, or conditions of other rows.
    """
    _check(conditions, len(cases))
    logits_of, mask = head(model, "word_logits"), mask_id(model)
    hidden = {name: without_words(batch, cases.phrase, mask) for name, batch in conditions.items()}

    def read(encoded: Encoded, rows: Tensor) -> Tensor:
        asked = cases.phrase[rows]
        logits = logits_of(encoded)
        losses = torch.zeros(asked.shape, dtype=logits.dtype, device=logits.device)
        losses[asked] = F.cross_entropy(logits[asked], cases.batch.ids[rows][asked], reduction="none")
        return losses.sum(1) / asked.sum(1) / log(2)

    return _through(model, hidden, len(cases), read)


@torch.no_grad()
def region_log_probs(
    model: nn.Module, cases: Cases, conditions: Conditions, threshold: float = THRESHOLD
) -> dict[str, Float[Tensor, "batch class"]]:
    """What a model says of the region that shows the phrase best, under several conditions, as log-probabilities.

    In every condition the region and all others that are hit have features of 0 (section 4.3), and the row for the
    whole image, where a model has one, is the mean of what is left. The published program does so for words only; here
    it keeps the mean of all regions, of which the hidden ones are a part.

    Returns:
        For each condition `(batch, class)`, in nats; NaN where no region is hit.

    Raises:
        ValueError: for a model without a head for regions, or conditions of other rows.
    """
    _check(conditions, len(cases))
    logits_of, target = head(model, "region_logits"), cases.target(threshold)
    zero = torch.zeros(1, device=target.device)
    hidden = {
        name: without_regions(batch, cases.hits(threshold), zero.expand(batch.features.shape[-1]))
        for name, batch in conditions.items()
    }

    def read(encoded: Encoded, rows: Tensor) -> Tensor:
        place = target[rows]
        logits = logits_of(encoded)[torch.arange(len(rows), device=place.device), place]
        return logits.log_softmax(-1).masked_fill(place[:, None] < 0, torch.nan)

    return _through(model, hidden, len(cases), read)


def kl_bits(said: Float[Tensor, "batch class"], silver: Float[Tensor, "batch class"]) -> Float[Tensor, " batch"]:
    """Kullback-Leibler divergence (Eq. 2) of log-probabilities `said` from the detector's distribution, in bits."""
    return (silver.xlogy(silver) - silver * said).sum(-1) / log(2)


def xe_bits(said: Float[Tensor, "batch class"], labels: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Cross-entropy with one class each, in bits; NaN for a label of -1, which means that there is none."""
    right = said.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    return (-right / log(2)).masked_fill(labels < 0, torch.nan)


def silver(cases: Cases, threshold: float = THRESHOLD) -> Float[Tensor, "batch class"]:
    """The detector's class distribution of each example's region, as it is; NaN where no region is hit.

    Raises:
        ValueError: when the regions have none.
    """
    if cases.batch.class_probs is None:
        raise ValueError("cases: expected regions with class distributions or names, got neither")
    target = cases.target(threshold)
    found = cases.batch.class_probs[torch.arange(len(cases), device=target.device), target]
    return found.masked_fill(target[:, None] < 0, torch.nan)


def vision_for_language(
    model: nn.Module, cases: Cases, filler: Float[Tensor, " dim"], thresholds: Sequence[float] = (THRESHOLD,)
) -> Losses:
    """Section 3.1: bits a phrase with the image as it is ("none"), without what shows the phrase, without all.

    Args:
        model: with a head for masked words.
        cases: the examples.
        filler: the feature of what is gone, `mean_feature`.
        thresholds: of what counts as showing the phrase; the conditions are called "object 0.5" and so on.

    Returns:
        As `word_bits`, which also raises what this raises.
    """
    objects = {f"object {each:g}": without_regions(cases.batch, cases.hits(each), filler) for each in thresholds}
    nothing = without_regions(cases.batch, cases.hits(-1), filler)
    return word_bits(model, cases, {"none": cases.batch, **objects, "all": nothing})


def language_for_vision(
    model: nn.Module, cases: Cases, threshold: float = THRESHOLD, gold: Int[Tensor, " batch"] | None = None
) -> Losses:
    """Section 3.2: bits a region with the caption as it is, without the phrase, and without any of its words.

    Args:
        model: with a head for regions.
        cases: the examples.
        threshold: of what is hidden together with the region.
        gold: classes by people, -1 where there is none (`crosslook.gold_labels`).

    Returns:
        "kl none", "kl phrase", "kl all" against the detector's distribution, "xe none" and so on against its first
        choice, and with `gold` also "gold none" and so on against that; one loss an example, in bits.

    Raises:
        ValueError: as `region_log_probs` and `silver`.
    """
    mask = mask_id(model)
    gone = {"phrase": cases.phrase, "all": cases.words}
    texts = {"none": cases.batch} | {name: without_words(cases.batch, each, mask) for name, each in gone.items()}
    truth = silver(cases, threshold)
    first = torch.where(cases.target(threshold) < 0, -1, truth.argmax(-1))
    said = region_log_probs(model, cases, texts, threshold)
    found = {f"kl {name}": kl_bits(each, truth) for name, each in said.items()}
    for kind, labels in (("xe", first), ("gold", gold)):
        if labels is not None:
            found |= {f"{kind} {name}": xe_bits(each, labels) for name, each in said.items()}
    return found


def collect(
    parts: Iterable[Cases], diagnostic: Callable[[Cases], Mapping[str, Float[Tensor, " batch"]]]
) -> dict[str, Float[np.ndarray, " example"]]:
    """A diagnostic over all examples of a data set, part by part.

    >>> collect(parts, lambda part: vision_for_language(model, part, filler))  # doctest: +SKIP
    """
    found: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for name, losses in diagnostic(part).items():
            found.setdefault(name, []).append(losses.double().numpy(force=True))
    return {name: np.concatenate(each) for name, each in found.items()}


def _check(conditions: Conditions, n: int) -> None:
    for name, batch in conditions.items():
        if len(batch) != n:
            raise ValueError(f"conditions[{name!r}]: expected {n} rows, as many as cases, got {len(batch)}")


def _through(
    model: nn.Module, conditions: Conditions, n: int, read: Callable[[Encoded, Tensor], Tensor]
) -> dict[str, Tensor]:
    """Rows of all conditions through a model together, as many at a time as `ROWS`; `read` is told which rows."""
    joined = stacked(list(conditions.values()))
    device = joined.region_mask.device
    found = [read(model(take(joined, rows)), rows % n) for rows in torch.arange(len(joined), device=device).split(ROWS)]
    return dict(zip(conditions, torch.cat(found).split(n), strict=True))
