"""Choose some images of a data set."""

import random
from collections.abc import Sequence

from crosslook.data.sample import Sample


def pick(samples: Sequence[Sample], n_images: int, seed: int = 0) -> list[Sample]:
    """All captions of images drawn at random among those whose picture is at hand, image by image.

    Args:
        samples: a data set.
        n_images: how many images; fewer come back where there are not as many with a picture.
        seed: of the draw.
    """
    captions: dict[str, list[int]] = {}
    for index, sample in enumerate(samples):
        captions.setdefault(sample.image_id, []).append(index)
    images = list(captions)
    random.Random(seed).shuffle(images)
    chosen: list[Sample] = []
    left = n_images
    for image in images:
        if not left:
            break
        found = [samples[index] for index in captions[image]]
        if found[0].image is not None:
            chosen += found
            left -= 1
    return chosen
