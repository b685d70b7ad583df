"""Pictures whose phrases and boxes light up together: plain HTML, alike in Jupyter and on a page without a kernel."""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosslook.data.sample import Sample
from crosslook.view.boxes import colours

if TYPE_CHECKING:
    from IPython.display import HTML

HERE = Path(__file__).parent
WIDTH = 560
"""Pictures are shrunk to this many pixels before they go into a page."""


def hover(
    samples: Sequence[Sample],
    links: Sequence[Sequence[frozenset[int]]],
    names: Sequence[Sequence[str]],
) -> "HTML":
    """Leaf through captions; point at a phrase to see its regions, or at a region to see its phrases.

    Args:
        samples: with pictures.
        links: for each sample, for each of its phrases, the indices of the regions that it was linked with.
        names: for each sample, what its regions are called.

    Returns:
        A block of HTML that needs nothing from outside and carries the pictures. A solid box is a right link, a
        dashed one a wrong link; the dotted black one is where a chosen phrase belongs.

    Raises:
        ValueError: for a sample without a picture, or when there are not as many links or names as samples.
    """
    from IPython.display import HTML

    rows = [_caption(*each) for each in zip(samples, links, names, strict=True)]
    pictures = {sample.image_id: _picture(sample) for sample in {each.image_id: each for each in samples}.values()}
    # Captions are data: "<" is written so that none of them can end the block that holds them.
    state = json.dumps({"captions": rows, "pictures": pictures}).replace("<", "\\u003c")
    look, behaviour = ((HERE / name).read_text(encoding="utf-8") for name in ("hover.css", "hover.js"))
    return HTML(
        f'<style>{look}</style><div class="crosslook-hover"><script type="application/json">{state}</script>'
        f"<noscript>This figure needs JavaScript.</noscript></div><script>{behaviour}</script>"
    )


def _caption(sample: Sample, links: Sequence[frozenset[int]], names: Sequence[str]) -> dict[str, Any]:
    phrases = [
        {"start": p.start, "end": p.end, "colour": colour, "linked": sorted(found), "gold": sorted(gold)}
        for p, colour, found, gold in zip(sample.phrases, colours(sample), links, sample.links, strict=True)
    ]
    return {
        "image": sample.image_id,
        "text": sample.caption,
        "phrases": phrases,
        # From the first and last pixel to the edges, which is what is drawn.
        "boxes": [[x1, y1, x2 + 1, y2 + 1] for x1, y1, x2, y2 in sample.regions.boxes.tolist()],
        "names": list(names),
        "size": [sample.width, sample.height],
    }


def _picture(sample: Sample) -> str:
    image = sample.image
    if image is None:
        raise ValueError(f"sample {sample.image_id}: expected an image, got none; give the data set its images folder")
    image = image.convert("RGB")
    image.thumbnail((WIDTH, WIDTH))
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
