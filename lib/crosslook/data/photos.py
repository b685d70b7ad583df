"""Three photographs that come with packages, annotated by hand for this book in the layout of Flickr30k Entities."""

from pathlib import Path
from typing import TYPE_CHECKING

from crosslook.data import flickr30k
from crosslook.data.flickr30k import Detector
from crosslook.data.images import open_image
from crosslook.paths import DATA

if TYPE_CHECKING:
    from PIL import Image

IDS = ("grace_hopper", "china", "flower")


def path(image_id: str) -> Path:
    """The file of a photograph, in the package that it comes with. Raises ValueError for another id."""
    if image_id == "grace_hopper":
        import matplotlib.cbook

        return Path(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    if image_id in IDS:
        from importlib.util import find_spec

        # Not through scikit-learn's own loader: importing it takes longer than reading the picture.
        return Path(find_spec("sklearn").origin).parent / "datasets" / "images" / f"{image_id}.jpg"
    raise ValueError(f"image_id: expected one of {IDS}, got {image_id!r}")


def load(*, regions: str | Detector = "gold", folder: Path = DATA / "photos") -> flickr30k.Flickr30k:
    """The captions of the photographs.

    Args:
        regions: `"gold"`: the annotated boxes; or regions by image id, as a function or mapping.
        folder: where the annotations are.
    """
    return flickr30k.read(folder, "photos", images=_open, regions=regions)


def _open(image_id: str) -> "Image.Image":
    return open_image(path(image_id))
