"""The recording of a model's attention calls."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from crosslook.capture import interface, modules
from crosslook.capture.coverage import Watch
from crosslook.capture.errors import Unseen, Unsupported
from crosslook.capture.labels import Labels
from crosslook.capture.positions import KINDS, Positions
from crosslook.capture.site import Site

_captured: set[nn.Module] = set()


@contextmanager
def capture(
    model: nn.Module,
    on_site: Callable[[Site], Any] | None = None,
    positions: Callable[..., Positions] | None = None,
) -> Iterator[Tape]:
    """Record the attention calls of every forward pass of a model within this block.

    A pass is a call of the model, or of a part of it on its own: `model.generate` makes many. Sites hold what the model
    computed, so gradients flow through them; weights are those before dropout. What gradient checkpointing computes
    again in a backward pass is not recorded again.

    Args:
        model: any module whose attention can be read (the error for another says which). It stays as it is.
        on_site: is given each site as it happens; nothing is kept then. The way to go through a corpus.
        positions: called with the arguments of the model's forward, says which positions are text and which are image;
            for a model that nothing is known of.

    Yields:
        The tape; `tape.sites` are those of the last pass, in the order of the calls.

    Raises:
        Unsupported: nothing in the model can be read; or it, or a part of it, is being captured already.
        Unseen: at the end of a forward pass with attention that capture did not see.
    """
    mine = set(model.modules())
    if any(type(module).__name__ == "OptimizedModule" or module._compiled_call_impl for module in mine):
        raise Unsupported(
            "model: expected a model as it was written, got a compiled one, which does not run its modules"
        )
    if any(isinstance(module, nn.DataParallel) for module in mine):
        raise Unsupported("model: expected a model on one device, got nn.DataParallel; give its .module")
    if mine & _captured:
        raise Unsupported("model: expected one that is not being captured, got one inside a capture of it or a part")
    tape = Tape(model, on_site, positions)
    with ExitStack() as stack:
        _captured.update(mine)
        stack.callback(_captured.difference_update, mine)
        for hook in tape._hooks():
            stack.callback(hook.remove)
        if tape.asks_interface:
            stack.enter_context(interface.listening(tape))
        stack.enter_context(tape.watch)
        yield tape


class Tape:
    """The sites of the last forward pass, `sites`; how many there were, also when they were handed on, `n_sites`.

    A pass without attention, as that of a head on the states of the pass before, leaves them as they are.
    """

    def __init__(
        self, model: nn.Module, on_site: Callable[[Site], Any] | None, positions: Callable[..., Positions] | None
    ) -> None:
        self.names = {module: name for name, module in model.named_modules()}
        self.watch = Watch(lambda: self._places[-1])
        self.asks_interface = "transformers" in sys.modules and interface.asked_by(model)
        self._model = model
        self._on_site = on_site
        self._positions = positions or getattr(model, "attention_positions", None)
        self._labels = Labels(model)
        self._readers = modules.find(model)
        self._outer: nn.Module | None = None
        self.sites: list[Site] = []
        self.n_sites = 0
        self._clear()
        if not self._readers and not self.asks_interface:
            raise Unsupported(modules.looked_at(model))

    @property
    def running(self) -> bool:
        """Whether a forward pass is under way (and no backward pass, which may compute parts of it again)."""
        return self._outer is not None and torch._C._current_graph_task_id() == -1

    def _clear(self) -> None:
        self._fresh = True
        self._places: list[str] = []
        self._calls: Counter[str] = Counter()
        self._layers: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self._labels.start()

    def _hooks(self) -> Iterator[Any]:
        # Those of the readers first, so that the end of a pass comes after them.
        for module, reader in self._readers.items():
            yield from reader(self, module)
        for module in self.names:
            if module is self._model or any(True for _ in module.children()):
                yield module.register_forward_pre_hook(self._enter, with_kwargs=True, prepend=True)
                yield module.register_forward_hook(self._finish)
                yield module.register_forward_hook(self._leave, always_call=True)

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch._C._current_graph_task_id() != -1:
            return
        # The same module again: an interruption, which is no Exception, left the last pass without an end.
        if self._outer is None or self._outer is module:
            self._clear()
            self._outer = module
            self.watch.start()
        self._places.append(self.names[module])
        with self.watch.paused():
            if module is self._model and self._positions is not None:
                self._labels.given = self._positions(*args, **kwargs)
            self._labels.enter(self.names[module], module, args, kwargs)

    def _finish(self, module: nn.Module, args: Any, result: Any) -> None:
        if not self.running:
            return
        self._labels.leave(self.names[module], module, result)
        if module is self._outer and self.watch.unseen:
            places = dict.fromkeys(
                f"{name or 'the model itself'} ({type(self._model.get_submodule(name)).__name__})"
                for name in self.watch.unseen
            )
            raise Unseen(f"attention that capture cannot read, in {', '.join(places)}; {modules.SUPPORTED}")

    def _leave(self, module: nn.Module, args: Any, result: Any) -> None:
        if not self.running:
            return
        if self._places:
            self._places.pop()
        if module is self._outer:
            self._outer = None
            self.watch.stop()

    def record(
        self, module: nn.Module, q: Tensor, k: Tensor, v: Tensor | None, mask: Tensor | None, **rules: Any
    ) -> None:
        """Make the site of an attention module's call; keep it, or hand it on."""
        name = self.names[module]
        call = self._calls[name]
        self._calls[name] += 1
        if self._fresh:
            self.sites = []  # a new list: those of a pass before may be kept
            self.n_sites = 0
            self._fresh = False
        self.n_sites += 1
        with self.watch.paused():
            kind = self._labels.kind(name, module, call)
            if kind not in KINDS:
                raise ValueError(f"attention_kind: expected one of {', '.join(KINDS)}, got {kind!r} in {name}")
            layers = self._layers[kind]
            site = Site(
                layer=layers.setdefault(name, len(layers)),
                name=name,
                call=call,
                kind=kind,
                q=q,
                k=k,
                v=v,
                output=modules.output_heads(self._model, name, q.shape[1], v),
                mask=mask,
                **rules,
                **self._labels.of(kind, q, k, mask),
            )
            if self._on_site is None:
                self.sites.append(site)
            else:
                self._on_site(site)
