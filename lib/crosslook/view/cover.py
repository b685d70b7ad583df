"""The picture at the top of the README: `python -m crosslook.view.cover` writes `book/static/cover.png`."""

from pathlib import Path

from crosslook.paths import ROOT
from crosslook.view import style
from crosslook.view.boxes import gallery

COVER = ROOT / "book" / "static" / "cover.png"
SHOWN = (("emoji:val", "val-00010", 1), ("photos", "grace_hopper", 1), ("emoji:val", "val-00008", 1))
"""Data set, image and caption (from 0) of each picture."""


def main(path: Path = COVER) -> None:
    """Draw the cover and write it to `path`."""
    from crosslook import data

    style.use()
    samples = []
    for spec, image, caption in SHOWN:
        options = {"regions": "gold"} if spec.startswith("emoji") else {}
        found = (s for s in data.load(spec, **options) if (s.image_id, s.caption_index) == (image, caption))
        samples.append(next(found))
    gallery(samples).savefig(path, dpi=120)
    print(path)


if __name__ == "__main__":
    main()
