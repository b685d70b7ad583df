"""Data sets as sequences of `crosslook.data.sample.Sample`, each by a short name.

| name | what it is |
|---|---|
| `emoji:train`, `emoji:val`, `emoji:test` | Emoji Entities, the book's own world |
| `photos` | three photographs |
| `flickr30k:PATH:SPLIT` | Flickr30k Entities, in the folder or archive at PATH; SPLIT: `train`, `val`, `test`, `all` |
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crosslook.data.sample import Sample

SPECS = ("emoji:train", "emoji:val", "emoji:test", "photos", "flickr30k:PATH:SPLIT")


def load(spec: str, **options: Any) -> "Sequence[Sample]":
    """The data set of that name; one sample for each caption of each image.

    Args:
        spec: one of `list()`. PATH may contain colons.
        options: those of `crosslook.data.emoji.dataset.load` (`regions`, `text`), `crosslook.data.photos.load`
            (`regions`) or `crosslook.data.flickr30k.read` (`regions`, `images`, `features`, `on_error`).

    Raises:
        ValueError: no such data set; the error lists those that there are.
    """
    name, _, rest = spec.partition(":")
    if spec in ("emoji:train", "emoji:val", "emoji:test"):
        from crosslook.data.emoji import dataset

        return dataset.load(rest, **options)
    if spec == "photos":
        from crosslook.data import photos

        return photos.load(**options)
    path, _, split = rest.rpartition(":")
    if name == "flickr30k" and path and split:
        from crosslook.data import flickr30k

        return flickr30k.read(path, None if split == "all" else split, **options)
    raise ValueError(f"spec: expected one of {', '.join(SPECS)}, got {spec!r}")


def list() -> tuple[str, ...]:
    """The names that `load` knows. In `flickr30k:PATH:SPLIT`, put a folder or archive and a split."""
    return SPECS
