"""Train the zoo's models on Emoji Entities.

    python -m crosslook.models.train uniter             # one, by its recipe (recipes.py)
    python -m crosslook.models.train all                # the seven architectures, but for those that it has trained
    python -m crosslook.models.train uniter --ship      # put the weights into data/zoo instead of the cache

A run that was stopped goes on where it was. Weights and the log of the losses are written at its end; what they are
worth, `python -m crosslook.models.evaluate` says. Where weights are shipped, `models.load` gives those and not the
cache's.
"""

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

from crosslook.models import checkpoint, tokens, training, zoo
from crosslook.models.corpus import Corpus
from crosslook.models.pretraining import Pretraining
from crosslook.models.recipes import ARCHITECTURES, MINILM, RECIPES, Recipe
from crosslook.paths import cache_dir

RATE = 5e-4
"""Highest learning rate of a model that is 128 wide. It falls as width grows (Yang et al. 2021)."""


def train(name: str, *, ship: bool = False, device: str | None = None) -> None:
    """Train a model by its recipe, after the one that it begins with.

    Args:
        name: a key of `RECIPES`.
        ship: put the weights into `data/zoo`; else into the cache.
        device: default: the GPU, if there is one.

    Raises:
        ValueError: no such recipe.
    """
    if name not in RECIPES:
        raise ValueError(f"name: expected one of {', '.join(RECIPES)}, got {name!r}")
    recipe = RECIPES[name]
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model = zoo.untrained(recipe.architecture, recipe.seed)
    if recipe.start == MINILM:
        from crosslook.models import minilm

        minilm.fill(model, tokens.emoji())
    elif recipe.start:
        if not zoo.weights(recipe.start).exists():
            train(recipe.start, device=device)
        model = zoo.load(recipe.start)
    model.to(device)
    folder = cache_dir("training", name)
    settings = {"epochs": recipe.epochs, "seed": recipe.seed, "about": str(recipe)}
    log = training.fit(model, task(recipe), folder, lr=RATE * 128 / model.config.width, **settings)
    target = _target(name, ship)
    command = f"python -m crosslook.models.train {name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".jsonl.part")
    part.write_text("".join(json.dumps(entry) + "\n" for entry in log), encoding="utf-8")
    os.replace(part, target.with_suffix(".jsonl"))
    # Last: where the weights are, training is done.
    checkpoint.save(model, target, {"command": command, "recipe": str(recipe)})
    shutil.rmtree(folder)
    print(f"wrote {target}")
    if (found := zoo.weights(name)) != target:
        print(
            f"models.load('emoji/{name}') still gives the shipped {found}. The new weights: "
            f"checkpoint.load(zoo.untrained({recipe.architecture!r}), {str(target)!r}); "
            "training with --ship puts such in their place"
        )


def _target(name: str, ship: bool) -> Path:
    return (zoo.FOLDER if ship else cache_dir("zoo")) / f"{name}.safetensors"


def _done(path: Path, recipe: Recipe) -> bool:
    """Whether a file holds weights that were trained by this recipe."""
    from safetensors import safe_open

    if not path.exists():
        return False
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get("recipe") == str(recipe)


def task(recipe: Recipe) -> training.Task:
    """What a recipe's model learns."""
    if recipe.architecture in zoo.CAPTIONERS:
        from crosslook.models.captioner_task import Captioning

        return Captioning(corpus("train", text="paragraph"), corpus("val", text="paragraph"), seed=recipe.seed)
    return Pretraining(
        corpus("train", recipe.degrade), corpus("val", recipe.degrade), recipe.objective, seed=recipe.seed
    )


@cache
def corpus(split: str, degrade: float = 0.0, text: str = "captions") -> Corpus:
    """The captions (or paragraphs) of a split as tensors; made once for all models that are trained in turn."""
    from crosslook import data
    from crosslook.data.emoji.regions import detector_regions

    samples = data.load(f"emoji:{split}", regions=detector_regions(split, degrade), text=text)
    return Corpus(samples, tokens.emoji(), f"reading {split}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m crosslook.models.train", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"all, or any of {', '.join(RECIPES)}")
    parser.add_argument("--ship", action="store_true", help="put the weights into data/zoo")
    parser.add_argument("--device", help="cpu or cuda (default: the GPU, if there is one)")
    chosen = parser.parse_args(arguments)
    names = ARCHITECTURES if chosen.names == ["all"] else chosen.names
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"no recipe for {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    for name in names:
        path = _target(name, chosen.ship)
        if chosen.names == ["all"] and _done(path, RECIPES[name]):
            print(f"{name}: {path} is there, by the same recipe; `train {name}` would train it again")
            continue
        train(name, ship=chosen.ship, device=chosen.device)


if __name__ == "__main__":
    main()
