"""Which queries and keys are text and which image, worked out from the inputs."""

import inspect

import pytest
import torch
import transformers
from tiny_transformers import IMAGE, ZOO

from crosslook.capture import capture
from crosslook.capture.positions import FAMILIES, KINDS


def run(name, **changes):
    model, inputs = ZOO[name]()
    inputs |= changes
    torch.manual_seed(0)
    with torch.no_grad(), capture(model) as tape:
        model(**inputs)
    return tape.sites, inputs


def expect(site, ask_text, ask_image, answer_text=None, answer_image=None):
    """Lists of masks, one an example; self-attention needs the first two only."""
    answer_text = ask_text if answer_text is None else answer_text
    answer_image = ask_image if answer_image is None else answer_image
    for part, expected in zip(
        ("query_text", "query_image", "key_text", "key_image"),
        (ask_text, ask_image, answer_text, answer_image),
        strict=True,
    ):
        assert torch.equal(getattr(site, part), expected.bool()), part


def none(mask):
    return torch.zeros_like(mask)


def all_of(n):
    return torch.ones(2, n)


def counts(sites):
    found = {}
    for site in sites:
        found.setdefault(site.kind, []).append(site.layer)
    return found


def test_lxmert():
    sites, inputs = run("lxmert")
    text, image = inputs["attention_mask"], inputs["visual_attention_mask"]
    # Three layers of text, two of images, two that cross; the last two have self-attention of both after it.
    assert counts(sites) == {
        "text": [0, 1, 2, 3, 4],
        "image": [0, 1, 2, 3],
        "text_to_image": [0, 1],
        "image_to_text": [0, 1],
    }
    for site in sites:
        if site.kind == "text":
            expect(site, text, none(text))
        elif site.kind == "image":
            expect(site, none(image), image)
        elif site.kind == "text_to_image":
            expect(site, text, none(text), none(image), image)
        else:
            expect(site, none(image), image, text, none(text))


def test_visual_bert():
    sites, inputs = run("visual_bert")
    text, image = inputs["attention_mask"], inputs["visual_attention_mask"]
    assert counts(sites) == {"joint": [0, 1]}
    for site in sites:
        expect(site, torch.cat([text, none(image)], 1), torch.cat([none(text), image], 1))


def test_vilt():
    """Four by four patches, of which the second image has three rows, and a [CLS] before them."""
    sites, inputs = run("vilt")
    text = inputs["attention_mask"]
    image = torch.ones(2, 17)
    image[1, 13:] = 0
    assert counts(sites) == {"joint": [0, 1]}
    for site in sites:
        expect(site, torch.cat([text, none(image)], 1), torch.cat([none(text), image], 1))


def test_flava():
    """The joint sequence is a [CLS], the image with its own [CLS], the words."""
    sites, inputs = run("flava")
    text, image = inputs["attention_mask"], torch.ones(2, 17)
    assert counts(sites) == {"image": [0, 1], "text": [0, 1], "joint": [0, 1]}
    for site in sites:
        if site.kind == "joint":
            front = torch.ones(2, 18)
            expect(site, torch.cat([none(front), text], 1), torch.cat([front, none(text)], 1))
        elif site.kind == "text":
            expect(site, text, none(text))
        else:
            expect(site, none(image), image)


@pytest.mark.parametrize("name", ["blip_matching", "blip_captioning"])
def test_blip(name):
    sites, inputs = run(name)
    text, image = inputs["attention_mask"], torch.ones(2, 17)
    assert counts(sites) == {"image": [0, 1], "text": [0, 1], "text_to_image": [0, 1]}
    for site in sites:
        if site.kind == "text":
            expect(site, text, none(text))
        elif site.kind == "image":
            expect(site, none(image), image)
        else:
            expect(site, text, none(text), none(image), image)


def test_bridgetower():
    sites, inputs = run("bridgetower")
    text, image = inputs["attention_mask"], torch.ones(2, 5)
    assert {kind: len(layers) for kind, layers in counts(sites).items()} == {
        "text": 4,
        "image": 4,
        "text_to_image": 2,
        "image_to_text": 2,
    }
    for site in sites:
        if site.kind == "text_to_image":
            expect(site, text, none(text), none(image), image)
        elif site.kind == "image_to_text":
            expect(site, none(image), image, text, none(text))
        elif site.kind == "text":
            expect(site, text, none(text))


@pytest.mark.parametrize(("name", "patches"), [("clip", 17), ("siglip", 16)])
def test_two_encoders(name, patches):
    sites, inputs = run(name)
    text = inputs["attention_mask"]
    for site in sites:
        if site.kind == "text":
            expect(site, text, none(text))
        else:
            image = all_of(patches)
            # SigLIP pools the image by one query of its own.
            ask = all_of(site.q.shape[2])
            expect(site, none(ask), ask, none(image), image)


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "paligemma", "smolvlm"])
@pytest.mark.parametrize("padded", [True, False])
def test_decoders(name, padded):
    _, inputs = ZOO[name]()
    changes = {} if padded else {"attention_mask": torch.ones_like(inputs["attention_mask"])}
    sites, inputs = run(name, **changes)
    image = inputs["input_ids"] == IMAGE
    text = (inputs["attention_mask"] == 1) & ~image
    joint = [site for site in sites if site.kind == "joint"]
    assert [site.layer for site in joint] == [0, 1]
    assert image.sum(1).tolist() == [4, 4]
    for site in joint:
        expect(site, text, image)
    assert all(site.key_image.all() and not site.key_text.any() for site in sites if site.kind == "image")


def test_qwens_vision_tower_attends_image_by_image():
    sites, _ = run("qwen2_vl")
    assert [(site.layer, site.call) for site in sites if site.kind == "image"] == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("name", ["llava", "qwen2_vl"])
@pytest.mark.parametrize("cache", [None, "static"])
@pytest.mark.parametrize("beams", [1, 2])
def test_with_a_cache_of_keys(name, cache, beams):
    """Every step knows the prompt's image positions, and that what was generated is text."""
    model, inputs = ZOO[name]()
    model.generation_config.update(pad_token_id=1, bos_token_id=2, eos_token_id=None)
    sites = []
    options = {"max_new_tokens": 4, "num_beams": beams, "cache_implementation": cache, "do_sample": False}
    with capture(model, on_site=sites.append):
        model.generate(**inputs, **options, suppress_tokens=[IMAGE])
    image = (inputs["input_ids"] == IMAGE).repeat_interleave(beams, 0)
    text = (inputs["attention_mask"] == 1).repeat_interleave(beams, 0) & ~image
    steps = [site for site in sites if site.kind == "joint" and site.layer == 1]
    assert len(steps) == 4
    for step, site in enumerate(steps):
        keys = site.k.shape[2]
        new = torch.ones(2 * beams, step)
        empty = torch.zeros(2 * beams, keys - image.shape[1] - step)
        expected_text = torch.cat([text, new, empty], 1)
        expected_image = torch.cat([image, none(new), empty], 1)
        if step == 0:
            expect(site, text, image, expected_text, expected_image)
        else:
            one = torch.ones(2 * beams, 1)
            expect(site, one, none(one), expected_text, expected_image)


def test_two_conversations_do_not_mix():
    """Each cache remembers its own; of one that was filled elsewhere nothing is known."""
    model, inputs = ZOO["llava"]()
    other = {**inputs, "input_ids": inputs["input_ids"].roll(3, 1)}
    other["attention_mask"] = torch.ones_like(inputs["attention_mask"])
    word = torch.full((2, 1), 5)
    with torch.no_grad():
        elsewhere = model(**inputs, use_cache=True).past_key_values
        with capture(model) as tape:
            first = model(**inputs, use_cache=True).past_key_values
            model(**other, use_cache=True)
            mask = torch.cat([inputs["attention_mask"], torch.ones(2, 1, dtype=torch.long)], 1)
            model(input_ids=word, attention_mask=mask, past_key_values=first)
            assert torch.equal(tape.sites[-1].key_image[:, :-1], inputs["input_ids"] == IMAGE)
            model(input_ids=word, attention_mask=mask, past_key_values=elsewhere)
            assert tape.sites[-1].key_image is None
            assert tape.sites[-1].statistics().mass is None


def test_embeddings_without_words_are_not_known():
    model, _ = ZOO["llava"]()
    embedded = model.get_input_embeddings()(torch.full((2, 6), 5))
    with torch.no_grad(), capture(model) as tape:
        model(inputs_embeds=embedded)
    assert tape.sites[-1].kind == "joint"
    assert tape.sites[-1].query_text is None


def test_two_calls_in_a_pass_do_not_mix():
    """The second is given embeddings, so nothing is known of the positions in its cache."""
    model, inputs = ZOO["llava"]()
    embedded = model.get_input_embeddings()(torch.full((2, 11), 5))

    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = model

        def forward(self):
            self.inside(**inputs, use_cache=True)
            return self.inside(inputs_embeds=embedded, use_cache=True).past_key_values

    twice = Twice()
    with torch.no_grad(), capture(twice) as tape:
        cache = twice()
        assert [site.key_image is None for site in tape.sites if site.kind == "joint"] == [False, False, True, True]
        model(input_ids=torch.full((2, 1), 5), past_key_values=cache)
    assert tape.sites[-1].key_image is None


def test_a_family_inside_of_another_model():
    """Wrapped, or used for a task: the positions come from the model inside."""
    model, inputs = ZOO["visual_bert"]()

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = model

        def forward(self, inputs):
            return self.inside(**inputs)

    wrapped = Wrapped()
    with torch.no_grad(), capture(wrapped) as tape:
        wrapped(inputs)
    assert tape.sites[0].name == "inside.encoder.layer.0.attention.self"
    assert tape.sites[0].key_text.sum(1).tolist() == [7, 5]


def test_a_model_of_no_known_family():
    config = transformers.BertConfig(hidden_size=12, num_attention_heads=3, num_hidden_layers=1, intermediate_size=8)
    model = transformers.BertModel(config)
    with torch.no_grad(), capture(model) as tape:
        model(torch.ones(1, 4, dtype=torch.long))
    site = tape.sites[0]
    assert site.kind == "joint"
    assert (site.query_text, site.query_image, site.key_text, site.key_image) == (None,) * 4


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_those_of_transformers(name):
    """Every entry names a model type, kinds, and a class that is given the words."""
    family = FAMILIES[name]
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = CONFIG_MAPPING[name]
    kinds = [kind for _, kind in family.kinds]
    assert {kind for kind in kinds for kind in (kind if isinstance(kind, tuple) else (kind,))} <= set(KINDS)
    assert family.kinds[-1][0] == ""  # something always fits
    assert (family.base == "") == (family.split is None) == ("joint" not in kinds)
    if family.base:
        cls = getattr(transformers, family.base)
        assert cls.config_class is config
        assert "input_ids" in inspect.signature(cls.forward).parameters
