"""Statistics of attention from queries and keys, at about the price of the attention itself.

Queries go through in blocks: their scores into a buffer that is used again, then masses, entropy, largest weight and
log-sum-exp, and on. Nothing of size query x key is kept. The numbers are those of `crosslook.attention` on the weights
that the model computed, to rounding; `weights` is the plain computation that they are tested against.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from crosslook.scores import MASKED, Scores

_kept = threading.local()
COLUMNS = 16  # groups are padded to so many: a product with 16 columns is three times faster than with 8


@dataclass(frozen=True, eq=False)
class Statistics:
    """What `statistics` measures of every row. Where `valid` is false (a query that may attend to nothing) it is NaN.

    `mass`: weight on each group of keys (None without groups). `entropy`: in nats, of the weights on the keys as a
    distribution. `max_weight`: the largest weight. `lse`: log of the sum of exponentials that a score is compared with
    (`weights_at` needs it). `n_keys`: how many keys the query may attend to.
    """

    mass: Float[Tensor, "batch head query group"] | None
    entropy: Float[Tensor, "batch head query"]
    max_weight: Float[Tensor, "batch head query"]
    lse: Float[Tensor, "batch head query"]
    n_keys: Int[Tensor, "batch head query"]
    valid: Bool[Tensor, "batch head query"]

    def normalized_entropy(self) -> Float[Tensor, "batch head query"]:
        """Entropy divided by the log of the number of keys that this very row may attend to; 0 where there is one."""
        count = self.n_keys.to(self.entropy)
        return self.entropy / count.log().where(count > 1, 1)


@torch.no_grad()
def statistics(
    q: Float[Tensor, "batch head query d"],
    k: Float[Tensor, "batch kv_head key d"],
    *,
    scale: float | None = None,
    key_mask: Bool[Tensor, "batch key"] | None = None,
    bias: Bool[Tensor, "#batch #head #query #key"] | Float[Tensor, "#batch #head #query #key"] | None = None,
    causal: bool = False,
    window: int | None = None,
    softcap: float | None = None,
    sinks: Float[Tensor, " head"] | None = None,
    key_weight: Float[Tensor, "batch head key"] | None = None,
    groups: Bool[Tensor, "batch key group"] | Float[Tensor, "batch key group"] | None = None,
    block: int = 256,
) -> Statistics:
    """Masses, entropy, largest weight and log-sum-exp of every row of an attention call.

    Args:
        q: queries as the model scores them (after rotary embeddings, say).
        k: keys. With fewer heads than queries have, each serves as many heads in a row (grouped-query attention).
        scale: of the dot products (default: 1 / sqrt(d)).
        key_mask: keys that count. Padding; or [CLS], [SEP] and other sinks, to leave them out and renormalise.
        bias: added to the scores (alibi, relative positions); or boolean, true where a query may attend to a key. As
            in the models, what is at or below -10,000 closes a position.
        causal: a query sees the keys up to its own place; when keys outnumber queries (a cache) the last query stands
            at the last key.
        window: a query sees keys fewer than so many places away.
        softcap: scores are squeezed to +-softcap by tanh, before masks.
        sinks: one logit a head that takes part in the softmax and gets no value: weights sum to less than one.
        key_weight: length of what each key's value moves (`norms.value_norms`). Weights are then weight x length,
            renormalised: the norm-based reading of Kobayashi et al. (2020). Sink logits cancel out of it.
        groups: sets of keys whose mass is asked for, boolean or as weights; they may overlap.
        block: queries at a time, at most. Memory is that of two times block x key scores, or 8 MB if that is more.

    Returns:
        Numbers in float32 (float64 for float64 inputs). Not differentiable: use `weights` to train on.

    Raises:
        ValueError: for wrong shapes, types or devices, naming the argument.
    """
    rules = Scores(q, k, scale, key_mask, bias, causal, window, softcap, sinks, key_weight)
    batch, _, _, keys = rules.shape
    if groups is not None:
        if groups.ndim != 3 or groups.shape[:2] != (batch, keys):
            raise ValueError(f"groups: expected shape (batch={batch}, key={keys}, group), got {tuple(groups.shape)}")
        if groups.device != q.device:
            raise ValueError(f"groups: expected device {q.device}, that of q, got {groups.device}")
    if block < 1:
        raise ValueError(f"block: expected a positive number of queries, got {block}")

    asked = 0 if groups is None else groups.shape[2]
    columns = torch.zeros(batch, keys, -(-asked // COLUMNS) * COLUMNS, dtype=rules.dtype, device=q.device)
    if groups is not None:
        columns[..., :asked] = groups
        if key_mask is not None:
            columns.masked_fill_(~key_mask[..., None], 0)
    mass, entropy, largest, lse, n_keys = (_kernel(rules) or _loop)(rules, columns, block)
    return _finish(rules, None if groups is None else mass[..., :asked], entropy, largest, lse, n_keys)


def _kernel(rules: Scores) -> Any:
    """The one-pass kernel, where there is a GPU that has one for this call."""
    if not rules.q.is_cuda or find_spec("triton") is None:
        return None
    from crosslook import kernels

    return kernels.one_pass if kernels.fits(rules) else None


def _loop(rules: Scores, columns: Tensor, block: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Mass, entropy, largest weight, log-sum-exp and number of open keys, before sinks and rows without weight."""
    batch, heads, queries, keys = rules.shape
    asked, wide = columns.shape[2], {"dtype": rules.dtype, "device": columns.device}
    entropy, largest, lse = (torch.empty(batch, heads, queries, **wide) for _ in range(3))
    mass = torch.empty(batch, heads, queries, asked, **wide)
    n_keys = torch.full((batch, heads, queries), keys, device=columns.device)
    if not keys:
        return mass, entropy, largest, lse.fill_(MASKED), n_keys
    for b, h, rows in rules.blocks(block):
        scaled, against = (x.flatten(0, 1) for x in rules.inputs(b, h))
        here = (b.stop - b.start, h.stop - h.start)
        for i in rows:
            j = rules.span(i)
            shape = (len(scaled), i.stop - i.start, j.stop - j.start)
            scores, weights = _workspace(2 * shape[0], *shape[1:], **wide).chunk(2)
            torch.bmm(scaled[:, i], against[:, j].transpose(1, 2), out=scores)
            if rules.softcap is not None:
                scores.div_(rules.softcap).tanh_().mul_(rules.softcap)
            opened = rules.rule(scores.view(*here, *shape[1:]), b, h, i, j)
            highest = scores.amax(-1)
            scores.sub_(highest[..., None])  # else the entropy of a sharp head is a small difference of large numbers
            torch.softmax(scores, -1, out=weights)
            top = weights.amax(-1)
            logs = top.log()
            if asked:
                # Heads of one example share its groups: one product for all of them.
                rows_of = weights.view(here[0], -1, shape[2])
                mass[b, h, i] = torch.bmm(rows_of, columns[b, j]).view(*here, shape[1], asked)
            # Sum of p log(1/p), where log(1/p) = -log(largest) - score.
            spread = weights.mul_(scores).sum(-1).add_(logs).neg_()
            entropy[b, h, i] = spread.clamp_(min=0).view(*here, -1)
            largest[b, h, i], lse[b, h, i] = top.view(*here, -1), (highest - logs).view(*here, -1)
            if opened is not None:
                n_keys[b, h, i] = opened.expand(*opened.shape[:-1], shape[2]).sum(-1)
    return mass, entropy, largest, lse, n_keys


def _workspace(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for two blocks, kept from call to call: fresh memory costs more than what is computed in it."""
    size = math.prod(shape)
    kept = getattr(_kept, "buffer", None)
    if kept is None or kept.numel() < size or kept.dtype != dtype or kept.device != device:
        with torch.inference_mode(False):  # else a later call outside of it could not write here
            kept = _kept.buffer = torch.empty(size, dtype=dtype, device=device)
    return kept[:size].view(shape)


def _finish(
    rules: Scores, mass: Tensor | None, entropy: Tensor, largest: Tensor, lse: Tensor, n_keys: Tensor
) -> Statistics:
    """Rows without weight become NaN; sink logits take their share."""
    # Not `lse > ...`: a row that is NaN because its scores are must stay visible.
    valid = ~(lse <= MASKED / 2)
    if rules.sinks is not None and rules.key_weight is None:
        keys_alone, lse = lse, torch.logaddexp(lse, rules.sinks[:, None].to(lse))
        share = (keys_alone - lse).exp()
        mass, largest = (None if mass is None else mass * share[..., None]), largest * share
    if not valid.all():
        entropy, largest, lse = (x.masked_fill(~valid, float("nan")) for x in (entropy, largest, lse))
        mass = None if mass is None else mass.masked_fill(~valid[..., None], float("nan"))
    return Statistics(mass, entropy, largest, lse, n_keys, valid)


def weights(
    q: Float[Tensor, "batch head query d"], k: Float[Tensor, "batch kv_head key d"], **rules: Any
) -> Float[Tensor, "batch head query key"]:
    """All attention weights at once, in float32 or wider, differentiable. Keywords as in `statistics`.

    Returns:
        `(batch, head, query, key)`: rows sum to one (less with sink logits); rows of queries that may attend to nothing
        are 0, so that nothing of them counts.
    """
    scoring = Scores(q, k, **rules)
    batch, heads, queries, keys = scoring.shape
    if not keys * queries:
        return q.new_zeros(scoring.shape, dtype=scoring.dtype)
    whole = slice(0, batch), slice(0, heads)
    everything = (*whole, slice(0, queries), slice(0, keys))
    scaled, against = scoring.inputs(*whole)
    scores = scaled @ against.transpose(-1, -2)
    if scoring.softcap is not None:
        scores = scoring.softcap * (scores / scoring.softcap).tanh()
    scoring.rule(scores, *everything)
    if scoring.sinks is not None and scoring.key_weight is None:
        sink = scoring.sinks.to(scores)[:, None, None].expand(batch, heads, queries, 1)
        found = torch.cat([scores, sink], -1).softmax(-1)[..., :-1]
    else:
        found = scores.softmax(-1)
    return found.masked_fill(scores.amax(-1, keepdim=True) <= MASKED / 2, 0)


def weights_at(
    q: Float[Tensor, "batch head query d"],
    k: Float[Tensor, "batch kv_head key d"],
    lse: Float[Tensor, "batch head query"],
    query: Int[Tensor, "batch link"],
    key: Int[Tensor, "batch link"],
    **rules: Any,
) -> Float[Tensor, "batch head link"]:
    """Single weights, for linked pairs of a query and a key: all that most probes look at.

    Args:
        q, k, rules: as in `statistics`.
        lse: from `statistics` with the same rules.
        query, key: positions of each pair.

    Returns:
        `(batch, head, link)`; 0 for a pair that is masked, NaN where the query may attend to nothing.

    Raises:
        ValueError: for wrong shapes, or a position outside the sequence.
    """
    scoring = Scores(q, k, **rules)
    batch, heads, queries, keys = scoring.shape
    if lse.shape != (batch, heads, queries):
        raise ValueError(f"lse: expected shape {(batch, heads, queries)}, got {tuple(lse.shape)}")
    for name, places, size in (("query", query, queries), ("key", key, keys)):
        if places.ndim != 2 or places.shape != (batch, query.shape[-1]):
            raise ValueError(f"{name}: expected shape (batch={batch}, link), as the other's, got {tuple(places.shape)}")
        if places.numel() and not (places.min() >= 0 and places.max() < size):
            raise ValueError(f"{name}: expected positions from 0 to {size - 1}, got {places.min()} to {places.max()}")
    return (scoring.at(query, key) - lse.gather(-1, query[:, None].expand(-1, heads, -1))).exp()
