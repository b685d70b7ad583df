"""Train the detector's heads on drawn scenes and write them to `data/emoji_entities/detector.safetensors`.

    python -m crosslook.data.train_detector

Backbone features of the training images are kept in the cache, so that a run that was stopped goes on where it was.
The seed fixes the result, up to the rounding of sums that differs between processors.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from crosslook.data import detector
from crosslook.data.detector import BACKGROUND, WEIGHTS, Heads
from crosslook.data.emoji import regions
from crosslook.data.emoji.proposals import proposals
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.world import COLOURS, HEIGHT, SIZES, WIDTH, categories
from crosslook.paths import cache_dir
from crosslook.progress import track

IMAGES, EPOCHS, BATCH, RATE, DROPOUT, SEED = 1500, 20, 256, 2e-3, 0.5, 0
BACKGROUND_WEIGHT = 0.2
"""Half of all regions are background; at this weight few objects are lost in it, and mistakes are of like things."""
CLASSES = (*categories(), BACKGROUND)
ATTRIBUTES = (*COLOURS, *SIZES)


def main() -> None:
    scenes = regions.scenes("train")[:IMAGES]
    net = train(backbone(scenes), *labels(scenes))
    save(net, WEIGHTS, {"images": len(scenes), "epochs": EPOCHS, "seed": SEED})
    print(f"wrote {WEIGHTS}; now `python -m crosslook.data.emoji.regions` makes the features that go with it")


def backbone(scenes: Sequence[Scene]) -> Float[Tensor, "region 1280"]:
    """Backbone features of all proposals, float16, from the cache as far as they are there."""
    from safetensors.torch import load_file, save_file

    parts = []
    shards = [scenes[start : start + regions.SHARD] for start in range(0, len(scenes), regions.SHARD)]
    for some in track(shards, desc="backbone features"):
        path = cache_dir("backbone") / f"{some[0].id}-{regions.key(some)}.safetensors"
        if not path.exists():
            features = torch.cat([regions.backbone_features(scene) for scene in some]).half()
            unfinished = path.with_suffix(f".{os.getpid()}.part")
            save_file({"features": features}, unfinished)
            os.replace(unfinished, path)
        parts.append(load_file(path)["features"])
    return torch.cat(parts)


def labels(
    scenes: Sequence[Scene],
) -> tuple[Int64[Tensor, "region"], Float[Tensor, "region attribute"], Float[Tensor, "region 3"]]:
    """Class, attributes (0 or 1) and geometry of all proposals. Background has no attributes."""
    names, traits, shapes = [], [], []
    for scene in scenes:
        edges = proposals(scene).astype(np.float32)
        shapes.append(detector.geometry(edges, WIDTH, HEIGHT))
        for owner in detector.matches(scene, edges).tolist():
            thing = scene.things[owner] if owner >= 0 else None
            names.append(CLASSES.index(thing.category) if thing else len(CLASSES) - 1)
            traits.append([thing is not None and trait in (thing.colour, thing.size) for trait in ATTRIBUTES])
    return torch.tensor(names), torch.tensor(traits, dtype=torch.float32), torch.cat(shapes)


def train(
    features: Float[Tensor, "region 1280"],
    names: Int64[Tensor, "region"],
    traits: Float[Tensor, "region attribute"],
    shapes: Float[Tensor, "region 3"],
    epochs: int = EPOCHS,
) -> Heads:
    """Heads that give each region its class and, on objects, its attributes."""
    torch.manual_seed(SEED)
    net = Heads(CLASSES, ATTRIBUTES)
    features = features.float()
    mean, scale = features.mean(0), features.std(0) + 1e-3
    features = (features - mean) / scale
    weight = torch.ones(len(CLASSES))
    weight[-1] = BACKGROUND_WEIGHT
    steps = epochs * -(-len(features) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in track(range(epochs), desc="training the detector"):
        for rows in torch.randperm(len(features)).split(BATCH):
            hidden = net.projection(functional.dropout(features[rows], DROPOUT))
            loss = functional.cross_entropy(net.name(hidden), names[rows], weight)
            objects = names[rows] < len(CLASSES) - 1
            if objects.any():
                logits = net.attribute_logits(hidden[objects], shapes[rows][objects])
                loss = loss + functional.binary_cross_entropy_with_logits(logits, traits[rows][objects])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        net.spread.copy_(torch.cat([net.projection(part) for part in features.split(4096)]).std(0))
        # The standardisation becomes part of the first layer.
        first = net.projection[0]
        assert isinstance(first, nn.Linear)
        first.weight /= scale
        first.bias -= first.weight @ mean
    return net.eval()


def save(net: Heads, path: Path, about: dict[str, int]) -> None:
    """Write the heads in float16, with what names their outputs and how they were made."""
    from safetensors.torch import save_file

    # One entry: several would be written in a random order, and the file would differ from run to run.
    made = {"command": "python -m crosslook.data.train_detector", **about}
    listed = {"classes": net.classes, "attributes": net.attributes, **made}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    tensors = {name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}
    save_file(tensors, unfinished, {"about": json.dumps(listed)})
    os.replace(unfinished, path)


if __name__ == "__main__":
    sys.exit(main())
