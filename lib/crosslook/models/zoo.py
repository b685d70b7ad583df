"""The models that this project trained: their weights lie in `data/zoo`, or in the cache when they are not shipped.

python -m crosslook.models.zoo        # makes data/zoo/features.safetensors again, from the train split
"""

from functools import cache
from pathlib import Path

from torch import nn

from crosslook.models import checkpoint, tokens
from crosslook.models.embeddings import Standard
from crosslook.models.recipes import RECIPES, Recipe
from crosslook.paths import DATA, cache_dir

FOLDER = DATA / "zoo"
STANDARD = FOLDER / "features.safetensors"
"""Mean and standard deviation of the region features of the train split."""
CAPTIONERS = {"ort": {}, "ort-flat": {"geometry": False}, "ort-relative": {"boxes": "relative"}}
"""The captioners by name, and in what they differ from `ort.Config`."""


def load(name: str) -> nn.Module:
    """A trained model.

    Raises:
        ValueError: no such recipe.
        FileNotFoundError: it is not shipped and has not been trained here; the error gives the command.
    """
    recipe = _recipe(name)
    path = weights(name)
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: the weights of {name!r} are not shipped; train it with `python -m crosslook.models.train {name}`"
        )
    return checkpoint.load(untrained(recipe.architecture), path)


def untrained(name: str, seed: int | None = None) -> nn.Module:
    """A recipe's model with initial weights: the twin of a trained one, which has learnt nothing.

    Args:
        name: a key of `RECIPES`; all of one architecture are the same but for the seed.
        seed: of the weights; default: the recipe's.

    Raises:
        ValueError: no such recipe.
    """
    recipe = _recipe(name)
    seed = recipe.seed if seed is None else seed
    words = tokens.emoji()
    if recipe.architecture in CAPTIONERS:
        from crosslook.models import ort

        config = ort.Config(vocab=len(words), features=FEATURES, **CAPTIONERS[recipe.architecture])
        model = ort.build(config, words, seed)
    else:
        from crosslook.models.architectures import small
        from crosslook.models.vision_language import build

        model = build(small(recipe.architecture, vocab=len(words), features=FEATURES, classes=classes()), words, seed)
    if isinstance(getattr(model, "standard", None), Standard):
        checkpoint.fill(model.standard, checkpoint.read(STANDARD), str(STANDARD))
    return model


FEATURES = 128
"""Width of a region's feature in Emoji Entities (`crosslook.data.detector.DIM`)."""


@cache
def classes() -> int:
    """How many classes the detector knows, background among them."""
    from crosslook.data import detector

    return len(detector.heads().classes)


def weights(name: str) -> Path:
    """Where a model's weights lie: shipped, or else in the cache, where training puts those that are not."""
    shipped = FOLDER / f"{name}.safetensors"
    return shipped if shipped.exists() else cache_dir("zoo") / f"{name}.safetensors"


def shipped() -> tuple[str, ...]:
    """The names of the models whose weights are in the repository, in the order of the recipes."""
    return tuple(name for name in RECIPES if (FOLDER / f"{name}.safetensors").exists())


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise ValueError(f"name: expected one of {', '.join(RECIPES)}, got {name!r}")
    return RECIPES[name]


def main() -> None:
    import torch
    from safetensors.torch import save_file

    from crosslook.data.emoji.regions import detector_regions

    regions = detector_regions("train")
    features = torch.cat([regions.features(place) for place in range(len(regions))])
    save_file({"mean": features.mean(0), "sd": features.std(0)}, STANDARD)
    print(f"wrote {STANDARD}: of {len(features):,} regions")


if __name__ == "__main__":
    main()
