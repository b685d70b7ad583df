"""Hooks on attention modules that compute weights themselves: with linears for queries and keys, or a fused one.

Queries and keys are what the linears gave; scale and mask are those of the style. Whether they really are what the
module compared is checked against the softmax that it computed (`coverage.check`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from crosslook.capture import multihead
from crosslook.capture.coverage import check
from crosslook.capture.errors import Unsupported

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from crosslook.capture.tape import Tape

Reader = Callable[["Tape", nn.Module], Iterator[Any]]
"""Gives what has a method `remove`: hooks."""

SUPPORTED = (
    "supported are modules with linears `query` and `key` and integers `num_attention_heads` and `attention_head_size` "
    "(called as `module(hidden, attention_mask=..., encoder_hidden_states=...)`), with a fused linear `qkv` and an "
    "integer `num_heads`, nn.MultiheadAttention, and those models of `transformers` that ask its AttentionInterface "
    "for their attention function, with implementation 'eager' or 'sdpa'"
)


def find(model: nn.Module) -> dict[nn.Module, Reader]:
    """The modules that can be read by hooks, and how."""
    found: dict[nn.Module, Reader] = {}
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention) and type(module).forward is nn.MultiheadAttention.forward:
            found[module] = _multihead
        elif isinstance(module, nn.TransformerEncoderLayer):
            found[module] = _encoder_layer
        elif _has(module, ("query", "key"), ("num_attention_heads", "attention_head_size")):
            found[module] = _linears
        elif _has(module, ("qkv",), ("num_heads",)):
            found[module] = _fused
    return found


def _has(module: nn.Module, parts: tuple[str, ...], sizes: tuple[str, ...]) -> bool:
    has_parts = all(isinstance(getattr(module, part, None), nn.Module) for part in parts)
    return has_parts and all(isinstance(getattr(module, size, None), int) for size in sizes)


def _linears(tape: Tape, module: nn.Module) -> Iterator[RemovableHandle]:
    """BERT's old style."""

    def read(outputs: dict[str, Tensor], arguments: dict[str, Any]) -> dict[str, Any]:
        crossed = arguments.get("encoder_hidden_states") is not None
        mask = arguments.get("attention_mask")
        if crossed and "encoder_attention_mask" in inspect.signature(module.forward).parameters:
            mask = arguments.get("encoder_attention_mask")
        q, k, v = (
            outputs[part].unflatten(-1, (module.num_attention_heads, -1)).transpose(1, 2) if part in outputs else None
            for part in ("query", "key", "value")
        )
        cache = arguments.get("past_key_values")
        if cache is not None:
            cache = getattr(cache, "cross_attention_cache" if crossed else "self_attention_cache", cache)
            k, v = cache.layers[module.layer_idx].keys, cache.layers[module.layer_idx].values
        return {"q": q, "k": k, "v": v, "mask": mask, "scale": module.attention_head_size**-0.5}

    yield from _around(tape, module, ("query", "key", "value"), read)


def _fused(tape: Tape, module: nn.Module) -> Iterator[RemovableHandle]:
    """One linear for queries, keys and values, one after the other."""

    def read(outputs: dict[str, Tensor], arguments: dict[str, Any]) -> dict[str, Any]:
        parts = outputs["qkv"].unflatten(-1, (3, module.num_heads, -1))
        q, k, v = (part.transpose(1, 2) for part in parts.unbind(-3))
        scale = getattr(module, "scale", None)
        scale = scale if isinstance(scale, float) else q.shape[-1] ** -0.5
        return {"q": q, "k": k, "v": v, "mask": arguments.get("attention_mask"), "scale": scale}

    yield from _around(tape, module, ("qkv",), read)


def _around(
    tape: Tape,
    module: nn.Module,
    parts: tuple[str, ...],
    read: Callable[[dict[str, Tensor], dict[str, Any]], dict[str, Any]],
) -> Iterator[RemovableHandle]:
    """Hooks that keep what the linears give during a call, and record it at the end."""
    call: dict[str, Any] = {}
    signature = inspect.signature(module.forward)

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if tape.running:
            call.update(outputs={}, arguments=(args, kwargs), seen=tape.watch.claim())

    def after(*_: Any) -> None:
        # Nothing seen: a module that asks the interface, where its call was recorded; or one that does no attention
        # (VisualBERT's region-to-phrase head gives the scores themselves).
        if not call or not call["seen"]:
            return
        args, kwargs = call["arguments"]
        arguments = signature.bind_partial(*args, **kwargs).arguments
        arguments |= arguments.pop("kwargs", {})
        with tape.watch.paused():
            found = read(call["outputs"], arguments)
            if found["q"] is None or found["k"] is None:
                raise Unsupported(f"{tape.names[module]}: its linears were not called; {SUPPORTED}")
            found["mask"] = four_axes(found["mask"], found["k"].shape[2])
            check(tape.names[module], call["seen"], found)
        tape.record(module, **found)

    def leave(*_: Any) -> None:
        if call:
            tape.watch.release(call["seen"])
            call.clear()

    def keep(part: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, output: Tensor) -> None:
            if call:
                call["outputs"][part] = output

        return hook

    yield module.register_forward_pre_hook(before, with_kwargs=True)
    for part in parts:
        if isinstance(getattr(module, part, None), nn.Module):
            yield getattr(module, part).register_forward_hook(keep(part))
    yield module.register_forward_hook(after)
    yield module.register_forward_hook(leave, always_call=True)


def _multihead(tape: Tape, module: nn.Module) -> Iterator[_Forward]:
    """torch's own module: what it compares is computed once more, since its linears are not modules."""

    def around(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not tape.running:
            return forward(*args, **kwargs)
        with tape.watch.paused():
            found = multihead.read(tape.names[module], module, *args, **kwargs)
        # Under any torch function mode the module leaves its fast path, and its results would change.
        with torch._C.DisableTorchFunction():
            result = forward(*args, **kwargs)
        tape.record(module, **found)
        return result

    yield _Forward(module, around)


class _Forward:
    """Something around a module's forward, until `remove`."""

    def __init__(self, module: nn.Module, around: Callable[..., Any]) -> None:
        self._module, self._before = module, module.__dict__.get("forward")
        module.forward = functools.partial(around, module.forward)

    def remove(self) -> None:
        """Put back what was there."""
        del self._module.forward
        if self._before is not None:
            self._module.forward = self._before


def _encoder_layer(tape: Tape, module: nn.Module) -> Iterator[RemovableHandle]:
    """torch's encoder layer: one of its two ways has no module for attention, and hooks would change the way."""

    def before(*_: Any) -> None:
        differentiable = torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters())
        if torch.backends.mha.get_fastpath_enabled() and not module.training and not differentiable:
            raise Unsupported(
                f"{tape.names[module]}: nn.TransformerEncoderLayer runs on its fast path here, whose attention cannot "
                "be seen; call torch.backends.mha.set_fastpath_enabled(False) first"
            )

    yield module.register_forward_pre_hook(before)


def four_axes(mask: Tensor | None, keys: int) -> Tensor | None:
    """A mask as (batch, head, query, key); one for a cache of fixed length may be longer than the keys."""
    if mask is None:
        return None
    if mask.ndim == 2:
        mask = mask[:, None, None]
    elif mask.ndim == 3:
        mask = mask[:, None]
    if mask.dtype != torch.bool and not mask.is_floating_point():
        mask = mask.bool()
    return mask[..., :keys] if mask.shape[-1] > keys else mask


OUTPUTS = ("out_proj", "o_proj", "projection", "proj", "dense")


def output_heads(model: nn.Module, name: str, heads: int, v: Tensor | None) -> Tensor | None:
    """Each head's part of the output projection, `(head, d, model)`: of the module, or its neighbour `output.dense`."""
    if v is None:
        return None
    parent = model.get_submodule(name.rpartition(".")[0])
    places = [getattr(model.get_submodule(name), part, None) for part in OUTPUTS]
    places.append(getattr(getattr(parent, "output", None), "dense", None))
    for place in places:
        weight = getattr(place, "weight", None)
        if isinstance(place, nn.Linear) and weight.ndim == 2 and weight.shape[1] == heads * v.shape[-1]:
            return weight.t().unflatten(0, (heads, -1))
    return None


def looked_at(model: nn.Module) -> str:
    """The error for a model in which nothing can be read."""
    kinds: dict[str, str] = {}
    for name, module in model.named_modules():
        kinds.setdefault(type(module).__name__, name)
    listed = [f"{kind} ({name})" if name else kind for kind, name in kinds.items()]
    more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
    return f"model: no attention module found among {', '.join(listed[:20])}{more}; {SUPPORTED}"
