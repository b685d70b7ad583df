"""Attention followed through the layers without its matrices: `attention.rollout` times groups, or single rows of it.

Rollout is a product of one matrix a layer (Abnar and Zuidema 2020), so its product with the membership of G groups
passes upwards layer by layer, and one of its rows passes downwards: memory grows with the length times G, not with the
length squared. A layer comes as its queries and keys; further keywords are those of `streaming.statistics`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from crosslook.scores import MASKED, Scores

BLOCK = 256


def forward(
    q: Float[Tensor, "batch head query d"],
    k: Float[Tensor, "batch kv_head query d"],
    reached: Float[Tensor, "batch *head query group"],
    residual: float = 0.5,
    **rules: Any,
) -> Float[Tensor, "batch *head query group"]:
    """One layer upwards: how much of each input group reaches each position above this layer.

    Start with the groups' membership and pass the layers, lowest first; what comes out after layer l is
    `attention.rollout(...)[l] @ groups`.

    Args:
        q, k: of a self-attention layer.
        reached: for every position below, `(batch, query, group)`: heads are averaged, as in the paper; or
            `(batch, head, query, group)`: each head is followed on its own.
        residual: the share that a position keeps of itself.

    Raises:
        ValueError: for wrong shapes, or a residual share that is not between 0 and 1.
    """
    return _mix(Scores(q, k, **rules), reached, residual, transpose=False)


def backward(
    q: Float[Tensor, "batch head query d"],
    k: Float[Tensor, "batch kv_head query d"],
    rows: Float[Tensor, "batch *head query row"],
    residual: float = 0.5,
    **rules: Any,
) -> Float[Tensor, "batch *head query row"]:
    """One layer downwards: where, below this layer, the given mixtures of positions come from.

    Start with a one for each position of interest ([CLS], say: `(batch, query, 1)`) and pass the layers, highest first;
    what comes out below the lowest is these rows of `attention.rollout(...)[-1]`, transposed. Arguments are those of
    `forward`.
    """
    return _mix(Scores(q, k, **rules), rows, residual, transpose=True)


@torch.no_grad()
def _mix(scores: Scores, states: Tensor, residual: float, transpose: bool) -> Tensor:
    batch, heads, queries, keys = scores.shape
    if queries != keys:
        raise ValueError(f"q, k: expected self-attention, got {queries} queries and {keys} keys")
    averaged = states.ndim == 3
    expected = (batch, queries) if averaged else (batch, heads, queries)
    if states.ndim not in (3, 4) or states.shape[:-1] != expected:
        raise ValueError(
            f"states: expected shape (batch={batch}, [head={heads},] {queries}, any), got {tuple(states.shape)}"
        )
    if not 0 <= residual <= 1:
        raise ValueError(f"residual: expected a share between 0 and 1, got {residual}")
    states = states.to(scores.dtype)
    if averaged:
        states = states[:, None]
    mean = 1 / heads if averaged else 1.0
    # A row of the mixed matrix (1 - residual) A + residual I is divided by its sum, which is one less what sink logits
    # took, or the residual share alone where a row may attend to nothing.
    ones = states.new_ones(*states.shape[:2], keys, 1)
    given = (1 - residual) * mean * _attend(scores, ones, False)
    total = given + residual
    scale = (1 / total).where(total != 0, 0)
    if transpose:
        divided = states * scale
        moved = (1 - residual) * mean * _attend(scores, divided, True) + residual * divided
        found = moved + states.masked_fill(total != 0, 0)
    else:
        moved = (1 - residual) * mean * _attend(scores, states, False) + residual * states
        found = (moved * scale).where(total != 0, states)
    return found[:, 0] if averaged else found


def _attend(scores: Scores, states: Tensor, transpose: bool) -> Tensor:
    """Weights x states, or transposed weights x states; summed over heads where the states have one head."""
    together = states.shape[1] == 1
    found = torch.zeros_like(states)
    for b, h, rows in scores.blocks(BLOCK):
        q, k = scores.inputs(b, h)
        for i in rows:
            j = scores.span(i)
            block = q[:, :, i] @ k[:, :, j].transpose(-1, -2)
            if scores.softcap is not None:
                block = block.div_(scores.softcap).tanh_().mul_(scores.softcap)
            scores.rule(block, b, h, i, j)
            weights = block.softmax(-1).masked_fill_(block.amax(-1, keepdim=True) <= MASKED / 2, 0)
            if scores.sinks is not None and scores.key_weight is None:
                lse = block.logsumexp(-1, keepdim=True)
                weights *= (lse - torch.logaddexp(lse, scores.sinks[h, None, None].to(lse))).exp()
            source, target, matrix = (i, j, weights.transpose(-1, -2)) if transpose else (j, i, weights)
            if together:
                found[b, :, target] += matrix.sum(1, keepdim=True) @ states[b, :, source]
            else:
                found[b, h, target] += matrix @ states[b, h, source]
    return found
