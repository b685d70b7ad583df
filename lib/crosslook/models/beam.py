"""Beam search: let the captioner write the text that it finds most probable, or nearly so."""

import torch
from jaxtyping import Int
from torch import Tensor

from crosslook.data.sample import Batch
from crosslook.models.ort import ObjectRelationTransformer
from crosslook.models.tokens import CLS, MASK, PAD, SEP

NEVER = (PAD, CLS, MASK)
"""Tokens that stand for no word, and are not written."""


@torch.no_grad()
def generate(
    model: ObjectRelationTransformer, batch: Batch, beam: int = 2, length: int = 150
) -> Int[Tensor, "batch written"]:
    """The texts that a model writes about images.

    For each image the `beam` best beginnings are kept, by the sum of their words' log probabilities; lengths are not
    made up for. One that has ended stays among them as it is. Since words can only lower the sum, the search ends when
    the best of all has ended. Of equal sums the one that goes on from the better beginning comes first, then the word
    with the smaller id. With a beam of 1 each word is the most probable one (greedy search).

    Args:
        model: in evaluation mode.
        batch: its images; captions are not looked at, and need not be there.
        beam: how many beginnings are kept.
        length: the most tokens, [CLS] and [SEP] counted in. A text that is not done by then breaks off.

    Returns:
        Token ids from [CLS] to [SEP], and padding.

    Raises:
        ValueError: a beam of less than 1, a length below 2 or above the model's, or a model in training mode.
    """
    if beam < 1:
        raise ValueError(f"beam: expected at least 1, got {beam}")
    if not 2 <= length <= model.config.length:
        raise ValueError(f"length: expected 2 to {model.config.length} tokens, got {length}")
    if model.training:
        raise ValueError("model: expected evaluation mode, got training mode, in which dropout would change its words")
    image, n = model.see(batch)[-1], len(batch)
    ids = torch.full((n, beam, 1), CLS, device=image.device)
    sums = torch.full((n, beam), -torch.inf, device=image.device)
    sums[:, 0] = 0  # all beginnings are the same at first, and should not be taken for several
    for _ in range(length - 1):
        ended = (ids[..., -1] == SEP) | (ids[..., -1] == PAD)
        going = (~ended[:, 0]).nonzero()[:, 0]  # images whose best text has not ended
        if not len(going):
            break
        steps = _next(model, ids[going], ended[going], image[going], batch.region_mask[going])
        totals = (sums[going, :, None] + steps).flatten(1)
        best, places = totals.sort(descending=True, stable=True)
        best, places = best[:, :beam], places[:, :beam]
        beginning, word = places // steps.shape[-1], places % steps.shape[-1]
        ids = torch.nn.functional.pad(ids, (0, 1), value=PAD)
        old = ids[going].gather(1, beginning[..., None].expand(-1, -1, ids.shape[-1]))
        old[..., -1] = word
        ids[going], sums[going] = old, best
    return ids[:, 0]


def _next(
    model: ObjectRelationTransformer,
    ids: Int[Tensor, "image beam written"],
    ended: Tensor,
    image: Tensor,
    region_mask: Tensor,
) -> Tensor:
    """Log probabilities of the next token, `(image, beam, vocab)`; after the end there is only padding."""
    beam, flat = ids.shape[1], ids.flatten(0, 1)
    seen, present = image.repeat_interleave(beam, 0), region_mask.repeat_interleave(beam, 0)
    states = model.read(flat, flat != PAD, seen, present)[-1]
    steps = model.next_word(states[:, -1]).log_softmax(-1).unflatten(0, (-1, beam))
    steps[..., NEVER] = -torch.inf
    steps[ended] = -torch.inf
    steps[..., PAD] = torch.where(ended, 0.0, -torch.inf)
    return steps
