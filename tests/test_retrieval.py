"""The nearest image: against a loop, never the image itself."""

import numpy as np
import pytest

from crosslook.data.sample import Regions, Sample
from crosslook.retrieval import nearest


def sample(name: str, *features: tuple[float, float], text: str = "") -> Sample:
    boxes = np.zeros((len(features), 4), dtype=np.float32)
    regions = Regions(boxes, features=np.array(features, dtype=np.float32).reshape(-1, 2))
    return Sample(name, 0, text, (), regions, (), 10, 10)


def test_by_direction_of_the_mean():
    pool = [sample("a", (1, 0)), sample("b", (0, 5)), sample("c", (3, 3), (1, 1))]
    found = nearest([sample("x", (0.1, 0.2), (0, 0.4)), sample("y", (2, 1.9)), sample("a", (1, 0))], pool)
    assert [one.image_id for one in found] == ["b", "c", "c"]


def test_against_a_loop():
    random = np.random.default_rng(0)
    pool = [sample(str(i), *random.normal(size=(3, 2))) for i in range(20)]
    means = [one.regions.features.mean(0) for one in pool]
    for place, answer in enumerate(nearest(pool, pool)):
        mine = means[place]
        cosines = [mine @ mean / np.linalg.norm(mine) / np.linalg.norm(mean) for mean in means]
        cosines[place] = -2
        assert answer is pool[int(np.argmax(cosines))]


def test_errors():
    with pytest.raises(ValueError, match="pool: expected another image than a, got none"):
        nearest([sample("a", (1, 0))], [sample("a", (1, 0))])
    with pytest.raises(ValueError, match="sample e: expected regions with features, got none"):
        nearest([sample("e")], [sample("a", (1, 0))])
