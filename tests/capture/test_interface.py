"""Models of `transformers`, by both ways: weights, outputs, and nothing left behind."""

import copy

import pytest
import torch
from own_models import Oracle, compare
from tiny_transformers import BLIP, DECODER, DECODERS, ENCODERS, IMAGE, OLD_STYLE, SPECIAL, ZOO, built

from crosslook.capture import Site, Unsupported, capture

BOTH = [(name, way) for name in (*ENCODERS, *DECODERS) for way in ("sdpa", "eager")]
EVERY = [*BOTH, *((name, "eager") for name in (*OLD_STYLE, *BLIP, "bridgetower"))]


def run(model, inputs, **options):
    # ViLT draws patches, also in evaluation mode.
    torch.manual_seed(0)
    return model(**inputs, **options)


def tensors(output):
    """All tensors of a model's output, nested ones too."""
    if isinstance(output, torch.Tensor):
        return [output]
    if hasattr(output, "to_tuple"):
        output = output.to_tuple()
    return [x for part in output for x in tensors(part)] if isinstance(output, tuple | list) else []


@pytest.mark.parametrize(("name", "way"), EVERY)
def test_weights_are_those_that_the_model_computes(name, way):
    """Call by call, in one run: padded batches, all layers, both directions, every image."""
    model, inputs = ZOO[name](way)
    with torch.no_grad(), Oracle() as oracle, capture(model) as tape:
        run(model, inputs)
    # What nn.MultiheadAttention does has a test of its own (test_modules.py): the oracle cannot look into it.
    seen = [site for site in tape.sites if not isinstance(model.get_submodule(site.name), torch.nn.MultiheadAttention)]
    compare(seen, oracle.weights)


@pytest.mark.parametrize(("name", "way"), EVERY)
@pytest.mark.parametrize("training", [False, True])
def test_outputs_are_the_same_bit_by_bit(name, way, training):
    model, inputs = ZOO[name](way)
    model.train(training)
    with torch.set_grad_enabled(training):
        plain = tensors(run(model, inputs))
        with capture(model):
            captured = tensors(run(model, inputs))
    assert len(plain) == len(captured) > 0
    for expected, found in zip(plain, captured, strict=True):
        assert torch.equal(expected, found)


def attributes(model):
    """All that a model holds: configuration, and every module's own dictionaries."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

    hooks = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called", "_forward_hooks_with_kwargs")
    hooks += ("_forward_pre_hooks_with_kwargs", "_backward_hooks")
    return {
        "config": copy.deepcopy(model.config.to_dict()),
        "ways": [m.config._attn_implementation for m in model.modules() if hasattr(m, "config")],
        "hooks": [len(getattr(m, hook)) for m in model.modules() for hook in hooks],
        "attributes": [sorted(m.__dict__) for m in model.modules()],
        "functions": sorted(ALL_ATTENTION_FUNCTIONS),
        "masks": sorted(ALL_MASK_ATTENTION_FUNCTIONS),
        "interface": AttentionInterface.get_interface,
        "modes": torch._C._len_torch_function_stack(),
    }


@pytest.mark.parametrize("name", ["lxmert", "blip_matching", "bridgetower", "siglip", "qwen2_vl"])
def test_nothing_stays_behind(name):
    model, inputs = ZOO[name]()
    before = attributes(model)
    with torch.no_grad(), capture(model):
        assert attributes(model)["hooks"] != before["hooks"]
        run(model, inputs)
    assert attributes(model) == before


@pytest.mark.parametrize("name", ["lxmert", "siglip", "qwen2_vl"])
@pytest.mark.parametrize("where", ["forward", "block", "callback"])
def test_nothing_stays_behind_after_an_exception(name, where):
    model, inputs = ZOO[name]()
    before = attributes(model)

    def fail(*_):
        raise RuntimeError("on purpose")

    last = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)][-1]
    if where == "forward":
        last.forward = fail
    with pytest.raises(RuntimeError, match="on purpose"), capture(model, fail if where == "callback" else None):
        fail() if where == "block" else run(model, inputs)
    last.__dict__.pop("forward", None)
    assert attributes(model) == before
    # And the next capture works.
    with torch.no_grad(), capture(model) as tape:
        run(model, inputs)
    assert tape.sites


@pytest.mark.parametrize("name", [*ENCODERS, *DECODERS])
def test_masks_come_in_the_kind_that_the_implementation_takes(name):
    """Under a name that nobody made masks for, a model would be handed none, and padding would be looked at."""
    for way, dtype in (("sdpa", torch.bool), ("eager", torch.float32)):
        model, inputs = ZOO[name](way)
        with torch.no_grad(), capture(model) as tape:
            run(model, inputs)
        words = [site for site in tape.sites if site.kind in ("text", "joint")]
        assert {site.mask.dtype for site in words} == {dtype}
        for site in words:
            padding = inputs["attention_mask"] == 0
            assert padding.any()
            assert site.weights().sum((1, 2))[padding].abs().max() == 0


def test_the_ways_differ_only_by_rounding():
    sites = {}
    for way in ("sdpa", "eager"):
        model, inputs = ZOO["llava"](way)
        with torch.no_grad(), capture(model) as tape:
            run(model, inputs)
        sites[way] = list(tape.sites)
    for one, other in zip(sites["sdpa"], sites["eager"], strict=True):
        valid = one.statistics().valid
        assert torch.equal(valid, other.statistics().valid)
        torch.testing.assert_close(one.weights(), other.weights(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["clip", "llava"])
def test_an_unpadded_batch_is_causal_without_a_mask(name):
    """Under sdpa the model then leaves it to the function, and there is no mask to read it from."""
    model, inputs = ZOO[name]("sdpa")
    if name == "clip":
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    else:
        inputs = {key: value[:1] for key, value in inputs.items()}
    with torch.no_grad(), Oracle() as oracle, capture(model) as tape:
        run(model, inputs)
    words = [site for site in tape.sites if site.kind != "image"]
    assert all(site.mask is None and site.causal for site in words)
    assert not any(site.causal for site in tape.sites if site.kind == "image")
    compare(tape.sites, oracle.weights)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize(("name", "cache"), [("llava", None), ("llava", "static"), ("blip_captioning", None)])
def test_generation_is_a_pass_for_each_word(name, cache, padded):
    """Keys come from the cache; every step's weights are those that the model computes."""
    model, inputs = ZOO[name]()
    if not padded:
        inputs = {key: value[:1] for key, value in inputs.items()}
    options = {"max_new_tokens": 3, "do_sample": False, "cache_implementation": cache}
    model.generation_config.update(pad_token_id=1, bos_token_id=2, eos_token_id=None)
    plain = model.generate(**inputs, **options)
    sites: list[Site] = []
    with Oracle() as oracle, capture(model, on_site=sites.append) as tape:
        generated = model.generate(**inputs, **options)
    assert torch.equal(plain, generated)
    assert not tape.sites
    assert tape.n_sites < len(sites)
    compare(sites, oracle.weights)
    assert sites[-1].q.shape[2] == 1
    assert sites[-1].k.shape[2] > 1


def test_soft_caps():
    """PaliGemma 2: a decoder whose scores are squeezed, which only its own function can do."""
    from transformers import Gemma2Config, PaliGemmaConfig, PaliGemmaForConditionalGeneration

    plain, inputs = ZOO["paligemma"]("eager")
    text = Gemma2Config(**DECODER, **SPECIAL, attn_logit_softcapping=2.0, query_pre_attn_scalar=3)
    config = PaliGemmaConfig(
        vision_config=plain.config.vision_config, text_config=text, image_token_id=IMAGE, projection_dim=32
    )
    model = built(PaliGemmaForConditionalGeneration, config, "eager")
    with torch.no_grad(), Oracle() as oracle, capture(model) as tape:
        run(model, inputs)
    compare(tape.sites, oracle.weights)
    assert tape.sites[-1].softcap == 2.0
    assert tape.sites[-1].scale == 3**-0.5


def test_sink_logits():
    """A logit that takes its share of the softmax and gives no value: rows sum to less than one."""
    from transformers import GptOssConfig, GptOssModel

    config = GptOssConfig(**DECODER, **SPECIAL, num_local_experts=2, num_experts_per_tok=1, sliding_window=4)
    model = built(GptOssModel, config, "eager")
    inputs = ZOO["llava"]()[1]
    inputs = {key: inputs[key] for key in ("input_ids", "attention_mask")}
    with torch.no_grad(), Oracle() as oracle, capture(model) as tape:
        for layer in model.layers:
            layer.self_attn.sinks.normal_()
        run(model, inputs)
    compare(tape.sites, [weights[..., :-1] for weights in oracle.weights])
    assert tape.sites[0].sinks.shape == (4,)
    assert tape.sites[0].weights().sum(-1).min() < 0.5


def test_grouped_query_heads_are_not_repeated():
    model, inputs = ZOO["llava"]("sdpa")
    with torch.no_grad(), capture(model) as tape:
        run(model, inputs)
    site = tape.sites[-1]
    assert (site.q.shape[1], site.k.shape[1], site.v.shape[1]) == (4, 2, 2)


@pytest.mark.parametrize("name", ["clip", "llava"])
def test_gradients_flow_through_sites(name):
    """Through both ways of asking: the site's weights, and the model's output, give each parameter a gradient."""
    model, inputs = ZOO[name]("sdpa")
    with capture(model) as tape:
        run(model, inputs)
    site = tape.sites[-1]
    attention = model.get_submodule(site.name)
    site.weights()[:, :, -1].square().sum().backward()
    assert attention.q_proj.weight.grad.abs().sum() > 0
    assert attention.k_proj.weight.grad.abs().sum() > 0
    assert attention.v_proj.weight.grad is None


def test_an_implementation_that_cannot_be_read():
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register("of-my-own", sdpa_attention_forward)
    AttentionMaskInterface.register("of-my-own", sdpa_mask)
    try:
        model, inputs = ZOO["clip"]("of-my-own")
        plain = run(model, inputs)
        message = r"self_attn: attention implementation 'of-my-own'.*'eager' or 'sdpa'"
        with pytest.raises(Unsupported, match=message), capture(model):
            run(model, inputs)
        assert torch.equal(plain.logits_per_text, run(model, inputs).logits_per_text)
    finally:
        AttentionInterface._global_mapping.pop("of-my-own")
        AttentionMaskInterface._global_mapping.pop("of-my-own")


def test_other_models_in_the_block_are_left_alone():
    model, inputs = ZOO["clip"]("sdpa")
    other, other_inputs = ZOO["siglip"]("eager")
    plain = run(other, other_inputs)
    with torch.no_grad(), capture(model) as tape:
        run(model, inputs)
        n = len(tape.sites)
        found = run(other, other_inputs)
    assert len(tape.sites) == n
    assert torch.equal(plain.logits_per_text, found.logits_per_text)


def test_two_models_at_once():
    one, inputs = ZOO["clip"]("sdpa")
    other, other_inputs = ZOO["siglip"]("sdpa")
    with torch.no_grad(), capture(one) as first, capture(other) as second:
        run(one, inputs)
        run(other, other_inputs)
    assert (len(first.sites), len(second.sites)) == (4, 5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_scored_in_float32(dtype):
    model, inputs = ZOO["clip"]("sdpa")
    model = model.to(dtype)
    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    with torch.no_grad(), Oracle() as oracle, capture(model) as tape:
        run(model, inputs)
    assert {site.weights().dtype for site in tape.sites} == {torch.float32}
    compare(tape.sites, oracle.weights)


def test_importing_capture_does_not_import_transformers():
    import subprocess
    import sys

    code = "import sys, crosslook.capture; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
