"""Open the photographs of a data set, when they are there."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crosslook.data.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

FOLDERS = ("images", "flickr30k-images", "flickr30k_images")
SUFFIXES = (".jpg", ".jpeg", ".png")

Picture = Callable[[str], "Image.Image | None"]
"""Gives the image of an id, or None."""


def pictures(source: str | os.PathLike | Mapping[str, str], images: str | os.PathLike | None) -> Picture | None:
    """How to open the image of an id: from the folder `images`, or from one in or beside `source`; None without one.

    Raises DataError when `images` names no folder.
    """
    if images is None:
        if isinstance(source, Mapping):
            return None
        around = Path(source) if Path(source).is_dir() else Path(source).parent
        found = [around / name for name in FOLDERS if (around / name).is_dir()]
        return partial(_in_folder, found[0]) if found else None
    if not Path(images).is_dir():
        raise DataError(str(images), "expected a folder of images, there is none")
    return partial(_in_folder, Path(images))


def _in_folder(folder: Path, image_id: str) -> "Image.Image | None":
    paths = [folder / f"{image_id}{suffix}" for suffix in SUFFIXES]
    return next((open_image(path) for path in paths if path.is_file()), None)


def open_image(path: Path) -> "Image.Image":
    """An image file as RGB. Raises DataError naming the file when it is none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(str(path), f"expected an image ({error})") from error


def checked(picture: Picture, image_id: str, size: tuple[int, int]) -> "Image.Image | None":
    """The image of an id, when it is as large (width, height) as its annotation says. Raises DataError otherwise."""
    image = picture(image_id)
    if image is not None and image.size != size:
        shown = " x ".join(map(str, image.size))
        raise DataError(f"image {image_id}", f"expected {size[0]} x {size[1]} pixels as annotated, got {shown}")
    return image
