"""The attention interface of `transformers`: its newer models ask for their attention function by name.

Each call goes to the function that the model would have got, and on to the tape. Nothing is registered under a new
name: models compare the name with "sdpa", and masks are made by name, so a new one would change what they compute.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from crosslook.capture.coverage import check
from crosslook.capture.errors import Unsupported
from crosslook.capture.modules import SUPPORTED, four_axes

if TYPE_CHECKING:
    from crosslook.capture.tape import Tape

_tapes: list[Tape] = []
_plain: list[Callable[..., Any]] = []


def asked_by(model: nn.Module) -> bool:
    """Whether some module's source asks the interface (only models of `transformers` do)."""
    return any(hasattr(sys.modules.get(type(m).__module__), "ALL_ATTENTION_FUNCTIONS") for m in model.modules())


@contextmanager
def listening(tape: Tape) -> Iterator[None]:
    """Within the block, functions that modules of the tape's model ask for report to the tape."""
    from transformers.modeling_utils import AttentionInterface

    if not hasattr(AttentionInterface, "get_interface"):
        raise Unsupported("model: capturing models of transformers takes its version 5.20 or newer")
    if not _tapes:
        _plain.append(AttentionInterface.get_interface)
        AttentionInterface.get_interface = _get_interface
    _tapes.append(tape)
    try:
        yield
    finally:
        _tapes.remove(tape)
        if not _tapes:
            AttentionInterface.get_interface = _plain.pop()


def _get_interface(self: Any, attn_implementation: str, default: Callable[..., Any]) -> Callable[..., Any]:
    function = _plain[-1](self, attn_implementation, default)
    return functools.update_wrapper(functools.partial(_call, attn_implementation, function), function)


def _call(
    name: str,
    function: Callable[..., Any],
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    tape = next((tape for tape in _tapes if module in tape.names and tape.running), None)
    if tape is None:
        return function(module, query, key, value, attention_mask, *args, **kwargs)
    if name not in (None, "eager", "sdpa"):
        raise Unsupported(f"{tape.names[module]}: attention implementation {name!r}; {SUPPORTED}")
    with tape.watch.claimed() as seen:
        result = function(module, query, key, value, attention_mask, *args, **kwargs)
    with tape.watch.paused():
        rules = _sdpa if name == "sdpa" else _eager
        found = rules(module, query, key, value, attention_mask, **kwargs)
        check(tape.names[module], seen, found)
    tape.record(module, **found)
    return result


def _eager(
    module: nn.Module,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    position_bias: Tensor | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> dict[str, Any]:
    """The models' own functions: what may be attended to is all in the mask, whatever `is_causal` says."""
    mask = four_axes(mask, k.shape[2])
    if position_bias is not None:
        mask = position_bias if mask is None else mask + position_bias
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    return {"q": q, "k": k, "v": v, "mask": mask, "scale": scale, "softcap": softcap, "sinks": s_aux}


def _sdpa(
    module: nn.Module,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> dict[str, Any]:
    """torch's function: without a mask, several queries are causal where the call or the module says so."""
    from transformers.integrations.sdpa_attention import create_position_bias_mask

    asked = getattr(module, "is_causal", True) if is_causal is None else is_causal
    causal = bool(q.shape[2] > 1 and mask is None and asked)
    if causal and k.shape[2] > q.shape[2]:
        # A cache of fixed length that is still empty behind the queries.
        k, v = k[:, :, : q.shape[2]], v[:, :, : q.shape[2]]
    mask = four_axes(mask, k.shape[2])
    if position_bias is not None:
        mask = create_position_bias_mask(position_bias[..., : k.shape[2]], mask, causal, q, k)
        causal = False
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    return {"q": q, "k": k, "v": v, "mask": mask, "scale": scale, "causal": causal}
