"""Detected regions of the drawn scenes: the 36 proposals of each, looked at by the detector.

The features of val and test are committed, those of train are made on first use and kept in the cache. Everything else
about a region follows from its feature and its box.

    python -m crosslook.data.emoji.regions val test
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from crosslook.data import detector
from crosslook.data.emoji import records
from crosslook.data.emoji.proposals import COUNT, proposals
from crosslook.data.emoji.scene import Scene, from_record
from crosslook.data.emoji.world import FOLDER, HEIGHT, WIDTH
from crosslook.data.features import extract
from crosslook.data.sample import Regions
from crosslook.paths import cache_dir
from crosslook.progress import track

COMMITTED = ("val", "test")
SHARD = 100
"""Images in one file of the cache."""


class SceneRegions(Mapping):
    """Image id (str) -> its `Regions`. Features not yet made are made when asked for, `SHARD` images at a time."""

    def __init__(self, split: str, degrade: float = 0.0) -> None:
        self.split, self.degrade = split, degrade
        self.scenes = scenes(split)
        self.places = {scene.id: place for place, scene in enumerate(self.scenes)}

    def __getitem__(self, image_id: str) -> Regions:
        place = self.places[image_id]
        scene = self.scenes[place]
        edges = proposals(scene).astype(np.float32)
        return detector.describe(self.features(place), edges, WIDTH, HEIGHT, self.degrade, scene.seed)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def features(self, place: int) -> Float32[Tensor, "36 128"]:
        """Features of the `place`-th image's proposals, in the order of `proposals`."""
        if self.split in COMMITTED:
            return _load(committed(self.split), len(self.scenes))[place]
        return _shard(self.split, place // SHARD)[place % SHARD]


def detector_regions(split: str, degrade: float = 0.0) -> SceneRegions:
    """The detector's regions of all images of a split.

    `degrade` lowers the detector's quality (see `detector.detect`); the noise is seeded by each scene.
    Raises ValueError for an unknown split or a `degrade` below 0.
    """
    if not degrade >= 0:
        raise ValueError(f"degrade: expected a number from 0 upwards, got {degrade}")
    return SceneRegions(split, degrade)


@cache
def scenes(split: str) -> tuple[Scene, ...]:
    """The committed scenes of a split, without their language."""
    return tuple(from_record(record) for record in records.read(split))


def committed(split: str) -> Path:
    """Where the committed features of a split lie."""
    return FOLDER / "regions" / f"{split}.safetensors"


def backbone_features(scene: Scene) -> Float[Tensor, "36 1280"]:
    """Draw a scene and run the backbone on its proposals."""
    from crosslook.data.emoji.draw import draw

    return extract(draw(scene), proposals(scene).astype(np.float32))


def save(path: Path, some: Sequence[Scene], desc: str) -> None:
    """Make the features of scenes and write them, a byte a number, scaled per dimension over the file.

    The file appears when it is complete.
    """
    from safetensors.torch import save_file

    with torch.inference_mode():
        features = torch.stack(
            [detector.heads().projection(backbone_features(scene)) for scene in track(some, desc=desc)]
        )
    low, high = features.amin((0, 1)), features.amax((0, 1))
    step = ((high - low) / 255).clamp(min=1e-8)
    codes = ((features - low) / step).round().to(torch.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    save_file({"codes": codes, "low": low, "step": step}, part, {"detector": detector.fingerprint()})
    os.replace(part, path)


@cache
def _load(path: Path, images: int) -> Float32[Tensor, "image 36 128"]:
    """The features of a file. Raises ValueError naming it when they are not those of these scenes and this detector."""
    from safetensors import SafetensorError, safe_open

    again = "make them again with `python -m crosslook.data.emoji.regions`"
    try:
        with safe_open(path, framework="pt") as file:
            made_with = (file.metadata() or {}).get("detector")
            codes, low, step = (file.get_tensor(name) for name in ("codes", "low", "step"))
    except SafetensorError as error:
        raise ValueError(f"{path}: expected features of regions ({error}); {again}") from error
    if made_with != detector.fingerprint():
        raise ValueError(f"{path}: expected features of detector {detector.fingerprint()}, got {made_with}; {again}")
    if codes.shape != (images, COUNT, detector.DIM):
        wanted = (images, COUNT, detector.DIM)
        raise ValueError(f"{path}: expected features of shape {wanted}, got {tuple(codes.shape)}; {again}")
    return codes * step + low


@cache
def _shard(split: str, shard: int) -> Float32[Tensor, "image 36 128"]:
    """Features of the `shard`-th hundred images, made unless they lie in the cache."""
    every = scenes(split)
    some = every[shard * SHARD : (shard + 1) * SHARD]
    # Those of another detector, or of other scenes, have other names.
    path = cache_dir("regions", detector.fingerprint(), split) / f"{shard:03d}-{key(some)}.safetensors"
    if not path.exists():
        save(path, some, f"regions of {split}, part {shard + 1} of {-(-len(every) // SHARD)}")
    return _load(path, len(some))


def key(some: Sequence[Scene]) -> str:
    """Changes with the scenes, with their proposals and with the way they are drawn (seen by the first)."""
    from crosslook.data.emoji.draw import draw

    digest = hashlib.sha256(draw(some[0]).tobytes())
    for scene in some:
        digest.update(proposals(scene).tobytes())
    return digest.hexdigest()[:12]


def main(splits: Sequence[str]) -> None:
    for split in splits:
        if split in COMMITTED:
            save(committed(split), scenes(split), f"regions of {split}")
            print(f"wrote {committed(split)}")
        else:
            regions = SceneRegions(split)
            for place in range(0, len(regions), SHARD):
                regions.features(place)


if __name__ == "__main__":
    main(sys.argv[1:] or COMMITTED)
