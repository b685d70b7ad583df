"""What becomes of a model when some of its heads say nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from math import log

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from crosslook.data.sample import Batch
from crosslook.models.captioner_task import next_word_losses
from crosslook.models.codes import last_words


@contextmanager
def silence(model: nn.Module, heads: Mapping[str, Sequence[int]]) -> Iterator[None]:
    """Within the block some heads of a model add nothing to the states; afterwards it is as it was.

    What a head would add is its part of the attention module's output projection; its bias stays.

    Args:
        model: whose attention modules have their output projection in `dense`, as the zoo's do.
        heads: heads (from 0) by the attention module's path in the model, `Site.name`.

    Raises:
        ValueError: no such module, one without heads and `dense`, or no such head.
    """
    modules = dict(model.named_modules())
    with ExitStack() as stack:
        for name, chosen in heads.items():
            module = modules.get(name)
            count = getattr(module, "num_attention_heads", None)
            if not isinstance(count, int) or not isinstance(getattr(module, "dense", None), nn.Linear):
                raise ValueError(f"heads: expected attention modules with heads and a linear `dense`, got {name!r}")
            if bad := [head for head in chosen if not 0 <= head < count]:
                raise ValueError(f"heads: expected 0 to {count - 1} in {name}, got {', '.join(map(str, bad))}")

            def mute(
                _: nn.Module, inputs: tuple[Tensor, ...], chosen: Sequence[int] = tuple(chosen), count: int = count
            ) -> tuple[Tensor, ...]:
                parts = inputs[0].unflatten(-1, (count, -1)).clone()
                parts[..., list(chosen), :] = 0
                return (parts.flatten(-2), *inputs[1:])

            stack.callback(module.dense.register_forward_pre_hook(mute).remove)
        yield


def module_names(model: nn.Module, batch: Batch, kind: str) -> list[str]:
    """Paths of the modules that do a kind of attention (`Site.kind`), by layer: what `silence` wants for (layer, head).

    Raises:
        ValueError: the model has no attention of that kind.
    """
    from crosslook.capture import capture

    found: dict[int, str] = {}
    with (
        torch.no_grad(),
        capture(model, on_site=lambda site: found.setdefault(site.layer, site.name) if site.kind == kind else None),
    ):
        model(batch)
    if not found:
        raise ValueError(f"kind: expected one that the model has, got {kind!r}")
    return [found[layer] for layer in sorted(found)]


@torch.no_grad()
def losses_by_phrase(
    model: nn.Module, batches: Iterable[Batch], silent: Sequence[tuple[int, int]], names: Sequence[str]
) -> Float[np.ndarray, "example 4"]:
    """How well a captioner predicts what phrases name, with some heads silent.

    Args:
        model: gives the next word.
        batches: with links.
        silent: (layer, head) of the heads, from 0.
        names: of the attention modules by layer (`module_names`).

    Returns:
        For each example the loss in bits, summed, of the last words of linked phrases, and how many they are; then the
        same of all other words.
    """
    where: dict[str, list[int]] = {}
    for layer, head in silent:
        where.setdefault(names[layer], []).append(head)
    rows = []
    with silence(model, where):
        for batch in batches:
            losses = next_word_losses(model, batch) / log(2)
            inside = batch.phrase_tokens & batch.links.any(-1, keepdim=True)
            last = last_words(replace(batch, phrase_tokens=inside))[:, 1:]
            rest = batch.text_mask[:, 1:] & ~last
            numbers = [
                (losses * chosen).sum(1) if summed else chosen.sum(1) for chosen in (last, rest) for summed in (1, 0)
            ]
            rows.append(torch.stack(numbers, 1).double().numpy(force=True))
    return np.concatenate(rows)
