"""Some captions of Emoji Entities, and small models in which no weight is trivial."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from crosslook.data.emoji import dataset, records
from crosslook.data.emoji.regions import detector_regions
from crosslook.data.sample import collate
from crosslook.models import architectures, tokens
from crosslook.models.architectures import small
from crosslook.models.corpus import Corpus
from crosslook.models.vision_language import build

IMAGES = 12


@pytest.fixture(scope="session")
def few():
    """The captions of twelve val scenes, five each, with the detector's 36 regions."""
    return dataset.from_records(records.read("val")[:IMAGES], "val", detector_regions("val"))


@pytest.fixture(scope="session")
def pairs(few):
    """Four images with a caption each, of different lengths."""
    return collate([few[index] for index in (0, 7, 13, 19)], tokens.emoji())


@pytest.fixture(scope="session")
def little(few):
    """The twelve scenes as a corpus."""
    return Corpus(few, tokens.emoji())


@pytest.fixture(scope="session")
def stirred(pairs):
    """`stirred(name, **changes)`: a narrow model of that architecture; each weight is far from its initial value.

    Biases and layer norms are 0 and 1 at first, and would hide mistakes; so would attention that is uniform.
    """

    @cache
    def make(name, **changes):
        sizes = {"vocab": len(tokens.emoji()), "features": 128, "classes": pairs.class_probs.shape[-1]}
        shape = {"width": 32, "heads": 4, "feed_forward": 48, "pooled": 40}
        config = replace(small(name, **sizes), **(shape | changes))
        model = build(config, tokens.emoji())
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
                if key.endswith("query.weight"):
                    parameter *= 3
            if model.image_input == "regions":
                model.standard.mean.copy_(0.3 * torch.randn(128, generator=generator))
                model.standard.sd.copy_(0.5 + torch.rand(128, generator=generator))
        return model

    return make


@pytest.fixture
def narrow(monkeypatch):
    """The zoo's encoders are narrow in this test, so that nothing takes long."""
    sizes = {"width": 16, "heads": 2, "feed_forward": 24, "pooled": 8}
    monkeypatch.setattr(architectures, "small", lambda *args, **kw: replace(small(*args, **kw), **sizes))
