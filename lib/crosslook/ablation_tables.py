"""What ablation costs models whose weights are not shipped: their losses on all of val, phrase by phrase, as files.

    python -m crosslook.ablation_tables uniter-xe uniter-alone

measures models that lie in `data/zoo` or the cache (`python -m crosslook.models.train NAME`) and writes
`data/zoo/losses/NAME.safetensors`. All files are about the same phrases in the same order, so models can be compared
phrase by phrase, with intervals over images.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from crosslook import ablation, gold_labels
from crosslook.ablation_conditions import mean_feature
from crosslook.ablation_examples import Cases, Example, batches, examples, images
from crosslook.data.sample import Sample
from crosslook.models import checkpoint, zoo
from crosslook.models.recipes import RECIPES
from crosslook.progress import track

FOLDER = zoo.FOLDER / "losses"


@dataclass(frozen=True, eq=False)
class Table:
    """Losses of one model, in bits, by condition (`ablation.vision_for_language`, `language_for_vision`), and "wrong".

    `losses["wrong"]` is 1 where the detector's first choice is not the class that people's noun names, and NaN where
    it names none. `images` is the place of each phrase's image.
    """

    losses: dict[str, Float[np.ndarray, " example"]]
    images: Int[np.ndarray, " example"]


def read(name: str, folder: Path = FOLDER) -> Table:
    """The table of a model.

    Raises:
        FileNotFoundError: there is none; the error gives the commands that make it.
        ValueError: naming the file, when it is broken.
    """
    from safetensors import safe_open

    path = folder / f"{name}.safetensors"
    if not path.is_file():
        commands = f"`python -m crosslook.models.train {name}` and `python -m crosslook.ablation_tables {name}`"
        raise FileNotFoundError(f"{path}: no losses of {name!r} are shipped; make them with {commands}")
    tensors = checkpoint.read(path)
    try:
        with safe_open(path, framework="pt") as file:
            conditions = json.loads(file.metadata()["conditions"])
        losses = tensors["losses"].double().numpy()
        return Table(dict(zip(conditions, losses, strict=True)), tensors["images"].long().numpy())
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected the losses of a model ({error})") from error


def write(name: str, table: Table, folder: Path = FOLDER) -> None:
    """Put a table into the folder, in half precision; the file appears when it is complete."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "losses": torch.tensor(np.stack(list(table.losses.values())), dtype=torch.float16),
        "images": torch.tensor(table.images, dtype=torch.int16),
    }
    about = {"conditions": json.dumps(list(table.losses)), "command": f"python -m crosslook.ablation_tables {name}"}
    path = folder / f"{name}.safetensors"
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file(tensors, part, about)
    os.replace(part, path)


def measure(name: str, n_examples: int | None = None) -> Table:
    """Measure a model that is trained, on the phrases of val.

    Args:
        name: a key of `RECIPES`. Regions are those of the detector that it was trained with.
        n_examples: only so many, from the first; None: all.

    Raises:
        ValueError, FileNotFoundError: as `zoo.load`.
    """
    model = zoo.load(name)
    samples, phrases, labels = _phrases(RECIPES[name].degrade)
    gold_of = dict(zip(phrases, labels, strict=True))
    # The average feature is that of all phrases, however few are measured.
    filler = mean_feature(batches(samples, phrases, model.tokenize))
    chosen = phrases[:n_examples]

    def diagnose(part: Cases) -> ablation.Losses:
        gold = torch.tensor([gold_of[one] for one in part.examples])
        silver = ablation.silver(part)
        asked = (gold >= 0) & ~silver[:, 0].isnan()
        wrong = (silver.argmax(-1) != gold).float().masked_fill(~asked, torch.nan)
        words = ablation.vision_for_language(model, part, filler)
        return {**words, **ablation.language_for_vision(model, part, gold=gold), "wrong": wrong}

    parts = track(batches(samples, chosen, model.tokenize), desc=name, total=-(-len(chosen) // 64))
    return Table(ablation.collect(parts, diagnose), images(chosen))


@cache
def _phrases(degrade: float) -> tuple[list[Sample], list[Example], list[int]]:
    """Captions of val with a detector's regions, their phrases, and the classes that people's nouns name, or -1."""
    from crosslook import data
    from crosslook.data.emoji.regions import detector_regions

    samples = list(data.load("emoji:val", regions=detector_regions("val", degrade)))
    chosen = examples(samples)
    matched = gold_labels.label_match(gold_labels.nouns(samples, chosen), samples[0].regions.classes)
    return samples, chosen, [-1 if label is None else label for label in matched]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m crosslook.ablation_tables", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="models that are trained")
    for name in parser.parse_args(arguments).names:
        write(name, measure(name))
        print(f"wrote {FOLDER / name}.safetensors")


if __name__ == "__main__":
    main()
