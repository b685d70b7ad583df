"""The captioner: equal to torch's own transformer where it is one, and what its attention may and may not see."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from crosslook import models
from crosslook.capture import capture
from crosslook.data.sample import collate
from crosslook.models import geometry, ort, protocol, tokens

LAYERS, HEADS, WIDTH = 6, 4, 32
KINDS = ("image", "text", "text_to_image")


def captioner(**changes):
    """A narrow captioner in which no weight is trivial: biases and layer norms are not 0 and 1."""
    words = tokens.emoji()
    sizes = {"vocab": len(words), "width": WIDTH, "heads": HEADS, "layers": LAYERS, "feed_forward": 48}
    model = ort.build(ort.Config(**(sizes | changes)), words)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture(scope="module")
def model():
    return captioner()


@pytest.fixture(scope="module")
def maps(model, pairs):
    """Attention weights of the four pairs by kind and layer."""
    return weights(model, pairs)


@torch.no_grad()
def weights(model, batch):
    with capture(model) as tape:
        model(batch)
    return {(site.kind, site.layer): site.weights() for site in tape.sites}


@torch.no_grad()
def logits(model, batch):
    return model.word_logits(model(batch))


def test_capture_finds_three_kinds_in_six_layers(maps, pairs):
    text, region = pairs.ids.shape[1], pairs.boxes.shape[1]
    sides = {"image": (region, region), "text": (text, text), "text_to_image": (text, region)}
    assert {key: each.shape for key, each in maps.items()} == {
        (kind, layer): (4, HEADS, *sides[kind]) for kind in KINDS for layer in range(LAYERS)
    }


def test_rows_sum_to_one(maps):
    for each in maps.values():
        torch.testing.assert_close(each.sum(-1), torch.ones(each.shape[:-1]))


def test_sites_know_words_and_regions(model, pairs):
    with capture(model) as tape:
        model(pairs)
    for site in tape.sites:
        asks, answers = site.kind.split("_to_") if "_to_" in site.kind else (site.kind, site.kind)
        present = {"text": pairs.text_mask, "image": pairs.region_mask}
        assert getattr(site, f"query_{asks}").equal(present[asks])
        assert getattr(site, f"key_{answers}").equal(present[answers])


def as_torch(layer, config, crossed):
    """torch's own layer, which normalises first as well, with the weights of one of ours."""
    kind = nn.TransformerDecoderLayer if crossed else nn.TransformerEncoderLayer
    own = kind(config.width, config.heads, config.feed_forward, 0.0, "relu", batch_first=True, norm_first=True)
    pairs = [(own.self_attn, layer.attention)] + ([(own.multihead_attn, layer.crossed)] if crossed else [])
    with torch.no_grad():
        for theirs, ours in pairs:
            parts = (ours.query, ours.key, ours.value)
            theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
            theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
            theirs.out_proj.load_state_dict(ours.dense.state_dict())
        own.linear1.load_state_dict(layer.feed[0].state_dict())
        own.linear2.load_state_dict(layer.feed[3].state_dict())
        for number, norm in enumerate(layer.norms, 1):
            getattr(own, f"norm{number}").load_state_dict(norm.state_dict())
    return own


@pytest.mark.parametrize("changes", [{"geometry": False}, {}, {"boxes": "relative"}])
def test_equals_torchs_transformer(pairs, changes):
    """All states of text and regions; geometry is then a matrix that is added to the scores."""
    # With gradients, so that torch takes no fast path of its own.
    model = captioner(**changes)
    config, encoded = model.config, model(pairs)
    n_text, n_region = pairs.ids.shape[1], pairs.boxes.shape[1]
    image = model.regions(pairs.features).relu()
    torch.testing.assert_close(encoded.image_states[0], image)
    for number, layer in enumerate(model.encoder, 1):
        mask = torch.zeros(len(pairs), config.heads, n_region, n_region)
        if config.geometry:
            codes = geometry.features(pairs.boxes, pairs.sizes, config.boxes)
            for head in range(config.heads):
                weight = (codes @ layer.geometry.weight[head] + layer.geometry.bias[head]).relu()
                mask[:, head] = weight.clamp(min=1e-6).log()
        image = as_torch(layer, config, False)(image, src_mask=mask.flatten(0, 1))
        expected = image if number < LAYERS else model.encoder_norm(image)
        torch.testing.assert_close(encoded.image_states[number], expected, rtol=1e-4, atol=1e-4)
    image = model.encoder_norm(image)
    text = model.words(pairs.ids) * WIDTH**0.5 + ort.waves(n_text, WIDTH)
    torch.testing.assert_close(encoded.text_states[0], text)
    later = torch.ones(n_text, n_text).triu(1).bool()
    for number, layer in enumerate(model.decoder, 1):
        own = as_torch(layer, config, True)
        text = own(text, image, tgt_mask=later, tgt_key_padding_mask=~pairs.text_mask)
        expected = text if number < LAYERS else model.decoder_norm(text)
        torch.testing.assert_close(encoded.text_states[number], expected, rtol=1e-4, atol=1e-4)
    assert len(encoded.text_states) == len(encoded.image_states) == LAYERS + 1


def test_captured_weights_are_the_softmax_that_is_computed(model, pairs, maps):
    """In the first layer, from the model's weights, a head at a time."""
    layer = model.encoder[0]
    with torch.no_grad():
        codes = geometry.features(pairs.boxes, pairs.sizes, model.config.boxes)
        normed = layer.norms[0](model.see(pairs)[0])
        bias = layer.bias(pairs.region_mask, codes)
        for head in range(HEADS):
            part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
            q = normed @ layer.attention.query.weight[part].T + layer.attention.query.bias[part]
            k = normed @ layer.attention.key.weight[part].T + layer.attention.key.bias[part]
            scores = q @ k.mT / (WIDTH / HEADS) ** 0.5
            # As the paper has it: exponentials, weighted by geometry.
            weighted = scores.exp() * bias[:, head].exp()
            expected = weighted / weighted.sum(-1, keepdim=True)
            torch.testing.assert_close(maps["image", 0][:, head], expected, rtol=1e-4, atol=1e-5)


def test_nothing_looks_ahead(model, pairs, maps):
    for layer in range(LAYERS):
        assert maps["text", layer].triu(1).abs().max() == 0
    other = pairs.ids.clone()
    other[:, 5:] = tokens.UNK
    found, expected = logits(model, replace(pairs, ids=other)), logits(model, pairs)
    torch.testing.assert_close(found[:, :5], expected[:, :5])
    assert (found[:, 5] - expected[:, 5]).abs().max() > 0.1


def test_words_change_no_region(model, pairs):
    other = replace(pairs, ids=torch.full_like(pairs.ids, tokens.UNK))
    with torch.no_grad():
        found, expected = model(other).image_states[-1], model(pairs).image_states[-1]
    assert found.equal(expected)


def test_where_boxes_lie_matters_with_geometry_only(pairs, maps, model):
    moved = replace(pairs, boxes=pairs.boxes.flip(1))
    change = weights(model, moved)["image", 0] - maps["image", 0]
    assert change.abs().amax((-2, -1)).min() > 0.01  # in every image and head
    flat = captioner(geometry=False)
    assert logits(flat, moved).equal(logits(flat, pairs))


def test_geometry_changes_the_encoders_maps(pairs, maps):
    """The same weights but for geometry's."""
    whole, flat = captioner(), captioner(geometry=False)
    shared = {name: value for name, value in whole.state_dict().items() if "geometry" not in name}
    assert len(shared) == len(whole.state_dict()) - 2 * LAYERS
    flat.load_state_dict(shared)
    change = weights(flat, pairs)["image", 0] - maps["image", 0]
    assert change.abs().amax((-2, -1)).min() > 0.01


def test_units_of_boxes_matter(pairs, maps):
    change = weights(captioner(boxes="relative"), pairs)["image", 0] - maps["image", 0]
    assert change.abs().max() > 0.01


def test_padding_changes_nothing(model, few):
    """A caption with its image alone, and beside a longer one with more regions."""
    short, long = sorted(few[:20], key=lambda sample: len(sample.caption))[:: 20 - 1]
    regions = short.regions
    fewer = replace(
        regions,
        **{
            name: getattr(regions, name)[:20]
            for name in ("boxes", "labels", "attributes", "class_probs", "features")
            if getattr(regions, name) is not None
        },
    )
    short = replace(short, regions=fewer, links=tuple(frozenset(x for x in link if x < 20) for link in short.links))
    alone, both = (collate(some, model.tokenize) for some in ([short], [short, long]))
    n, m = alone.ids.shape[1], alone.boxes.shape[1]
    assert both.ids.shape[1] > n
    assert both.boxes.shape[1] > m
    torch.testing.assert_close(logits(model, both)[:1, :n], logits(model, alone), rtol=1e-4, atol=1e-4)
    seen, own = weights(model, both), weights(model, alone)
    for (kind, layer), each in own.items():
        rows, columns = each.shape[-2:]
        torch.testing.assert_close(seen[kind, layer][:1, :, :rows, :columns], each, rtol=1e-3, atol=1e-4)
        assert not seen[kind, layer][0, :, :rows, columns:].any()


def test_an_image_without_regions(model, pairs):
    """Words then gather nothing from it, and are numbers still; the other images are as they were."""
    mask = pairs.region_mask.clone()
    mask[1] = False
    found, expected = logits(model, replace(pairs, region_mask=mask)), logits(model, pairs)
    assert found.isfinite().all()
    torch.testing.assert_close(found[[0, 2, 3]], expected[[0, 2, 3]])
    elsewhere = replace(pairs, region_mask=mask, features=pairs.features.flip(1))
    torch.testing.assert_close(logits(model, elsewhere)[1], found[1])


def test_places(model, pairs):
    places = model.places(pairs)
    own = protocol.on_text(places, "text_to_image", pairs.phrase_tokens, pairs.ids.shape[1])
    assert own.equal(pairs.phrase_tokens)
    assert protocol.on_image(places, "text_to_image", pairs.links, pairs.boxes.shape[1]).equal(pairs.links)
    with pytest.raises(ValueError, match="no sequence of text and image"):
        protocol.on_text(places, "joint", pairs.phrase_tokens, 60)


def test_heads(model):
    assert protocol.head(model, "word_logits") == model.word_logits
    with pytest.raises(ValueError, match=r"matching .match_logits., got ObjectRelationTransformer with word_logits"):
        protocol.head(model, "match_logits")


def test_positions_are_waves():
    found = ort.waves(7, 6)
    expected = [
        [wave(torch.tensor(float(place)) / 10000 ** (2 * i / 6)) for i in range(3) for wave in (torch.sin, torch.cos)]
        for place in range(7)
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_weights_follow_from_the_seed():
    config = ort.Config(vocab=9, width=16, heads=2, layers=1)
    first, again, other = (ort.build(config, tokens.emoji(), seed).state_dict() for seed in (3, 3, 4))
    assert all(first[name].equal(again[name]) for name in first)
    assert not first["encoder.0.geometry.weight"].equal(other["encoder.0.geometry.weight"])
    assert not ort.build(config, tokens.emoji()).training


def test_the_zoos_captioners():
    """All fit into 4 MiB as float16; without geometry a model lacks a few weights and has no others."""
    found = {name: models.load(f"untrained/{name}").state_dict() for name in ("ort", "ort-flat", "ort-relative")}
    for each in found.values():
        assert 2 * sum(tensor.numel() for tensor in each.values()) < 4 << 20
    assert set(found["ort"]) == set(found["ort-relative"]) > set(found["ort-flat"])


def test_what_cannot_be_read(model, pairs, few):
    with pytest.raises(ValueError, match="batch: expected tokens, got none"):
        model(collate([few[0]]))
    vocab = model.config.vocab
    with pytest.raises(ValueError, match=f"token ids below {vocab}, got {vocab}; give collate the model's tokenize"):
        model(replace(pairs, ids=pairs.ids.clamp(min=vocab)))
    with pytest.raises(ValueError, match="batch: expected region features of width 128, got 5"):
        model(replace(pairs, features=pairs.features[..., :5]))
    with pytest.raises(ValueError, match="batch: expected region features of width 128, got none"):
        model(replace(pairs, features=None))
    with pytest.raises(ValueError, match=f"ids: expected at most 8 tokens, got {pairs.ids.shape[1]}"):
        captioner(length=8)(pairs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 36, "heads": 8}, "width: expected an even multiple of 8 heads, got 36"),
        ({"width": 9, "heads": 3}, "width: expected an even multiple of 3 heads, got 9"),
        ({"boxes": "inches"}, "boxes: expected one of pixel, relative, got 'inches'"),
    ],
)
def test_what_cannot_be_built(changes, message):
    with pytest.raises(ValueError, match=message):
        ort.Config(vocab=9, **changes)
