"""Standardised features: by hand, and what they are for."""

import torch

from crosslook import models
from crosslook.models import zoo
from crosslook.models.embeddings import Standard


def test_mean_0_and_deviation_1_but_hidden_rows_stay_hidden():
    standard = Standard(3)
    features = torch.randn(4, 5, 3) * torch.tensor([1.0, 2.0, 3.0]) + 7
    standard.mean.copy_(features.flatten(0, 1).mean(0))
    standard.sd.copy_(features.flatten(0, 1).std(0))
    found = standard(features).flatten(0, 1)
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(3))
    features[1, 2] = 0
    assert (standard(features)[1, 2] == 0).all()


def test_the_zoo_knows_the_features_of_its_world_and_keeps_them_with_the_weights():
    from crosslook import data
    from crosslook.data.sample import collate

    for name in ("uniter", "ort"):
        model = models.load(f"untrained/{name}", seed=1)
        batch = collate(data.load("emoji:val", regions="detector")[:60:5], model.tokenize)
        found = model.standard(batch.features).flatten(0, 1)
        # Another split than they were taken from, and few images.
        assert found.mean(0).abs().mean() < 0.2
        assert 0.7 < found.std(0).mean() < 1.3
        assert "standard.mean" in model.state_dict()
    # A model that reads no image, and published ones, take what comes.
    assert not any(name.startswith("standard") for name in zoo.untrained("bert").state_dict())
