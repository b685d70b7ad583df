"""A watch on a forward pass: which operations are attention, and whether what capture read is what they computed.

Attention is a call of one of torch's own attention functions, or a softmax whose result is then multiplied with
something, as weights are with values. A softmax whose result only goes out (class probabilities, say) is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from crosslook.capture.errors import Unsupported
from crosslook.scores import CLOSED

SOFTMAX = {"softmax", "special_softmax", "_softmax"}
SDPA = "scaled_dot_product_attention"
NATIVE = {
    *(SDPA, "multi_head_attention_forward", "_native_multi_head_attention", "_transformer_encoder_layer_fwd"),
    *("flex_attention", "varlen_attn"),
}
PRODUCT = {"matmul", "__matmul__", "__rmatmul__", "bmm", "baddbmm", "einsum", "tensordot"}
# What weights may go through between the softmax and the product with the values.
CARRY = set(
    "dropout dropout_ feature_dropout alpha_dropout to type type_as float half bfloat16 double contiguous clone "
    "view reshape flatten unflatten squeeze unsqueeze transpose permute expand mT T __get__ __getitem__ mul __mul__ "
    "__rmul__ mul_ div __truediv__ masked_fill masked_fill_ where nan_to_num".split()
)


class Seen(NamedTuple):
    """An attention operation: the scores of its first and last queries, `(..., 2, key)`; None where it hides them."""

    name: str
    scores: Tensor | None


class Watch(TorchFunctionMode):
    """Sees every operation between `start` and `stop`; `place` gives the name of the module that is running.

    `unseen` lists the places of attention that nobody had claimed.
    """

    def __init__(self, place: Callable[[], str]) -> None:
        super().__init__()
        self.unseen: list[str] = []
        self._on = False
        self._place = place
        self._claims: list[list[Seen]] = []
        self._weights = WeakIdKeyDictionary()

    def start(self) -> None:
        """A forward pass begins."""
        self.stop()
        self._on = True

    def stop(self) -> None:
        """It ends."""
        self._on = False
        self.unseen.clear()
        self._claims.clear()
        self._weights.clear()

    def claim(self) -> list[Seen]:
        """From here until `release` attention is accounted for: it goes into this list."""
        found: list[Seen] = []
        self._claims.append(found)
        return found

    def release(self, found: list[Seen]) -> None:
        """End a claim, and those within it that an exception left open."""
        for index, claim in enumerate(self._claims):
            if claim is found:
                del self._claims[index:]
                return

    @contextmanager
    def claimed(self) -> Iterator[list[Seen]]:
        """A claim for a block of code."""
        found = self.claim()
        try:
            yield found
        finally:
            self.release(found)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens in the block is not the model's doing.

        Gradient checkpointing counts what a pass saves for its gradients, and would find less when it runs again; what
        is computed here is saved on its own.
        """
        on, self._on = self._on, False
        try:
            with torch.autograd.graph.saved_tensors_hooks(Tensor.detach, lambda x: x):
                yield
        finally:
            self._on = on

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if self._on:
            name = getattr(func, "__name__", "")
            if name in SOFTMAX and result.ndim > 1 and result.numel():
                self._softmax(args[0] if args else kwargs["input"], result)
            elif name in NATIVE:
                self._native(name, args, kwargs)
            elif self._weights:
                self._follow(name, args, kwargs, result)
        return result

    def _softmax(self, scores: Tensor, result: Tensor) -> None:
        if self._claims:
            with torch.no_grad():
                self._claims[-1].append(Seen("softmax", scores[..., [0, -1], :]))
        else:
            self._weights[result] = self._place()

    def _native(self, name: str, args: Any, kwargs: Any) -> None:
        if self._claims:
            scores = _sdpa_scores(*args, **kwargs) if name == SDPA else None
            self._claims[-1].append(Seen(name, scores))
        else:
            self.unseen.append(self._place())

    def _follow(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        if name in CARRY and args and isinstance(result, Tensor):
            places = [self._weights[x] for x in args if isinstance(x, Tensor) and x in self._weights]
            if places:
                self._weights[result] = places[0]
        elif name in PRODUCT:
            operands = torch.utils._pytree.tree_leaves((args, kwargs))
            self.unseen += [self._weights[x] for x in operands if isinstance(x, Tensor) and x in self._weights]


def check(name: str, seen: list[Seen], found: dict[str, Any]) -> None:
    """Compare what a module computed with what was read of it: one call, and the scores of its first and last query.

    Args:
        name: of the module.
        seen: the attention operations in it.
        found: q, k, mask, scale, ... that were read.

    Raises:
        Unsupported: when they differ by more than rounding (relative positions, another order of heads, ...).
    """
    if not seen:
        return
    if len(seen) > 1:
        raise Unsupported(f"{name}: expected one attention call in this module, saw {len(seen)}")
    actual = seen[0].scores
    q, k = found["q"], found["k"]
    if actual is None or not q.shape[2]:
        return
    with torch.no_grad():
        if found.get("sinks") is not None:
            actual = actual[..., :-1]  # the sink itself
        expected = _scores(q, k, found["scale"], found["mask"], found.get("causal", False), found.get("softcap"))
        if actual.numel() != expected.numel() or actual.shape[-1] != expected.shape[-1]:
            # torch's function may be given the heads that share a key as if they were queries.
            if seen[0].name == SDPA and q.shape[1] != k.shape[1]:
                return
            raise Unsupported(
                f"{name}: expected scores of shape {(*q.shape[:3], k.shape[2])} in this module, saw a softmax over "
                f"{actual.shape[-1]} keys with {actual.numel() // (2 * actual.shape[-1])} rows a query"
            )
        actual = actual.reshape(expected.shape).to(expected)
        opened = expected > CLOSED
        row = expected.masked_fill(~opened, -torch.inf).amax(-1, keepdim=True)
        top = actual.masked_fill(~opened, -torch.inf).amax(-1, keepdim=True)
        # A softmax does not care for a constant.
        off = ((actual - top) - (expected - row)).abs().masked_fill(~opened, 0)
        size = 1 + expected.abs().masked_fill(~opened, 0).amax(-1, keepdim=True)
        leak = (actual - top > CLOSED / 2) & ~opened & opened.any(-1, keepdim=True)
        rounding = 0.01 if q.dtype in (torch.float32, torch.float64) else 0.1
        if bool(((off > rounding * size) | leak).any()):
            raise Unsupported(
                f"{name}: the scores in this module are not scale x query x key + mask, as read from its linears and "
                f"arguments; they differ by up to {float(off.nan_to_num().max()):.3g}"
            )


def _sdpa_scores(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor | None:
    if query.ndim != 4 or not query.shape[2] or not key.shape[2]:
        return None
    if attn_mask is not None:
        attn_mask = attn_mask[(None,) * (4 - attn_mask.ndim)]
    with torch.no_grad():
        return _scores(query, key, query.shape[-1] ** -0.5 if scale is None else scale, attn_mask, is_causal)


def _scores(
    q: Tensor, k: Tensor, scale: float, mask: Tensor | None, causal: bool, softcap: float | None = None
) -> Tensor:
    """Scores of the first and last query, `(batch, head, 2, key)`, in float32 or wider."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    keys = k.to(dtype).repeat_interleave(q.shape[1] // k.shape[1], 1)
    scores = q[:, :, [0, -1]].to(dtype) * scale @ keys.transpose(-1, -2)
    if softcap is not None:
        scores = softcap * (scores / softcap).tanh()
    if mask is not None:
        mask = mask if mask.shape[2] == 1 else mask[:, :, [0, -1]]
        opened = mask if mask.dtype == torch.bool else mask > CLOSED
        scores = scores if mask.dtype == torch.bool else scores + mask
        scores = scores.masked_fill(~opened, -torch.inf)
    if causal:
        places = torch.arange(k.shape[2], device=k.device)
        scores = scores.masked_fill(places > torch.tensor([[0], [q.shape[2] - 1]], device=k.device), -torch.inf)
    return scores
