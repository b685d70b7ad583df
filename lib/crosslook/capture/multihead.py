"""What torch's nn.MultiheadAttention compares, computed from its arguments and weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crosslook.capture.errors import Unsupported


def read(
    name: str,
    module: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> dict[str, Any]:
    """Queries, keys, values, mask and scale of a call.

    Raises:
        Unsupported: for options that add keys of their own.
    """
    if module.bias_k is not None or module.add_zero_attn:
        raise Unsupported(f"{name}: expected nn.MultiheadAttention without add_bias_kv and add_zero_attn")
    if query.ndim == 2:
        query, key, value = (x[None] for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
    elif not module.batch_first:
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
    biases = [None] * 3 if module.in_proj_bias is None else module.in_proj_bias.chunk(3)
    if module.in_proj_weight is not None:
        weights = list(module.in_proj_weight.chunk(3))
    else:
        weights = [module.q_proj_weight, module.k_proj_weight, module.v_proj_weight]
    q, k, v = (
        F.linear(x, weight, bias).unflatten(-1, (module.num_heads, -1)).transpose(1, 2)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    masks = []
    if key_padding_mask is not None:
        masks.append(key_padding_mask[:, None, None])
    if attn_mask is not None:
        masks.append(attn_mask[None, None] if attn_mask.ndim == 2 else attn_mask.unflatten(0, q.shape[:2]))
    return {"q": q, "k": k, "v": v, "mask": _together(masks), "scale": q.shape[-1] ** -0.5}


def _together(masks: list[Tensor]) -> Tensor | None:
    """One mask of this library's kind; torch's are true, or minus infinity, where a key is *left out*."""
    if not masks:
        return None
    if all(mask.dtype == torch.bool for mask in masks):
        masks = [~mask for mask in masks]
        return masks[0] if len(masks) == 1 else masks[0] & masks[1]
    added = [
        torch.zeros(mask.shape, device=mask.device).masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else mask
        for mask in masks
    ]
    return added[0] if len(added) == 1 else added[0] + added[1]
