"""Write the splits of Emoji Entities, scenes with their language: `python -m crosslook.data.emoji.make_scenes`."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from crosslook.data.emoji.records import SPLITS, path, write
from crosslook.data.emoji.scene import sample_scene, to_record
from crosslook.data.emoji.world import FOLDER
from crosslook.progress import track

FIRST_SEED = {"train": 1_000_000, "val": 2_000_000, "test": 3_000_000}
"""Seeds of a split follow one another, far from those of the others."""


def make(split: str) -> Iterator[dict]:
    """The records of a split: a scene's own, its five captions and its paragraph (trees, see `trees`)."""
    from crosslook.data.emoji.language import captions, paragraph

    for number in track(range(SPLITS[split]), desc=split):
        scene = sample_scene(f"{split}-{number:05d}", FIRST_SEED[split] + number)
        yield to_record(scene) | {"captions": captions(scene), "paragraph": paragraph(scene)}


def main() -> None:
    """Write every split, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("splits", nargs="*", default=list(SPLITS), help=f"of {', '.join(SPLITS)} (default: all)")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    for split in arguments.splits:
        file = path(split, arguments.out)
        write(file, make(split))
        print(f"{file}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
