"""A training loop for any model and task: it shows progress, logs, and goes on from where it was stopped.

A task has `n_batches`, `batch(epoch, index) -> Batch`, `losses(model, batch, generator) -> {name: loss}` and
`validate(model) -> {name: number}`; everything random in it follows from a seed, the epoch and the index. So a run that
was killed and resumed ends with the same weights as one that was not. That is shown on a CPU alone, bit for bit; on a
GPU, which may add up in another order each time, tests ask only that a resumed run goes on and learns.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from crosslook.data.sample import Batch
from crosslook.models import checkpoint
from crosslook.progress import track


@runtime_checkable
class Task(Protocol):
    """What `fit` asks of a task."""

    n_batches: int

    def batch(self, epoch: int, index: int) -> Batch:
        """The index-th batch of an epoch."""

    def losses(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars; their sum is minimised."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Numbers for the log."""


def fit(
    model: nn.Module,
    task: Task,
    folder: str | os.PathLike,
    *,
    epochs: int,
    lr: float = 5e-4,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    seed: int = 0,
    about: str = "",
) -> list[dict[str, Any]]:
    """Train a model where it lies (CPU or GPU) with AdamW, a linear warm-up and a linear decay.

    After each epoch `folder` gets `state.pt` (all that is needed to go on) and a line in `log.jsonl`. If it holds a
    state already, training goes on from there. On a GPU the forward pass runs in bfloat16.

    Args:
        model: is changed; ends in evaluation mode.
        task: see above.
        folder: of this run alone.
        epochs: in all, with those that the folder holds.
        lr: highest learning rate.
        warmup: share of the steps until it is reached.
        weight_decay: of matrices; vectors (biases, layer norms) have none.
        seed: of dropout and of what the task draws.
        about: what the task is, in words; a run goes on only with the same.

    Returns:
        The log: for each epoch its losses, validation and seconds. In the zoo's logs `train` is in nats and of
        everything that is asked, `val` in bits and of hidden regions alone.

    Raises:
        ValueError: the folder holds a run of another length, seed, learning rate or task.
        FloatingPointError: a loss is not finite; the folder keeps the epoch before.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, float | str] = {"epochs": epochs, "lr": lr, "warmup": warmup, "weight_decay": weight_decay}
    settings |= {"seed": seed, "about": about}
    optimizer = _optimizer(model, lr, weight_decay)
    log = resume(folder, settings, model, optimizer)
    device = next(model.parameters()).device
    total = epochs * task.n_batches
    for epoch in range(len(log), epochs):
        start, sums = time.perf_counter(), {}
        model.train()
        for index in track(range(task.n_batches), desc=f"epoch {epoch + 1} of {epochs}"):
            step = epoch * task.n_batches + index
            for group in optimizer.param_groups:
                group["lr"] = lr * _schedule(step, total, warmup)
            generator = _seeded(seed, epoch, index)
            batch = task.batch(epoch, index).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                losses = task.losses(model, batch, generator)
                loss = torch.stack(list(losses.values())).sum()
            if not loss.isfinite():
                raise FloatingPointError(f"epoch {epoch + 1}, batch {index + 1}: expected a finite loss, got {losses}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.item() / task.n_batches
        model.eval()
        entry = {"epoch": epoch + 1, "train": sums, "val": task.validate(model)}
        log.append(entry | {"seconds": round(time.perf_counter() - start, 1)})
        _keep(folder, settings, model, optimizer, log)
    model.eval()
    return log


def resume(
    folder: Path, settings: Mapping[str, float | str], model: nn.Module, optimizer: torch.optim.Optimizer
) -> list[dict[str, Any]]:
    """Put the state that a folder holds into model and optimizer; its log, empty where there is none.

    Raises:
        ValueError: for a state of other settings, or a broken one.
    """
    path = folder / "state.pt"
    if not path.exists():
        return []
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["settings"]
    except Exception as error:
        raise ValueError(f"{path}: expected the state of a training run ({error}); remove it to begin anew") from error
    if found != dict(settings):
        raise ValueError(f"{path}: expected a run with {dict(settings)}, got one with {found}; remove it to begin anew")
    checkpoint.fill(model, state["model"], f"{path}")
    optimizer.load_state_dict(state["optimizer"])
    return json.loads(state["log"])


def _keep(
    folder: Path,
    settings: Mapping[str, float | str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    log: list[dict[str, Any]],
) -> None:
    state = {
        "settings": dict(settings),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "log": json.dumps(log),
    }
    part = folder / "state.part"
    torch.save(state, part)
    os.replace(part, folder / "state.pt")
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log), encoding="utf-8")


def _optimizer(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))


def _schedule(step: int, total: int, warmup: float) -> float:
    """Share of the highest learning rate: up to 1 over the warm-up, then down to 0."""
    first = max(1, round(warmup * total))
    return (step + 1) / first if step < first else max(0.0, (total - step) / max(1, total - first))


def _seeded(seed: int, epoch: int, index: int) -> torch.Generator:
    """Sets torch's own random numbers (dropout) and gives a generator for the task, both by the place in the run."""
    own, tasks = np.random.SeedSequence((seed, epoch, index)).generate_state(2, dtype=np.uint64)
    torch.manual_seed(int(own) >> 1)
    return torch.Generator().manual_seed(int(tasks) >> 1)
