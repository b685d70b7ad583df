"""Attention modules that compute weights themselves: linears, a fused linear, torch's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from own_models import Attention, Oracle, SingleStream, TwoStreams, compare
from torch import nn

from crosslook.capture import Unsupported, capture


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 6),
    heads=st.sampled_from([1, 2, 3]),
    masked=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25)
def test_own_models(batch, length, heads, masked, seed):
    model = SingleStream(heads=heads, seed=seed)
    mask = torch.rand(batch, length, generator=torch.Generator().manual_seed(seed)) < 0.7 if masked else None
    hidden = normal(batch, length, 12, seed=seed)
    plain = model(hidden, mask)
    with Oracle() as oracle, capture(model) as tape:
        found = model(hidden, mask)
    assert torch.equal(plain, found)
    assert [(site.layer, site.name, site.call) for site in tape.sites] == [
        (0, "blocks.0.inner", 0),
        (1, "blocks.1.inner", 0),
    ]
    for site, expected in zip(tape.sites, oracle.weights, strict=True):
        open_rows = torch.ones(batch, dtype=torch.bool) if mask is None else mask.any(1)
        assert torch.equal(site.statistics().valid, open_rows[:, None, None].expand(batch, heads, length))
        torch.testing.assert_close(site.weights()[open_rows], expected[open_rows], atol=1e-6, rtol=0)


def test_kinds_of_two_streams():
    model = TwoStreams()
    text_mask = torch.tensor([[True] * 4, [True, True, False, False]])
    image_mask = torch.tensor([[True, True, False], [True, True, True]])
    with Oracle() as oracle, capture(model) as tape:
        model(normal(2, 4, 12), normal(2, 3, 12, seed=1), text_mask, image_mask)
    assert [site.kind for site in tape.sites] == ["text", "image", "text_to_image", "image_to_text"]
    assert [site.layer for site in tape.sites] == [0] * 4
    compare(tape.sites, oracle.weights)
    crossed = tape.sites[2]
    assert torch.equal(crossed.query_text, text_mask)
    assert torch.equal(crossed.key_image, image_mask)
    assert not crossed.query_image.any()
    assert not crossed.key_text.any()


def test_a_kind_that_does_not_exist():
    model = SingleStream(kind="vision")
    message = r"attention_kind: expected one of joint, .*, got 'vision' in blocks.0.inner"
    with pytest.raises(ValueError, match=message), capture(model):
        model(normal(1, 3, 12))


def test_gradients_reach_the_inputs_and_match_finite_differences():
    model = SingleStream(layers=1).double()
    hidden = normal(1, 2, 12).double().requires_grad_()

    def measure(hidden):
        with capture(model) as tape:
            model(hidden)
        return tape.sites[0].weights().square().sum()

    assert torch.autograd.gradcheck(measure, hidden)


@pytest.mark.parametrize("kept", [True, False])
def test_what_the_model_learns_is_the_same(kept):
    """The gradient of the output is the same to the last bit."""
    gradients = []
    for captured in (False, True):
        model, hidden = SingleStream(), normal(2, 4, 12)
        if captured:
            with capture(model, on_site=None if kept else lambda site: site.statistics()):
                model(hidden).sum().backward()
        else:
            model(hidden).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def moved(site):
    """What a head-wise reading says that attention adds: weight x value x output, summed over heads and keys."""
    v = site.v.repeat_interleave(site.q.shape[1] // site.v.shape[1], 1)
    return torch.einsum("bhqk,bhkd,hdm->bqm", site.weights(), v, site.output)


def test_values_and_output_projection():
    model = SingleStream(layers=1)
    hidden = normal(2, 4, 12)
    with capture(model) as tape:
        out = model(hidden)
    bias = model.blocks[0].output.dense.bias
    torch.testing.assert_close(hidden + moved(tape.sites[0]) + bias, out, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "path", "output"),
    [
        ("lxmert", "encoder.x_layers.1.visual_attention", "output.dense"),
        ("blip_captioning", "text_decoder.bert.encoder.layer.1.crossattention", "output.dense"),
        ("blip_captioning", "vision_model.encoder.layers.0.self_attn", "projection"),
        ("clip", "vision_model.encoder.layers.0.self_attn", "out_proj"),
        ("llava", "model.language_model.layers.1.self_attn", "o_proj"),
        ("qwen2_vl", "model.language_model.layers.1.self_attn", "o_proj"),
        ("bridgetower", "cross_modal_text_layers.0.crossattention", "output.dense"),
    ],
)
def test_values_and_output_projection_of_transformers(name, path, output):
    """Summed up, they are what the output projection of that very call gives."""
    from tiny_transformers import ZOO

    model, inputs = ZOO[name]()
    linear = model.get_submodule(f"{path}.{output}")
    given = []
    hook = linear.register_forward_hook(lambda module, args, result: given.append(result))
    with torch.no_grad(), capture(model) as tape:
        model(**inputs)
    hook.remove()
    sites = [site for site in tape.sites if site.name.startswith(path)]
    assert len(sites) == len(given) > 0
    for site, expected in zip(sites, given, strict=True):
        found = moved(site) + (0 if linear.bias is None else linear.bias)
        valid = site.statistics().valid.any(1)
        torch.testing.assert_close(found[valid], expected[valid], atol=1e-4, rtol=1e-4)


def test_crossed_with_a_mask_of_its_own():
    """BERT's classic way: both masks are given, and the second is for the other sequence."""

    class Classic(Attention):
        def forward(self, hidden, attention_mask=None, encoder_hidden_states=None, encoder_attention_mask=None):
            mask = attention_mask if encoder_hidden_states is None else encoder_attention_mask
            return super().forward(hidden, mask, encoder_hidden_states)

    module = Classic()
    masks = torch.tensor([0.0, 0, -1e9])[None, None, None], torch.tensor([0.0, -1e9, 0, 0])[None, None, None]
    for other in (normal(1, 4, 12), None):
        with Oracle() as oracle, capture(module) as tape:
            module(normal(1, 3, 12), masks[0], other, encoder_attention_mask=masks[1])
        compare(tape.sites, oracle.weights)


def test_norms_need_values():
    class Scores(Attention):
        def forward(self, hidden):
            q, k = (f(hidden).unflatten(-1, (3, 4)).transpose(1, 2) for f in (self.query, self.key))
            return (q @ k.mT / 2).softmax(-1) @ hidden[:, None]

    model = nn.Sequential(Scores())
    with capture(model) as tape:
        model(normal(1, 3, 12))
    assert tape.sites[0].v is None
    with pytest.raises(ValueError, match="norms: expected a site with values and an output projection, 0 has none"):
        tape.sites[0].statistics(norms=True)


def test_statistics_of_a_site():
    """Default groups, other groups, keys left out, norms: against the plain weights."""
    model = SingleStream()
    mask = torch.tensor([[True] * 5, [True] * 4 + [False]])
    with capture(model) as tape:
        model(normal(2, 5, 12), mask)
    site = tape.sites[0]
    weights = site.weights()
    by_modality = torch.stack([weights[..., :2].sum(-1), weights[..., 2:].sum(-1)], -1)
    torch.testing.assert_close(site.statistics().mass, by_modality, atol=1e-6, rtol=0)
    first = torch.zeros(2, 5, 1)
    first[:, 0] = 1
    torch.testing.assert_close(site.statistics(first).mass[..., 0], weights[..., 0], atol=1e-6, rtol=0)
    rest = weights * (1 - first[:, None, None, :, 0])
    rest = rest / rest.sum(-1, keepdim=True)
    left = site.statistics(leave_out=first[..., 0].bool())
    torch.testing.assert_close(left.mass[..., 0], rest[..., :2].sum(-1), atol=1e-6, rtol=0)
    with pytest.raises(
        ValueError, match=r"leave_out: expected a boolean mask of shape \(batch=2, key=5\), got \(2, 4\)"
    ):
        site.statistics(leave_out=first[:, :4, 0].bool())
    lengths = torch.einsum("bhkd,hdm->bhkm", site.v, site.output).norm(dim=-1)
    normed = weights * lengths[:, :, None]
    normed = normed / normed.sum(-1, keepdim=True)
    found = site.statistics(norms=True).mass[..., 1]
    torch.testing.assert_close(found, normed[..., 2:].sum(-1), atol=1e-5, rtol=0)


class Fused(nn.Module):
    """As in BLIP's image side; `interleaved` puts heads before the three parts, as others do."""

    def __init__(self, interleaved=False):
        super().__init__()
        torch.manual_seed(0)
        self.num_heads, self.interleaved = 3, interleaved
        self.qkv, self.proj = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, hidden):
        if self.interleaved:
            q, k, v = self.qkv(hidden).unflatten(-1, (3, 3, 4)).unbind(-2)
        else:
            q, k, v = self.qkv(hidden).unflatten(-1, (3, 3, 4)).unbind(-3)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return self.proj(((q @ k.mT / 2).softmax(-1) @ v).transpose(1, 2).flatten(2))


def test_fused_linear():
    model = nn.Sequential(Fused())
    hidden = normal(2, 5, 12)
    with Oracle() as oracle, capture(model) as tape:
        out = model(hidden)
    compare(tape.sites, oracle.weights)
    torch.testing.assert_close(moved(tape.sites[0]) + model[0].proj.bias, out, atol=1e-5, rtol=0)


def test_a_fused_linear_in_another_order_is_an_error_not_wrong_numbers():
    model = nn.Sequential(Fused(interleaved=True))
    with pytest.raises(Unsupported, match="0: the scores in this module are not scale x query x key"), capture(model):
        model(normal(2, 5, 12))


class Biased(Attention):
    """Adds something of its own to the scores, as relative positions do."""

    amount = 0.5

    def forward(self, hidden):
        q, k, v = (f(hidden).unflatten(-1, (3, 4)).transpose(1, 2) for f in (self.query, self.key, self.value))
        places = torch.arange(hidden.shape[1])
        scores = q @ k.mT / 2 + self.amount * (places[:, None] - places).abs()
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def test_scores_with_something_added_are_an_error_not_wrong_numbers():
    model = nn.Sequential(Biased())
    with pytest.raises(Unsupported, match="0: the scores in this module are not"), capture(model):
        model(normal(1, 4, 12))
    model[0].amount = 0.0
    with capture(model) as tape:
        model(normal(1, 4, 12))
    assert len(tape.sites) == 1


def test_a_mask_that_is_not_used_is_an_error_not_wrong_numbers():
    class Unmasked(Attention):
        def forward(self, hidden, attention_mask=None):
            return super().forward(hidden)

    module = Unmasked()
    with pytest.raises(Unsupported, match="the scores in this module are not"), capture(module):
        module(normal(1, 3, 12), attention_mask=torch.tensor([0.0, 0, -1e9])[None, None, None])


class ThroughTorch(Attention):
    """The same linears, but torch's function compares."""

    causal = False

    def forward(self, hidden, attention_mask=None):
        q, k, v = (f(hidden).unflatten(-1, (3, 4)).transpose(1, 2) for f in (self.query, self.key, self.value))
        mask = None if attention_mask is None else attention_mask > -1
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return out.transpose(1, 2).flatten(2)


def test_linears_that_go_to_torchs_function():
    module = ThroughTorch()
    mask = torch.tensor([0.0, 0, -1e9])[None, None, None]
    with Oracle() as oracle, capture(module) as tape:
        module(normal(2, 3, 12), attention_mask=mask)
    compare(tape.sites, oracle.weights)
    module.causal = True  # which nothing says from outside
    with pytest.raises(Unsupported, match="are not scale x query x key"), capture(module):
        module(normal(2, 3, 12))


def test_two_calls_of_a_module_are_two_sites_and_two_softmaxes_in_one_call_an_error():
    model = SingleStream(layers=1)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, hidden):
            return self.model(self.model(hidden))

    twice = Twice()
    with Oracle() as oracle, capture(twice) as tape:
        twice(normal(1, 3, 12))
    assert [(site.call, site.layer, site.name) for site in tape.sites] == [
        (0, 0, "model.blocks.0.inner"),
        (1, 0, "model.blocks.0.inner"),
    ]
    compare(tape.sites, oracle.weights)

    class Double(Attention):
        def forward(self, hidden):
            return super().forward(super().forward(hidden))

    double = nn.Sequential(Double())
    with pytest.raises(Unsupported, match="0: expected one attention call in this module, saw 2"), capture(double):
        double(normal(1, 3, 12))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masks", ["none", "padding", "pairs", "both", "floats"])
@pytest.mark.parametrize("crossed", [False, True])
def test_multihead(batch_first, masks, crossed):
    torch.manual_seed(0)
    size = {"kdim": 8, "vdim": 8} if crossed else {}
    module = nn.MultiheadAttention(12, 3, batch_first=batch_first, **size)
    nn.init.normal_(module.out_proj.bias)
    query = normal(2, 4, 12)
    key = normal(2, 5, 8, seed=1) if crossed else query
    padding = torch.zeros(2, key.shape[1], dtype=torch.bool)
    padding[1, -2:] = True
    pairs = torch.rand(4, key.shape[1]) < 0.3
    pairs[:, 0] = False
    options = {}
    if masks in ("padding", "both"):
        options["key_padding_mask"] = padding
    if masks in ("pairs", "both"):
        options["attn_mask"] = pairs
    if masks == "floats":
        options["key_padding_mask"] = torch.zeros(padding.shape).masked_fill(padding, -torch.inf)
        options["attn_mask"] = torch.randn(6, 4, key.shape[1])
    inputs = [query, key, key] if batch_first else [x.transpose(0, 1) for x in (query, key, key)]
    plain, weights = module(*inputs, average_attn_weights=False, **options)
    with capture(module) as tape:
        out, _ = module(*inputs, average_attn_weights=False, **options)
    assert torch.equal(plain, out)
    compare(tape.sites, [weights])
    if batch_first:
        found = moved(tape.sites[0]) + module.out_proj.bias
        torch.testing.assert_close(found, out, atol=1e-5, rtol=0)


def test_multihead_without_a_batch_and_without_biases():
    module = nn.MultiheadAttention(12, 3, bias=False)
    hidden = normal(4, 12)
    with capture(module) as tape:
        _, weights = module(hidden, hidden, hidden, average_attn_weights=False)
    compare(tape.sites, [weights[None]])


def test_multihead_keeps_its_fast_path():
    """Which is another computation: under a watch on operations torch would leave it, and round differently."""
    torch.manual_seed(0)
    module = nn.MultiheadAttention(64, 4, batch_first=True).eval()
    hidden = normal(2, 33, 64)
    with torch.no_grad():
        fast, _ = module(hidden, hidden, hidden, need_weights=False)
        with capture(module) as tape:
            captured, _ = module(hidden, hidden, hidden, need_weights=False)
        _, weights = module(hidden, hidden, hidden, average_attn_weights=False)
    assert torch.equal(fast, captured)
    compare(tape.sites, [weights])


def test_multihead_with_keys_of_its_own():
    module = nn.MultiheadAttention(12, 3, add_zero_attn=True)
    with pytest.raises(Unsupported, match="without add_bias_kv and add_zero_attn"), capture(module):
        module(*[normal(4, 2, 12)] * 3)


def test_torchs_encoder_layer():
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 2, 16, batch_first=True), 2).eval()
    hidden = normal(2, 4, 12)
    message = r"layers.0: .* fast path .*set_fastpath_enabled\(False\)"
    with torch.no_grad(), pytest.raises(Unsupported, match=message), capture(model):
        model(hidden)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            plain = model(hidden)
            with capture(model) as tape:
                captured = model(hidden)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert torch.equal(plain, captured)
    assert [site.name for site in tape.sites] == ["layers.0.self_attn", "layers.1.self_attn"]


def test_a_model_without_attention():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with pytest.raises(Unsupported) as error, capture(model):
        pass
    message = str(error.value)
    assert message.startswith("model: no attention module found among Sequential, Linear (0), ReLU (1); supported are")
    for part in ("`query`", "`key`", "num_attention_heads", "qkv", "nn.MultiheadAttention", "AttentionInterface"):
        assert part in message
