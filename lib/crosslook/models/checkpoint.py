"""Weights on disk: safetensors, half precision, and errors that say what does not fit. Nothing is ever unpickled."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

SHOWN = 5
"""How many names an error lists."""


def save(model: nn.Module, path: str | os.PathLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write a model's weights in float16; the file appears when it is complete.

    Raises:
        ValueError: naming the first few weights that are not finite, or too large for float16 (above 65,504).
    """
    from safetensors.torch import save_file

    path = Path(path)
    weights = {name: tensor.detach().cpu().half().contiguous() for name, tensor in model.state_dict().items()}
    if broken := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        problem = f"{len(broken)} not finite in float16: {listed(broken)}"
        raise ValueError(f"{path}: weights of {type(model).__name__} cannot be written: {problem}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file(weights, part, dict(metadata or {}))
    os.replace(part, path)


def load(model: nn.Module, path: str | os.PathLike) -> nn.Module:
    """Read weights that `save` wrote into a model, as float32, and give it back in evaluation mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, or weights that do not fit, in which case the model stays as it is.
    """
    fill(model, read(path), str(path))
    return model.eval()


def read(path: str | os.PathLike) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of one that `torch.save` wrote (tensors alone, nothing is unpickled).

    Raises:
        FileNotFoundError: no such file.
        ValueError: naming the file, when it is neither, or broken.
    """
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of weights, found none")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # broken bytes raise whatever they run into
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: expected a file of weights ({reason})") from error
    if not isinstance(found, Mapping) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise ValueError(f"{path}: expected named tensors and nothing else, got {type(found).__name__}")
    return dict(found)


def fill(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Put weights into a model; all of them fit, or none is changed.

    Raises:
        ValueError: naming `source` and the first few weights that are missing, unknown, of another shape or not finite.
    """
    wanted = model.state_dict()
    problems = {
        "missing": [name for name in wanted if name not in weights],
        "unknown": [name for name in weights if name not in wanted],
        "of another shape": [
            f"{name} (expected {tuple(tensor.shape)}, got {tuple(weights[name].shape)})"
            for name, tensor in wanted.items()
            if name in weights and weights[name].shape != tensor.shape
        ],
        "not finite": [name for name, tensor in weights.items() if not tensor.isfinite().all()],
    }
    if found := [f"{len(names)} {what}: {listed(names)}" for what, names in problems.items() if names]:
        raise ValueError(f"{source}: weights do not fit {type(model).__name__}: {'; '.join(found)}")
    model.load_state_dict({name: weights[name] for name in wanted})


def listed(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are.

    >>> listed("abcdefg")
    'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
