"""An attention call that capture does not see is an error that says where it was."""

import pytest
import torch
from own_models import SingleStream
from torch import nn
from torch.nn import functional as F

from crosslook.capture import Unseen, capture


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def weights(x):
    return x @ x.mT


WAYS = {
    "softmax and @": lambda x: weights(x).softmax(-1) @ x,
    "function": lambda x: torch.matmul(F.softmax(weights(x), dim=-1), x),
    "torch.softmax": lambda x: torch.bmm(torch.softmax(weights(x), -1), x),
    "module": lambda x: nn.Softmax(dim=-1)(weights(x)) @ x,
    "einsum": lambda x: torch.einsum("bqk,bkd->bqd", weights(x).softmax(-1), x),
    "transposed": lambda x: (x.mT @ weights(x).softmax(-1).mT).mT,
    "dropout": lambda x: F.dropout(weights(x).softmax(-1), 0.1, training=True) @ x,
    "another type": lambda x: weights(x).softmax(-1, dtype=torch.float64).to(x.dtype) @ x,
    "view": lambda x: weights(x).softmax(-1).unsqueeze(1).view(2, 4, 4).contiguous() @ x,
    "mask": lambda x: (weights(x).softmax(-1) * torch.ones(4)) @ x,
    "masked": lambda x: weights(x).softmax(-1).masked_fill(torch.zeros(4, dtype=torch.bool), 0) @ x,
    "sdpa": lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, 0],
    "baddbmm": lambda x: torch.baddbmm(x, weights(x).softmax(-1), x),
}


class Hidden(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.way = way
        self.linear = nn.Linear(12, 12)

    def forward(self, x):
        return self.way(x)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("no_grad", [True, False])
def test_attention_that_was_not_seen(way, no_grad):
    model = nn.Sequential(SingleStream(), nn.Sequential(nn.Identity(), Hidden(WAYS[way])))
    assert model(normal(2, 4, 12)).shape == (2, 4, 12)
    with torch.set_grad_enabled(not no_grad), capture(model) as tape:
        with pytest.raises(Unseen, match=r"attention that capture cannot read, in 1\.1 \(Hidden\); supported are"):
            model(normal(2, 4, 12))
        assert len(tape.sites) == 2
        # The next pass is not held responsible.
        model[0](normal(2, 4, 12))


HARMLESS = {
    "class probabilities": lambda x: x.softmax(-1),
    "a loss": lambda x: F.cross_entropy(x.flatten(0, 1), torch.zeros(8, dtype=torch.long)) + x,
    "a mean": lambda x: x.softmax(-1).mean(-1, keepdim=True) * x,
    "a product without a softmax": lambda x: weights(x) @ x,
    "a sigmoid": lambda x: weights(x).sigmoid() @ x,
    "log-probabilities": lambda x: x.log_softmax(-1),
}


@pytest.mark.parametrize("way", HARMLESS)
def test_what_is_not_attention(way):
    model = nn.Sequential(SingleStream(), Hidden(HARMLESS[way]))
    with capture(model) as tape:
        model(normal(2, 4, 12))
    assert len(tape.sites) == 2


def test_every_place_is_named_once():
    model = nn.Sequential(SingleStream(), Hidden(WAYS["einsum"]), Hidden(WAYS["sdpa"]), nn.Identity())
    model.append(model[1])
    with capture(model), pytest.raises(Unseen, match=r"in 1 \(Hidden\), 2 \(Hidden\); "):
        model(normal(2, 4, 12))


def test_attention_in_the_model_itself():
    class Model(Hidden):
        def __init__(self):
            super().__init__(WAYS["sdpa"])
            self.stream = SingleStream()

    model = Model()
    with capture(model), pytest.raises(Unseen, match=r"in the model itself \(Model\)"):
        model(normal(2, 4, 12))


class TorchsOwn(nn.Module):
    def __init__(self, cls=nn.MultiheadAttention):
        super().__init__()
        self.attention = cls(12, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


def test_torchs_module_with_another_forward():
    class Other(nn.MultiheadAttention):
        def forward(self, x, *others):
            return super().forward(2 * x, x, x)

    model = nn.Sequential(SingleStream(), TorchsOwn(Other))
    with capture(model), pytest.raises(Unseen, match=r"in 1\.attention \(Other\)"):
        model(normal(2, 4, 12))


@pytest.mark.parametrize("make", [SingleStream, TorchsOwn])
def test_what_others_do_with_a_site_is_not_the_models_attention(make):
    model, x = make(), normal(2, 4, 12)
    with capture(model, on_site=lambda site: site.weights() @ site.v) as tape:
        model(x)
        WAYS["sdpa"](x)
        WAYS["einsum"](x)
        model(x)
    assert tape.n_sites > 0


def test_an_error_of_the_model_is_not_covered_up():
    class Failing(Hidden):
        def forward(self, x):
            WAYS["sdpa"](x)
            raise KeyError("the model's own")

    model = nn.Sequential(SingleStream(), Failing(None))
    with pytest.raises(KeyError, match="the model's own"), capture(model):
        model(normal(2, 4, 12))


def test_a_model_that_catches_its_own_errors():
    """What fails in an attention module claims nothing of what comes after it."""

    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.stream = SingleStream(layers=1)

        def forward(self, x):
            try:
                self.stream(x, torch.ones(2, 5, dtype=torch.bool))
            except RuntimeError:
                x = self.stream(x)
            return WAYS["sdpa"](x)

    model = Careful()
    with capture(model) as tape:
        with pytest.raises(Unseen, match=r"the model itself \(Careful\)"):
            model(normal(2, 4, 12))
        assert len(tape.sites) == 1


def test_direct_use_of_the_interface_is_seen():
    """A model that takes its function from the table itself, and not by `get_interface`, as some do."""
    from tiny_transformers import ZOO
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    model, inputs = ZOO["clip"]("sdpa")

    class Direct(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model
            self.is_causal = False

        def forward(self, **inputs):
            hidden = self.model(**inputs).text_embeds[None, None]
            return ALL_ATTENTION_FUNCTIONS["sdpa"](self, hidden, hidden, hidden, None)

    direct = Direct()
    with capture(direct), pytest.raises(Unseen, match=r"the model itself \(Direct\)"):
        direct(**inputs)
