"""What the captioner learns: the next word of a paragraph, given the words before it and the image."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crosslook.data.sample import Batch
from crosslook.models.corpus import Corpus
from crosslook.models.pretraining import BITS
from crosslook.models.protocol import head


class Captioning:
    """The task for `training.fit`: one paragraph of each image in each epoch; the order follows from the seed.

    Paragraphs of about one length share a batch.
    """

    def __init__(self, train: Corpus, val: Corpus, *, batch_size: int = 16, seed: int = 0) -> None:
        self.train, self.val = train, val
        self.batch_size, self.seed = batch_size, seed
        self.n_batches = len(train.image_of) // batch_size
        if not self.n_batches:
            raise ValueError(f"train: expected at least a batch of {batch_size}, got {len(train.image_of)}")
        self._epoch, self._texts = -1, torch.zeros(0, dtype=torch.long)

    def batch(self, epoch: int, index: int) -> Batch:
        """Images and their paragraphs."""
        if self._epoch != epoch:
            generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
            order = torch.randperm(len(self.train.image_of), generator=generator)
            order = order[: self.n_batches * self.batch_size]
            self._epoch, self._texts = epoch, self.train.alike(order, self.batch_size, generator)
        texts = self._texts[index]
        return self.train.batch(self.train.image_of[texts], texts)

    def losses(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy of the words to come, in nats."""
        return {"words": next_word_losses(model, batch)[batch.text_mask[:, 1:]].mean()}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Bits per word on val."""
        total, count = 0.0, 0
        device = next(model.parameters()).device
        for texts in torch.arange(len(self.val.image_of)).split(100):
            batch = self.val.batch(self.val.image_of[texts], texts).to(device)
            there = batch.text_mask[:, 1:]
            total += next_word_losses(model, batch)[there].sum().item() * BITS
            count += int(there.sum())
        return {"words": total / count}


def next_word_losses(model: nn.Module, batch: Batch) -> Tensor:
    """Loss of each token but the first, `(batch, text - 1)`, in nats; padding has some, too."""
    logits = head(model, "word_logits")(model(batch))[:, :-1]
    return F.cross_entropy(logits.transpose(1, 2), batch.ids[:, 1:], reduction="none")
