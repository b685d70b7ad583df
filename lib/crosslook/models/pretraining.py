"""The three tasks of pre-training: masked words, masked regions, and whether text and image belong together."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crosslook.data.sample import Batch
from crosslook.models import masking
from crosslook.models.corpus import Corpus
from crosslook.models.protocol import Encoded, head
from crosslook.models.tokens import PAD

BITS = 1 / torch.log(torch.tensor(2.0)).item()
STRANGERS = 0.125
"""How many pairs of a batch get another image's caption."""
WORDS = 0.75
"""How many of the other pairs lose words; the rest lose regions."""
REGIONS = 20
"""How many of its regions an image shows in one step, drawn anew: like words, not all are there to lean on."""


@dataclass(frozen=True)
class Objective:
    """What a model learns from.

    `regions`: `"kl"` (the detector's distribution over classes), `"xe"` (its first choice, weighted by how sure it is)
    or `"none"`. `threshold`, `measure`: which other regions are hidden with one that is asked for (`masking.regions`).
    `modality`: `"both"`, or `"text"` or `"image"` alone, without matching. `shown`: whether pairs that lose words are
    asked for the regions that they see.
    """

    regions: str = "kl"
    threshold: float | None = 0.4
    measure: str = "iou"
    modality: str = "both"
    shown: bool = True

    def __post_init__(self) -> None:
        known = {"regions": ("kl", "xe", "none"), "measure": ("iou", "iot"), "modality": ("both", "text", "image")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name}: expected one of {', '.join(values)}, got {getattr(self, name)!r}")


class Pretraining:
    """The task for `training.fit`: one caption of each image in each epoch, drawn anew, and some of its regions.

    Captions of one length share a batch, so that little of it is padding. Everything that is random follows from the
    seed, the epoch and the place of the batch.
    """

    def __init__(
        self, train: Corpus, val: Corpus, objective: Objective, *, batch_size: int = 16, seed: int = 0
    ) -> None:
        self.train, self.val, self.objective = train, val, objective
        self.batch_size, self.seed = batch_size, seed
        self.n_batches = len(train.captions_of) // batch_size
        if not self.n_batches:
            raise ValueError(f"train: expected at least a batch of {batch_size}, got {len(train.captions_of)}")
        self._epoch, self._captions = -1, torch.zeros(0, dtype=torch.long)

    def batch(self, epoch: int, index: int) -> Batch:
        """Images and their own captions, with some of the regions."""
        if self._epoch != epoch:
            self._epoch, self._captions = epoch, self._plan(epoch)
        captions = self._captions[index]
        batch = self.train.batch(self.train.image_of[captions], captions)
        return some_regions(batch, REGIONS, _generator(self.seed, epoch, index))

    def _plan(self, epoch: int) -> Tensor:
        """A caption of each image, `(batch, pair)`."""
        generator = _generator(self.seed, epoch)
        order = torch.randperm(len(self.train.captions_of), generator=generator)[: self.n_batches * self.batch_size]
        draw = torch.rand(len(order), generator=generator)
        own = [self.train.captions_of[image] for image in order.tolist()]
        captions = [numbers[int(share * len(numbers))] for numbers, share in zip(own, draw.tolist(), strict=True)]
        return self.train.alike(torch.tensor(captions), self.batch_size, generator)

    def losses(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Loss by task, in nats."""
        return losses(model, batch, self.objective, generator)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """The same losses on the first caption of the val images, of regions that are hidden alone, in bits."""
        sums: dict[str, float] = {}
        device = next(model.parameters()).device
        images = torch.arange(len(self.val.captions_of))
        chunks = images.split(self.batch_size)
        hidden = replace(self.objective, shown=False)
        for number, some in enumerate(chunks):
            first = torch.tensor([self.val.captions_of[i][0] for i in some.tolist()])
            batch = self.val.batch(some, first).to(device)
            found = losses(model, batch, hidden, _generator(0, 0, number))
            for name, loss in found.items():
                sums[name] = sums.get(name, 0.0) + loss.item() * BITS * len(some) / len(images)
        return sums


def losses(model: nn.Module, batch: Batch, objective: Objective, generator: torch.Generator) -> dict[str, Tensor]:
    """Losses of a batch of images and their own captions, in nats: `words`, `regions`, `matching`, where they apply.

    Some pairs get a stranger's caption, and are asked only whether they match: such a pair teaches nothing about words.
    A pair that loses words is also asked for its regions (`shown`), though they are there to see, as BERT is for some
    words that it sees and ViLBERT for a tenth of its regions. So a model learns to say what regions show, and words can
    use it: without, models of this size make half as much of the image after as many passes.
    """
    single = objective.modality != "both" or model.image_input == "none"
    strangers = torch.zeros(len(batch), dtype=torch.bool) if single else _strangers(len(batch), generator)
    strangers = strangers.to(batch.region_mask.device)
    batch = _swapped(batch, strangers)
    inputs, hidden_words, asked = hide(batch, objective, generator, len(model.tokenize))
    hidden_words, asked = hidden_words & ~strangers[:, None], asked & ~strangers[:, None]
    encoded: Encoded = model(inputs)
    found = {}
    if objective.modality != "image":
        logits = head(model, "word_logits")(encoded)
        found["words"] = F.cross_entropy(logits[hidden_words], batch.ids[hidden_words], reduction="sum")
        found["words"] = found["words"] / hidden_words.sum().clamp(min=1)
    if objective.modality != "text" and model.image_input != "none" and objective.regions != "none":
        if objective.shown and objective.modality == "both":
            asked = asked | (hidden_words.any(1, keepdim=True) & batch.region_mask)
        logits = head(model, "region_logits")(encoded)[asked]
        found["regions"] = region_loss(logits, batch.class_probs[asked], objective.regions)
    if not single:
        # Both answers count alike, though strangers are fewer.
        weight = torch.tensor([1 - STRANGERS, STRANGERS], device=asked.device)
        found["matching"] = F.cross_entropy(head(model, "match_logits")(encoded), (~strangers).long(), weight=weight)
    return found


def hide(batch: Batch, objective: Objective, generator: torch.Generator, vocab: int) -> tuple[Batch, Tensor, Tensor]:
    """The batch as the model sees it, which words `(batch, text)` and which regions `(batch, region)` are asked for.

    Most pairs lose words and the others regions, where a model learns both.
    Of a modality that is left out nothing is seen: no region, or of a caption only [CLS].
    """
    ids, hidden_words = masking.words(batch, generator, vocab)
    asked, hidden = masking.regions(batch, generator, objective.threshold, objective.measure)
    if objective.modality == "both" and objective.regions != "none":
        # Words or regions, so that the other modality is there to tell what is hidden (Chen et al. 2020, section 3.2).
        turn = (torch.rand(len(batch), 1, generator=generator) < WORDS).to(ids.device)
        ids, hidden_words = torch.where(turn, ids, batch.ids), hidden_words & turn
        asked, hidden = asked & ~turn, hidden & ~turn
    if objective.modality == "text":
        return replace(batch, ids=ids, region_mask=torch.zeros_like(asked)), hidden_words, torch.zeros_like(asked)
    features = batch.features.masked_fill(hidden[..., None], 0) if batch.features is not None else None
    if objective.modality == "image":
        first = torch.arange(ids.shape[1], device=ids.device) == 0
        # Not even how long the caption is: VL-BERT reads that from the ids.
        seen = replace(batch, ids=ids.where(first, PAD), text_mask=batch.text_mask & first, features=features)
        return seen, torch.zeros_like(hidden_words), asked
    return replace(batch, ids=ids, features=features), hidden_words, asked


def some_regions(batch: Batch, n: int, generator: torch.Generator) -> Batch:
    """The batch with n regions of each image, drawn at random, in their order; all of them where there are no more.

    Absent regions (`region_mask` false) are drawn only where too few are there.
    """
    chance = torch.rand(batch.region_mask.shape, generator=generator).to(batch.region_mask.device)
    drawn = (chance + ~batch.region_mask).argsort(1)[:, :n].sort(1).values
    rows = {name: getattr(batch, name) for name in ("boxes", "features", "class_probs")}
    kept = {
        name: row.gather(1, drawn[..., None].expand(-1, -1, row.shape[-1]))
        for name, row in rows.items()
        if row is not None
    }
    links = batch.links.gather(2, drawn[:, None].expand(-1, batch.links.shape[1], -1))
    return replace(batch, region_mask=batch.region_mask.gather(1, drawn), links=links, **kept)


def region_loss(logits: Tensor, target: Tensor, kind: str) -> Tensor:
    """Mean loss over regions `(region, class)`, in nats.

    `kl`: divergence from the detector's distribution `target`; `xe`: cross-entropy with its first choice, which counts
    as much as the detector is sure of it (Tan and Bansal 2019; Frank et al. 2021, section 6.2).
    """
    if kind == "xe":
        sure, first = target.max(-1)
        return (sure * F.cross_entropy(logits, first, reduction="none")).sum() / max(len(logits), 1)
    return F.kl_div(F.log_softmax(logits, -1), target, reduction="sum") / max(len(logits), 1)


def _strangers(n: int, generator: torch.Generator) -> Tensor:
    chosen = torch.zeros(n, dtype=torch.bool)
    count = round(STRANGERS * n)
    # A single pair has no stranger.
    chosen[torch.randperm(n, generator=generator)[: count if count > 1 else 0]] = True
    return chosen


def _swapped(batch: Batch, strangers: Tensor) -> Batch:
    """The chosen captions moved on by one place among the chosen."""
    if not strangers.any():
        return batch
    order = torch.arange(len(batch), device=strangers.device)
    order[strangers] = order[strangers].roll(1)
    names = ("ids", "text_mask", "phrase_tokens", "phrase_mask")
    return replace(batch, **{name: getattr(batch, name)[order] for name in names})


def _generator(*numbers: int) -> torch.Generator:
    """Random numbers that follow from some whole numbers."""
    import numpy as np

    state = np.random.SeedSequence(numbers).generate_state(1, dtype=np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)
