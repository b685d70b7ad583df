"""Scores of queries against keys, one block at a time: what every streamed reading of a head starts from.

The rules are those of the models themselves: scale, soft cap, then masks and biases, in this order. Everything is
computed in float32 or wider, whatever the model's precision: on a sharp head, bfloat16 scores put the entropy wrong by
up to 0.3 nats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

MASKED = (
    -1e30
)  # instead of -inf: finite, so that weight x score is 0 and not NaN, and its exponential is 0 all the same
CLOSED = -1e4  # an additive bias at or below this closes a position, as the models' own masks mean it
ELEMENTS = 1 << 20  # scores in a block: 4 MB, few enough for a cache, enough to make a matrix product worth it


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of an attention call. Arguments as in `crosslook.streaming.statistics`, checked on the way in."""

    q: Tensor
    k: Tensor
    scale: float | None = None
    key_mask: Tensor | None = None
    bias: Tensor | None = None
    causal: bool = False
    window: int | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    key_weight: Tensor | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(batch, head, query, key)."""
        return (*self.q.shape[:3], self.k.shape[2])

    @property
    def dtype(self) -> torch.dtype:
        return torch.promote_types(self.q.dtype, torch.float32)

    def blocks(self, block: int) -> Iterator[tuple[slice, slice, Iterator[slice]]]:
        """Slices of batch, heads and queries: so many queries of a head, and as many heads as `ELEMENTS` has room for.

        Whole examples together while they are short, some heads of one example when it is long.
        """
        batch, heads, queries, keys = self.shape
        rows = max(1, min(block, queries))
        per_head = max(1, rows * keys)
        many = max(1, min(heads, ELEMENTS // per_head))
        examples = max(1, ELEMENTS // (per_head * heads)) if many == heads else 1
        for b in range(0, batch, examples):
            for h in range(0, heads, many):
                yield (
                    slice(b, min(b + examples, batch)),
                    slice(h, min(h + many, heads)),
                    (slice(i, min(i + rows, queries)) for i in range(0, queries, rows)),
                )

    def span(self, i: slice) -> slice:
        """The keys that some query of the block may see by its place; at least one, so that a block is never empty."""
        first, last, keys = self._place(i.start), self._place(i.stop - 1), self.shape[3]
        low = 0 if self.window is None else max(0, first - self.window + 1)
        high = keys
        if self.causal:
            high = last + 1
        elif self.window is not None:
            high = last + self.window
        low = min(low, keys - 1)
        return slice(low, min(max(high, low + 1), keys))

    def inputs(self, b: slice, h: slice) -> tuple[Tensor, Tensor]:
        """Scaled queries `(b, h, query, d)` and keys `(b, h, key, d)` of a block; masked keys are 0."""
        shared = self.q.shape[1] // self.k.shape[1]
        heads = torch.arange(h.start, h.stop, device=self.k.device) // shared
        k = (self.k[b, h] if shared == 1 else self.k[b, heads]).to(self.dtype)
        if self.key_mask is not None:
            k = k.masked_fill(~self.key_mask[b, None, :, None], 0)  # a NaN in padding must not come through
        scale = self.q.shape[-1] ** -0.5 if self.scale is None else self.scale
        return self.q[b, h].to(self.dtype) * scale, k

    def rule(self, scores: Tensor, b: slice, h: slice, i: slice, j: slice) -> Tensor | None:
        """Biases and masks scores `(b, h, i, j)` in place; returns what was open, broadcastable to them, or None."""
        added = None
        if self.bias is not None and self.bias.dtype != torch.bool:
            added = _part(self.bias, b, h, i, j).to(scores.dtype).clamp(min=MASKED)
        if self.key_weight is not None:
            logs = self.key_weight[b, h, None, j].to(scores.dtype).log().clamp(min=MASKED)
            added = logs if added is None else added + logs
        if added is not None:
            scores += added
        opened = self.opened(b, h, i, j)
        if opened is not None:
            scores.masked_fill_(~opened, MASKED)  # not added, for a NaN at a closed key must not come through
        return opened

    def opened(self, b: slice, h: slice, i: slice, j: slice) -> Tensor | None:
        """Which keys each query may attend to, broadcastable to `(b, h, i, j)`; None for all."""
        parts = []
        if self.key_mask is not None:
            parts.append(self.key_mask[b, None, None, j])
        if self.bias is not None:
            bias = _part(self.bias, b, h, i, j)
            parts.append(bias if bias.dtype == torch.bool else bias > CLOSED)
        if self.causal or self.window is not None:
            ahead = self._ahead(i, j)
            if self.causal:
                parts.append(ahead <= 0)
            if self.window is not None:
                parts.append(ahead.abs() < self.window)
        opened = None
        for part in parts:
            opened = part if opened is None else opened & part
        return opened

    def at(self, query: Tensor, key: Tensor) -> Tensor:
        """Scores `(batch, head, link)` of single pairs, given as indices `(batch, link)`."""
        batch, heads = self.shape[:2]
        every = torch.arange(batch, device=self.q.device)[:, None], torch.arange(heads, device=self.q.device)
        b, h = every[0][:, :, None], every[1][None, :, None]
        i, j = query[:, None], key[:, None]
        scale = self.q.shape[-1] ** -0.5 if self.scale is None else self.scale
        q, k = (x.to(self.dtype) for x in (self.q[b, h, i], self.k[b, h * self.k.shape[1] // heads, j]))
        scores = (q * scale * k).sum(-1)
        if self.softcap is not None:
            scores = self.softcap * (scores / self.softcap).tanh()
        opened = torch.ones_like(scores, dtype=torch.bool)
        if self.key_weight is not None:
            scores = scores + self.key_weight[b, h, j].to(scores).log()
        if self.bias is not None:
            bias = self.bias.expand(self.shape)[b, h, i, j]
            opened &= bias if bias.dtype == torch.bool else bias > CLOSED
            if bias.dtype != torch.bool:
                scores = scores + bias.to(scores)
        if self.key_mask is not None:
            opened &= self.key_mask[b, j]
        ahead = j - i - self._place(0)
        if self.causal:
            opened &= ahead <= 0
        if self.window is not None:
            opened &= ahead.abs() < self.window
        return scores.masked_fill(~opened, MASKED)

    def _place(self, query: int) -> int:
        # With a cache there are more keys than queries, and the last query stands at the last key.
        return query + self.shape[3] - self.shape[2]

    def _ahead(self, i: slice, j: slice) -> Tensor:
        keys = torch.arange(j.start, j.stop, device=self.q.device)
        return keys - torch.arange(self._place(i.start), self._place(i.stop), device=self.q.device)[:, None]


def _part(tensor: Tensor, *block: slice) -> Tensor:
    """The block of a tensor that broadcasts to (batch, head, query, key)."""
    return tensor[tuple(part if size > 1 else slice(None) for part, size in zip(block, tensor.shape, strict=True))]


def _check(scores: Scores) -> None:
    q, k = scores.q, scores.k
    if q.ndim != 4 or not q.is_floating_point():
        raise ValueError(f"q: expected floats (batch, head, query, d), got {q.dtype} {tuple(q.shape)}")
    batch, heads, queries, width = q.shape
    if k.ndim != 4 or k.shape[0] != batch or k.shape[3] != width or not k.is_floating_point():
        raise ValueError(f"k: expected floats (batch={batch}, kv_head, key, d={width}), got {k.dtype} {tuple(k.shape)}")
    if (heads % k.shape[1] if k.shape[1] else heads) or heads < k.shape[1]:
        raise ValueError(f"k: expected a number of heads that divides the {heads} of q, got {k.shape[1]}")
    keys = k.shape[2]
    if scores.key_mask is not None:
        _shape("key_mask", scores.key_mask, batch=batch, key=keys)
        if scores.key_mask.dtype != torch.bool:
            raise ValueError(f"key_mask: expected a boolean mask, True where present, got {scores.key_mask.dtype}")
    if scores.bias is not None:
        sizes = {"batch": batch, "head": heads, "query": queries, "key": keys}
        shape = tuple(scores.bias.shape)
        if len(shape) != 4 or any(got not in (1, size) for got, size in zip(shape, sizes.values(), strict=True)):
            expected = ", ".join(f"{axis}=1|{size}" for axis, size in sizes.items())
            raise ValueError(f"bias: expected shape ({expected}), got {shape}")
        if scores.bias.dtype != torch.bool and not scores.bias.is_floating_point():
            raise ValueError(f"bias: expected a boolean mask or floats to add to the scores, got {scores.bias.dtype}")
    if scores.sinks is not None:
        _shape("sinks", scores.sinks, head=heads)
    if scores.key_weight is not None:
        _shape("key_weight", scores.key_weight, batch=batch, head=heads, key=keys)
    if scores.window is not None and scores.window < 1:
        raise ValueError(f"window: expected a positive number of positions, got {scores.window}")
    if scores.softcap is not None and not scores.softcap > 0:
        raise ValueError(f"softcap: expected a positive number, got {scores.softcap}")
    for name in ("k", "key_mask", "bias", "sinks", "key_weight"):
        tensor = getattr(scores, name)
        if tensor is not None and tensor.device != q.device:
            raise ValueError(f"{name}: expected device {q.device}, that of q, got {tensor.device}")


def _shape(name: str, tensor: Tensor, **sizes: int) -> None:
    if tuple(tensor.shape) != tuple(sizes.values()):
        expected = ", ".join(f"{axis}={size}" for axis, size in sizes.items())
        raise ValueError(f"{name}: expected shape ({expected}), got {tuple(tensor.shape)}")
