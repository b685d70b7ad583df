"""A baseline for captioners: the text of the image that looks most alike."""

from collections.abc import Sequence

import numpy as np

from crosslook.data.sample import Sample


def nearest(samples: Sequence[Sample], pool: Sequence[Sample]) -> list[Sample]:
    """For each sample the one of the pool whose regions' mean feature has the most similar direction.

    The same image is never its own answer; of equal ones the first counts.

    Raises:
        ValueError: a sample without features, or a pool that holds nothing but its image.
    """
    looks = np.stack([_look(sample) for sample in pool])
    answers = []
    for sample in samples:
        similar = looks @ _look(sample)
        similar[[other.image_id == sample.image_id for other in pool]] = -np.inf
        if not np.isfinite(similar).any():
            raise ValueError(f"pool: expected another image than {sample.image_id}, got none")
        answers.append(pool[int(similar.argmax())])
    return answers


def _look(sample: Sample) -> np.ndarray:
    features = sample.regions.features
    if features is None or not len(features):
        raise ValueError(f"sample {sample.image_id}: expected regions with features, got none")
    mean = features.mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
