"""Where a reading of attention goes wrong in silence: one test for each trap that was met."""

import pytest
import torch
from own_models import Attention, Oracle, SingleStream, compare
from tiny_transformers import ENCODERS, ZOO

from crosslook.capture import capture


def run(model, inputs, **options):
    torch.manual_seed(0)
    return model(**inputs, **options)


def captured(model, inputs, **options):
    with torch.no_grad(), capture(model) as tape:
        output = run(model, inputs, **options)
    return tape.sites, output


def same(sites, maps):
    """Sites are these maps of `output_attentions`, to 1e-6, in every row that may attend to something."""
    compare(sites, maps)


@pytest.mark.parametrize("name", ENCODERS)
def test_under_sdpa_output_attentions_is_empty(name):
    model, inputs = ZOO[name]("sdpa")
    sites, output = captured(model, inputs, output_attentions=True)
    assert not output.text_model_output.attentions or output.text_model_output.attentions[0] is None
    assert [site.kind for site in sites].count("text") == 2


@pytest.mark.parametrize("name", ENCODERS)
def test_under_eager_output_attentions_is_the_same(name):
    model, inputs = ZOO[name]("eager")
    sites, output = captured(model, inputs, output_attentions=True)
    for part, kind in ((output.text_model_output, "text"), (output.vision_model_output, "image")):
        assert len(part.attentions) == 2
        same([site for site in sites if site.kind == kind][:2], part.attentions)


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "paligemma", "smolvlm"])
def test_decoders_under_eager(name):
    model, inputs = ZOO[name]("eager")
    sites, output = captured(model, inputs, output_attentions=True)
    same([site for site in sites if site.kind == "joint"], output.attentions)


@pytest.mark.parametrize("name", ["visual_bert", "vilt"])
def test_single_streams(name):
    model, inputs = ZOO[name]()
    sites, output = captured(model, inputs, output_attentions=True)
    same(sites, output.attentions)


def test_flava_gives_no_map_of_its_joint_layers():
    model, inputs = ZOO["flava"]()
    sites, output = captured(model, inputs, output_attentions=True)
    same([site for site in sites if site.kind == "image"], output.image_output.attentions)
    same([site for site in sites if site.kind == "text"], output.text_output.attentions)
    assert output.multimodal_output.attentions is None
    with torch.no_grad(), capture(model.multimodal_model) as tape:
        hidden = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(0))
        alone = model.multimodal_model(hidden, output_attentions=True)
    same(tape.sites, alone.attentions)
    assert [site.kind for site in sites].count("joint") == 2


def test_lxmert_gives_seven_of_thirteen_maps():
    """Of its cross-attention, one of two directions, and of the last layers, no self-attention."""
    model, inputs = ZOO["lxmert"]()
    sites, output = captured(model, inputs, output_attentions=True)
    kinds = {kind: [site for site in sites if site.kind == kind] for kind in ("text", "image", "text_to_image")}
    same(kinds["text"][:3], output.language_attentions)
    same(kinds["image"][:2], output.vision_attentions)
    same(kinds["text_to_image"], output.cross_encoder_attentions)
    maps = output.language_attentions + output.vision_attentions + output.cross_encoder_attentions
    assert (len(maps), len(sites)) == (7, 13)


def test_lxmerts_cross_attention_runs_twice():
    """One module: from words to image, then back. A dictionary by name would keep the second call only."""
    model, inputs = ZOO["lxmert"]()
    sites, _ = captured(model, inputs)
    crossed = [site for site in sites if site.name == "encoder.x_layers.0.visual_attention.att"]
    assert [(site.call, site.kind, site.layer) for site in crossed] == [
        (0, "text_to_image", 0),
        (1, "image_to_text", 0),
    ]
    assert [site.q.shape[2] for site in crossed] == [7, 6]
    assert [site.k.shape[2] for site in crossed] == [6, 7]


def test_blip_matching_gives_no_map_of_its_text_side():
    model, inputs = ZOO["blip_matching"]()
    sites, output = captured(model, inputs, output_attentions=True)
    same([site for site in sites if site.kind == "image"], output.attentions)
    assert len(output.attentions) < len(sites) == 6


def test_blip_captioning():
    model, inputs = ZOO["blip_captioning"]()
    with torch.no_grad(), capture(model.text_decoder) as tape:
        image = torch.randn(2, 17, 32, generator=torch.Generator().manual_seed(0))
        options = {"encoder_hidden_states": image, "output_attentions": True}
        ids = {key: inputs[key] for key in ("input_ids", "attention_mask")}
        output = model.text_decoder(**ids, **options)
    same([site for site in tape.sites if "crossattention" not in site.name], output.attentions)
    same([site for site in tape.sites if "crossattention" in site.name], output.cross_attentions)


def test_qwens_vision_tower_gives_no_map():
    model, inputs = ZOO["qwen2_vl"]("eager")
    sites, output = captured(model, inputs, output_attentions=True)
    assert len(output.attentions) == 2
    assert [site.kind for site in sites].count("image") == 4


def test_vilt_shuffles_its_patches():
    """By chance, in evaluation mode too: only a seed makes two runs comparable."""
    model, inputs = ZOO["vilt"]()
    inputs["pixel_mask"] = torch.ones(2, 32, 32, dtype=torch.long)
    model.config.max_image_length = 9
    with torch.no_grad(), capture(model) as tape:
        run(model, inputs)
        seeded = [site.k.clone() for site in tape.sites]
        run(model, inputs)
        assert all(torch.equal(site.k, k) for site, k in zip(tape.sites, seeded, strict=True))
        model(**inputs)
        assert not torch.equal(tape.sites[0].k, seeded[0])
    # And nine of sixteen patches are all image, whichever they are.
    assert tape.sites[0].key_image.sum(1).tolist() == [10, 10]


def test_bridgetowers_flag_is_not_believed():
    """Its modules call themselves causal where they are not: under eager nobody reads that, and so must capture."""
    model, inputs = ZOO["bridgetower"]()
    attention = [module for module in model.modules() if hasattr(module, "is_causal")]
    assert attention
    inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
    for module in attention:
        module.is_causal = True
    with torch.no_grad(), Oracle() as oracle, capture(model) as tape:
        run(model, inputs)
    sites = [site for site in tape.sites if not site.name.endswith("attn")]
    assert not any(site.causal for site in sites)
    compare(sites, oracle.weights)
    assert all((weights > 0).all() for weights in oracle.weights)


def test_bridgetower_itself():
    model, inputs = ZOO["bridgetower"]()
    sites, output = captured(model, inputs, output_attentions=True)
    maps = [x for x in output.attentions if isinstance(x, torch.Tensor)]
    found = [site.weights() for site in sites]
    for weights in maps:
        assert any(x.shape == weights.shape and torch.allclose(x, weights, atol=1e-6) for x in found)


def test_blips_fused_linear():
    model, inputs = ZOO["blip_matching"]()
    sites, _ = captured(model, inputs)
    attention = model.vision_model.encoder.layers[0].self_attn
    assert isinstance(attention.qkv, torch.nn.Linear)
    assert sites[0].name == "vision_model.encoder.layers.0.self_attn"
    assert (sites[0].q.shape[1], sites[0].q.shape[3]) == (attention.num_heads, attention.head_dim)


def test_a_module_with_linears_that_asks_the_interface_is_one_site():
    """BridgeTower's modules fit both ways in."""
    model, inputs = ZOO["bridgetower"]()
    sites, _ = captured(model, inputs)
    assert len({(site.name, site.call) for site in sites}) == len(sites) == 12


def test_linears_without_attention_are_no_site():
    """VisualBERT's region-to-phrase head has linears for queries and keys, but gives scores, not weights."""
    from transformers import VisualBertForRegionToPhraseAlignment

    plain, inputs = ZOO["visual_bert"]()
    model = VisualBertForRegionToPhraseAlignment(plain.config).eval()
    positions = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    sites, _ = captured(model, {**inputs, "region_to_phrase_position": positions})
    assert hasattr(model.attention, "query")
    assert [site.name for site in sites] == [f"visual_bert.encoder.layer.{i}.attention.self" for i in range(2)]


@pytest.mark.parametrize("own", [True, False])
def test_weights_are_those_before_dropout(own):
    """In training mode, `output_attentions` is what is left after it."""
    if own:
        model, inputs = SingleStream(dropout=0.5), {"hidden": torch.randn(2, 5, 12)}
    else:
        model, inputs = ZOO["visual_bert"]()
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    with torch.no_grad(), Oracle() as oracle, capture(model) as tape:
        output = run(model, inputs, **({} if own else {"output_attentions": True}))
    compare(tape.sites, oracle.weights)
    for site in tape.sites:
        torch.testing.assert_close(site.weights().sum(-1), torch.ones(site.q.shape[:3]))
    if not own:
        assert (output.attentions[0] == 0).float().mean() > 0.3


def test_rows_that_may_attend_to_nothing_are_not_valid():
    """Models give them uniform weights, or NaN, or 0; here they are 0 and counted nowhere."""
    module = Attention()
    mask = torch.tensor([[0.0, 0, 0], [torch.finfo(torch.float32).min] * 3])[:, None, None]
    with torch.no_grad(), Oracle() as oracle, capture(module) as tape:
        module(torch.randn(2, 3, 12), attention_mask=mask)
    assert oracle.weights[0][1].sum() > 0
    site = tape.sites[0]
    found = site.statistics(torch.ones(2, 3, 1))
    assert found.valid.tolist() == [[[True] * 3] * 3, [[False] * 3] * 3]
    assert found.mass[1].isnan().all()
    assert found.entropy[1].isnan().all()
    assert (site.weights()[1] == 0).all()


def test_padded_queries_of_a_decoder_are_not_valid():
    model, inputs = ZOO["llava"]("sdpa")
    sites, _ = captured(model, inputs)
    padding = inputs["attention_mask"] == 0
    site = sites[-1]
    assert torch.equal(~site.statistics().valid[:, 0], padding)
    assert not site.query_text[padding].any()
    assert not site.query_image[padding].any()


def test_without_gradients():
    model = SingleStream()
    hidden = torch.randn(1, 3, 12)
    for context in (torch.no_grad, torch.inference_mode):
        with context(), capture(model) as tape:
            model(hidden)
        assert not tape.sites[0].weights().requires_grad
    with capture(model) as tape:
        model(hidden)
    assert tape.sites[0].weights().requires_grad
