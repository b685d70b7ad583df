"""Text or image: the labels of each call's queries and keys, from what is known of the pass so far."""

from __future__ import annotations

import inspect
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from crosslook.capture.positions import FAMILIES, Family, Positions, Split, kind_of
from crosslook.scores import CLOSED


class Labels:
    """What one model says of its positions, pass by pass."""

    def __init__(self, model: nn.Module) -> None:
        self._families = _families(model)
        # Which positions were image, for each cache of keys: several conversations may go on at a time.
        self._cached: WeakKeyDictionary[Any, Tensor] = WeakKeyDictionary()
        self.start()

    def start(self) -> None:
        """A forward pass begins."""
        self.given = Positions()  # what the model itself, or who captures it, says
        self._split: Split | None = None
        self._image: Tensor | None = None
        self._present: dict[str, Tensor] = {}
        self._last_mask: tuple[Tensor, Tensor] | None = None

    def enter(self, name: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module is called; the one that is given words and image knows where they stand in a joint sequence."""
        family = self._base(name, module)
        if family is None:
            return
        arguments = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
        cache = arguments.get("past_key_values")
        self._image = None
        before = None if cache is None else self._cached.get(cache)
        self._split = family.split(arguments, module.config, before)

    def leave(self, name: str, module: nn.Module, result: Any) -> None:
        """The module is done; a cache that it returns holds the positions of this pass."""
        cache = getattr(result, "past_key_values", None)
        if cache is not None and self._image is not None and self._base(name, module) is not None:
            self._cached[cache] = self._image

    def _base(self, name: str, module: nn.Module) -> Family | None:
        family, _ = self._families.get(name, (None, ""))
        return family if family is not None and family.split and type(module).__name__ == family.base else None

    def kind(self, name: str, module: nn.Module, call: int) -> str:
        """The kind of a call of an attention module."""
        family, path = self._families.get(name, (None, ""))
        own = getattr(module, "attention_kind", None)
        if isinstance(own, tuple):
            return own[call % len(own)]
        return own or ("joint" if family is None else kind_of(family, path, call))

    def of(self, kind: str, q: Tensor, k: Tensor, mask: Tensor | None) -> dict[str, Tensor | None]:
        """`query_text`, `query_image`, `key_text` and `key_image` of a call.

        Raises:
            ValueError: when the positions that were given do not fit its keys.
        """
        batch, queries, keys = q.shape[0], q.shape[2], k.shape[2]
        opened = self._opened(mask, batch, keys, q.device)
        if kind == "joint":
            text, image = self._joint(opened)
            asking = [_last(x, batch, queries) for x in (text, image)]
            answering = [_padded(x, batch, keys) for x in (text, image)]
        else:
            ask, answer = kind.split("_to_") if "_to_" in kind else (kind, kind)
            given = {"text": self.given.text, "image": self.given.image}
            _fits(answer, given[answer], batch, keys)
            self._present[answer] = opened if given[answer] is None else given[answer]
            asked = given[ask] if given[ask] is not None else self._present.get(ask)
            asking = _sides(ask, _last(asked, batch, queries))
            answering = _sides(answer, self._present[answer])
        return dict(zip(("query_text", "query_image", "key_text", "key_image"), [*asking, *answering], strict=True))

    def _opened(self, mask: Tensor | None, batch: int, keys: int, device: torch.device) -> Tensor:
        """Keys that some query may attend to, `(batch, key)`."""
        if mask is None:
            return torch.ones(batch, keys, dtype=torch.bool, device=device)
        # Layers share their mask, which can be large.
        if self._last_mask is None or self._last_mask[0] is not mask:
            opened = mask if mask.dtype == torch.bool else mask > CLOSED
            self._last_mask = mask, opened.any(2).any(1)
        return self._last_mask[1].expand(batch, keys)

    def _joint(self, opened: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if self.given.joint_text is not None or self.given.joint_image is not None:
            for part in ("joint_text", "joint_image"):
                _fits(part, getattr(self.given, part), *opened.shape)
            return self.given.joint_text, self.given.joint_image
        if self._split is None:
            return None, None
        image = self._split(opened.shape[1]).to(opened.device)
        if image.shape[0] not in (1, len(opened)) or image.shape[1] > opened.shape[1]:
            return None, None
        self._image = image
        opened = opened[:, : image.shape[1]]
        return ~image & opened, image & opened


def _families(model: nn.Module) -> dict[str, tuple[Family, str]]:
    """For every module within a model of a known family: the family, and the module's path in that model."""
    found: dict[str, tuple[Family, str]] = {}
    for name, module in model.named_modules():
        parent, _, own = name.rpartition(".")
        if name and parent in found:
            family, path = found[parent]
            found[name] = family, f"{path}.{own}".removeprefix(".")
        elif (known := getattr(getattr(module, "config", None), "model_type", None)) in FAMILIES:
            found[name] = FAMILIES[known], ""
    return found


def _fits(part: str, given: Tensor | None, batch: int, keys: int) -> None:
    if given is not None and given.shape != (batch, keys):
        raise ValueError(f"positions: expected {part} of shape (batch={batch}, {keys}), got {tuple(given.shape)}")


def _last(present: Tensor | None, batch: int, n: int) -> Tensor | None:
    """The last `n` positions: the queries, where the keys before them come from a cache. None where it does not fit."""
    if present is None or present.shape[0] not in (1, batch) or present.shape[1] < n:
        return None
    return present[:, present.shape[1] - n :].expand(batch, n)


def _padded(present: Tensor | None, batch: int, n: int) -> Tensor | None:
    """The positions and what follows: a cache of fixed length has places at its end that are still empty."""
    if present is None or present.shape[0] not in (1, batch) or present.shape[1] > n:
        return None
    return torch.nn.functional.pad(present, (0, n - present.shape[1])).expand(batch, n)


def _sides(modality: str, present: Tensor | None) -> list[Tensor | None]:
    """(text, image) of positions that are all of one modality."""
    none = None if present is None else torch.zeros_like(present)
    return [present, none] if modality == "text" else [none, present]
