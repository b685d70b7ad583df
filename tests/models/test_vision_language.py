"""The encoders behind the protocol, on captions and regions of Emoji Entities: what depends on what, and what not."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from crosslook.capture import capture
from crosslook.data.sample import collate
from crosslook.models import tokens
from crosslook.models.architectures import small
from crosslook.models.embeddings import Standard, sines
from crosslook.models.masking import special
from crosslook.models.pretraining import Objective, losses
from crosslook.models.protocol import on_image, on_text
from crosslook.models.vision_language import build

SEEING = ("uniter", "visualbert", "vl-bert", "vilbert", "lxmert")
EVERY = (*SEEING, "bert")
SITES = {
    **{name: {"joint": 6} for name in ("uniter", "visualbert", "vl-bert")},
    "vilbert": {"text": 3, "image": 2, "text_to_image": 2, "image_to_text": 2},
    "lxmert": {"text": 4, "image": 3, "text_to_image": 2, "image_to_text": 2},
    "bert": {"text": 6},
}
LAYERS = {**dict.fromkeys(EVERY, (6, 6)), "vilbert": (5, 4), "lxmert": (4, 3)}
"""Of text and of the image."""


@pytest.fixture(params=EVERY)
def model(request, stirred):
    return stirred(request.param)


@pytest.fixture(params=SEEING)
def seeing(request, stirred):
    return stirred(request.param)


def name_of(model):
    return "bert" if model.config.embeddings == "text" else model.config.embeddings


@torch.no_grad()
def answers(model, batch):
    """Everything that a model says of what is present, by name; padding is set to 0."""
    encoded = model(batch)
    found = {f"text {n}": x * batch.text_mask[..., None] for n, x in enumerate(encoded.text_states)}
    found["words"] = model.word_logits(encoded) * batch.text_mask[..., None]
    if model.image_input == "regions":
        found |= {f"image {n}": x * encoded.image_mask[..., None] for n, x in enumerate(encoded.image_states)}
        found["regions"] = model.region_logits(encoded) * batch.region_mask[..., None]
        found["pooled"], found["match"] = encoded.pooled, model.match_logits(encoded)
    return found


def agree(found, wanted, names=None):
    assert found.keys() == wanted.keys()
    for name in names or found:
        torch.testing.assert_close(found[name], wanted[name], atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def cut(batch, texts=0, regions=0):
    """A batch with so much more padding (or less)."""

    def longer(x, axis, n):
        return None if x is None else F.pad(x, (*(0, 0) * (x.ndim - 1 - axis), 0, n))

    changes = {name: longer(getattr(batch, name), 1, texts) for name in ("ids", "text_mask")}
    changes["phrase_tokens"] = longer(batch.phrase_tokens, 2, texts)
    for name in ("boxes", "region_mask", "features", "class_probs"):
        changes[name] = longer(getattr(batch, name), 1, regions)
    return replace(batch, **changes, links=longer(batch.links, 2, regions))


def fewer(batch, counts):
    """The batch with only so many regions in each image; the others are padding."""
    mask = torch.arange(batch.region_mask.shape[1]) < torch.tensor(counts)[:, None]
    emptied = {name: getattr(batch, name) * mask[..., None] for name in ("boxes", "features", "class_probs")}
    return replace(batch, region_mask=mask, links=batch.links & mask[:, None], **emptied)


def test_shapes_of_states_and_logits(model, pairs):
    (n, n_text), n_regions, sizes = pairs.ids.shape, pairs.boxes.shape[1], model.config
    encoded = model(pairs)
    texts, images = LAYERS[name_of(model)]
    assert [x.shape for x in encoded.text_states] == [(n, n_text, 32)] * (texts + 1)
    assert encoded.text_mask is pairs.text_mask
    assert model.word_logits(encoded).shape == (n, n_text, len(tokens.emoji()))
    if model.image_input == "none":
        assert encoded.image_states == ()
        assert encoded.image_mask is encoded.pooled is None
        return
    assert [x.shape for x in encoded.image_states] == [(n, 1 + n_regions, 32)] * (images + 1)
    assert torch.equal(encoded.image_mask, F.pad(pairs.region_mask, (1, 0), value=True))
    assert model.region_logits(encoded).shape == (n, n_regions, sizes.classes)
    assert model.match_logits(encoded).shape == (n, 2)
    assert encoded.pooled.shape == (n, 40)


def test_states_are_those_at_the_ends_of_layers(model, pairs):
    """Of the states after every sublayer, those after feed-forward networks of the stream."""
    name, encoded = name_of(model), model(pairs)
    features, boxes, mask = (None,) * 3 if name == "bert" else model.rows(pairs)
    texts, images = model.encode(pairs.ids, pairs.text_mask, features, boxes, mask)
    # By hand: where the feed-forward networks of the small models stand, counted from 1.
    odd = [0, 2, 4, 6, 8, 10, 12]
    ends = {"vilbert": ([0, 2, 4, 6, 8, 10], [0, 4, 6, 8, 10]), "lxmert": ([0, 2, 4, 7, 10], [0, 2, 7, 10])}
    of_text, of_image = ends.get(name, (odd, odd))
    for found, every, places in ((encoded.text_states, texts, of_text), (encoded.image_states, images, of_image)):
        if every[0] is not None:
            assert len(found) == len(places)
            assert all(torch.equal(a, every[place]) for a, place in zip(found, places, strict=True))


def test_captured_attention(model, pairs):
    """Kinds and numbers of the calls; weights by queries and keys, one softmax for what is present."""
    pairs = fewer(pairs, [36, 20, 1, 36])
    with capture(model) as tape, torch.no_grad():
        model(pairs)
    assert Counter(site.kind for site in tape.sites) == SITES[name_of(model)]
    for kind, count in SITES[name_of(model)].items():
        assert [site.layer for site in tape.sites if site.kind == kind] == list(range(count))
    image = F.pad(pairs.region_mask, (1, 0), value=True)
    present = {"text": pairs.text_mask, "image": image, "joint": torch.cat([pairs.text_mask, image], 1)}
    for site in tape.sites:
        asking, _, seen = site.kind.partition("_to_")
        keys = present[seen or asking]
        heads = model.get_submodule(site.name)
        assert (heads.num_attention_heads, heads.attention_head_size) == (4, 8)
        scores = torch.stack([site.q[:, h] @ site.k[:, h].mT / math.sqrt(8) for h in range(4)], 1)
        powers = torch.where(keys[:, None, None], scores, -math.inf).double().exp()
        weights = powers / powers.sum(-1, keepdim=True)
        torch.testing.assert_close(site.weights().double(), weights, atol=5e-6, rtol=0)
        assert weights.max() > 2 * weights[weights > 0].min()  # far from uniform
        # Every present position is text or image, and nothing else is.
        assert torch.equal(site.query_text | site.query_image, present[asking])
        assert torch.equal(site.key_text | site.key_image, keys)
        if site.kind == "joint":
            n_text = pairs.ids.shape[1]
            assert not site.key_text[:, n_text:].any()
            assert not site.key_image[:, :n_text].any()
        else:
            assert not {"text": site.key_image, "image": site.key_text}[seen or asking].any()
            assert not {"text": site.query_image, "image": site.query_text}[asking].any()


def test_capture_changes_nothing(model, pairs):
    plain = answers(model, pairs)
    with capture(model):
        found = answers(model, pairs)
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_places_of_words_and_regions(model, pairs):
    """What stands where the places say has the keys of that word, or of that region."""
    with capture(model) as tape, torch.no_grad():
        encoded = model(pairs)
    places = model.places(pairs)
    token = torch.zeros(len(pairs), 1, pairs.ids.shape[1], dtype=torch.bool)
    region = torch.zeros(len(pairs), 1, pairs.boxes.shape[1], dtype=torch.bool)
    token[:, :, 3] = region[:, :, 2] = True
    # The first call that sees each stream's embeddings: in ViLBERT the image is first seen by text.
    first = {site.kind: site for site in reversed(tape.sites) if site.layer == 0}
    words = first.get("joint") or first["text"]
    image = first.get("joint") or first.get("text_to_image" if name_of(model) == "vilbert" else "image")
    for site, find, sets, state in (
        (words, on_text, token, encoded.text_states[0][:, 3]),
        (image, on_image, region, encoded.image_states[0][:, 1 + 2] if encoded.image_states else None),
    ):
        if site is not None:
            where = find(places, site.kind, sets, site.k.shape[2])[:, 0]
            assert where.sum(1).tolist() == [1] * len(pairs)
            keys = site.k.transpose(1, 2).flatten(2)[where]
            torch.testing.assert_close(keys, model.get_submodule(site.name).key(state))
    assert (image is None) == (name_of(model) == "bert")


def test_rows_are_features_and_boxes_as_shares_of_the_image(stirred, pairs):
    """Against plain loops; the first row is the whole image, with the mean of the features that are given."""
    batch, model = fewer(pairs, [36, 3, 0, 1]), stirred("uniter")
    batch.features[0, 5] = 0  # hidden
    features, boxes, present = model.rows(batch)
    for b in range(len(batch)):
        width, height = batch.sizes[b].tolist()
        there = [r for r in range(36) if batch.region_mask[b, r]]
        assert present[b].nonzero().flatten().tolist() == ([0, *(r + 1 for r in there)] if there else [])
        assert boxes[b, 0].tolist() == [0, 0, 1, 1, 1]
        given = {r: (batch.features[b, r] - model.standard.mean) / model.standard.sd for r in there}
        given |= {5: torch.zeros(128)} if b == 0 else {}
        mean = sum(given.values()) / len(there) if there else torch.zeros(128)
        torch.testing.assert_close(features[b, 0], mean)
        for r in there:
            x1, y1, x2, y2 = batch.boxes[b, r].tolist()
            wanted = [x1 / width, y1 / height, x2 / width, y2 / height, (x2 - x1) / width * (y2 - y1) / height]
            assert boxes[b, r + 1].tolist() == pytest.approx(wanted, abs=1e-6)
            torch.testing.assert_close(features[b, r + 1], given[r])
    assert not features[~present].any()


def test_standardised_features_by_hand():
    """A row of zeros is hidden, and stays so."""
    standard = Standard(2)
    features = torch.tensor([[[3.0, 0.0], [0.0, 0.0], [1.0, 4.0]]])
    assert torch.equal(standard(features), features)
    standard.load_state_dict({"mean": torch.tensor([1.0, 2.0]), "sd": torch.tensor([0.5, 4.0])})
    assert standard(features).tolist() == [[[4.0, -0.5], [0.0, 0.0], [0.0, 0.5]]]


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.integers(1, 4))
def test_codes_of_boxes(corners, n):
    x1, y1, x2, y2 = corners
    wanted = []
    for number in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1):
        angles = [100 * number / 1000 ** (i / n) for i in range(n)]
        wanted += [*map(math.sin, angles), *map(math.cos, angles)]
    found = sines(torch.tensor([[corners]], dtype=torch.float64), n)
    assert found.shape == (1, 1, 8 * n)
    assert found[0, 0].tolist() == pytest.approx(wanted, abs=1e-4)


def test_padding_of_text_changes_nothing(model, pairs):
    found = answers(model, cut(pairs, texts=5))
    n = pairs.ids.shape[1]
    found = {name: x[:, :n] if name.startswith(("text", "words")) else x for name, x in found.items()}
    agree(found, answers(model, pairs))


def test_padding_of_regions_changes_nothing(model, pairs):
    pairs = fewer(pairs, [36, 20, 1, 30])
    found = answers(model, cut(pairs, regions=3))
    lengths = {"image": 37, "regions": 36}
    found = {name: x[:, : lengths[name.split()[0]]] if name.split()[0] in lengths else x for name, x in found.items()}
    agree(found, answers(model, pairs))


def test_what_padding_holds_changes_nothing(model, pairs):
    """The ids, features and boxes of what is not present."""
    pairs = fewer(pairs, [36, 20, 1, 30])
    text, region = pairs.text_mask, pairs.region_mask[..., None]
    noise = torch.rand(pairs.features.shape, generator=torch.Generator().manual_seed(0))
    other = replace(
        pairs,
        features=torch.where(region, pairs.features, noise),
        boxes=torch.where(region, pairs.boxes, torch.tensor([3.0, 4, 50, 60])),
    )
    agree(answers(model, other), answers(model, pairs))
    if name_of(model) != "vl-bert":  # which counts the words by their ids
        other = replace(other, ids=torch.where(text, pairs.ids, 17))
        agree(answers(model, other), answers(model, pairs))


def alone(few, index):
    return collate([few[index]], tokens.emoji())


def test_an_example_does_not_depend_on_its_batch(model, few, pairs):
    together = answers(model, pairs)
    for b, index in enumerate((0, 7, 13, 19)):
        one = answers(model, alone(few, index))
        n = int(pairs.text_mask[b].sum())
        cut_out = {
            name: x[b : b + 1, :n] if name.startswith(("text", "words")) else x[b : b + 1]
            for name, x in together.items()
        }
        agree(cut_out, one)


def test_the_published_vl_bert_moves_words_behind_the_end_of_the_shortest_caption(stirred, few, pairs):
    model = stirred("vl-bert", shortest_ends=True)
    together, lengths = answers(model, pairs)["text 0"], pairs.text_mask.sum(1)
    shortest = int(lengths.min())
    assert shortest < lengths.max()
    for b, index in enumerate((0, 7, 13, 19)):
        n = int(lengths[b])
        same = (together[b, :n] - answers(model, alone(few, index))["text 0"][0]).abs().amax(-1) < 1e-5
        assert same.tolist() == [place < shortest for place in range(n)]


def test_without_regions_nothing_of_an_image_is_seen(model, pairs):
    """Neither features nor boxes, the row for the whole image included."""
    blind = replace(pairs, region_mask=torch.zeros_like(pairs.region_mask))
    other = replace(blind, features=blind.features.roll(1, 0), boxes=blind.boxes.roll(1, 0))
    found, wanted = answers(model, other), answers(model, blind)
    named = [name for name in wanted if name.startswith(("text", "words"))]
    agree(found, wanted, named)
    # It is the same as an image without any region.
    empty = replace(
        blind,
        **{name: getattr(blind, name)[:, :0] for name in ("boxes", "region_mask", "features", "class_probs")},
        links=blind.links[..., :0],
    )
    torch.testing.assert_close(answers(model, empty)["words"], wanted["words"], atol=1e-5, rtol=1e-5)


def test_the_image_changes_the_words_but_for_the_text_only_control(model, pairs):
    other = replace(pairs, features=pairs.features.roll(1, 0), boxes=pairs.boxes.roll(1, 0))
    found, wanted = answers(model, other)["words"], answers(model, pairs)["words"]
    if model.image_input == "none":
        assert torch.equal(found, wanted)
        bare = replace(pairs, features=None, class_probs=None)
        assert torch.equal(answers(model, bare)["words"], wanted)
    else:
        assert ((found - wanted).abs().amax(-1)[pairs.text_mask] > 1e-3).all()


def test_logits_of_a_region_are_those_of_its_own_state(seeing, pairs):
    """The whole image comes before the regions and has none."""
    encoded = seeing(pairs)
    logits = seeing.region_logits(encoded)
    for r in (0, 1, 35):
        torch.testing.assert_close(logits[:, r], seeing.regions(encoded.image_states[-1][:, r + 1]))


def test_the_text_changes_the_regions(seeing, pairs):
    changed = torch.where(special(pairs.ids), pairs.ids, pairs.ids + 1)
    found, wanted = (answers(seeing, replace(pairs, ids=ids))["regions"] for ids in (changed, pairs.ids))
    assert ((found - wanted).abs().amax(-1) > 1e-3).all()


def test_boxes_matter_but_in_visualbert(seeing, pairs):
    found = answers(seeing, replace(pairs, boxes=pairs.boxes.roll(1, 1)))["regions"]
    changed = not torch.allclose(found, answers(seeing, pairs)["regions"])
    assert changed == (name_of(seeing) != "visualbert")


UNUSED = {
    "words": ("regions.", "text_pooler.", "image_pooler.", "matching."),
    "regions": ("words.", "text_pooler.", "image_pooler.", "matching."),
    "matching": ("words.", "regions."),
}
LAST_CROSSING = {"vilbert": 6, "lxmert": 7}
"""The sublayer, counted from 0, after which the streams do not meet again."""


def wanted_gradients(model, tasks):
    """The names of the parameters that some of the tasks use."""
    name, found = name_of(model), set()
    for task in tasks:
        for parameter, _ in model.named_parameters():
            idle = parameter.startswith(UNUSED[task])
            if parameter.startswith("encoder.layers.") and name in LAST_CROSSING:
                # From there each stream serves its own head alone; weights that are shared serve both.
                _, _, number, stream, _ = parameter.split(".", 4)
                own = {"words": ("text",), "regions": ("image",)}.get(task, ("text", "image"))
                after = int(number) - LAST_CROSSING[name]
                idle |= stream not in own and (after > 0 or (after == 0 and name == "vilbert"))
            if not idle:
                found.add(parameter)
    return found


@pytest.mark.parametrize("tasks", [("words",), ("regions",), ("matching",), ("words", "regions", "matching")])
def test_gradients_reach_every_parameter_that_a_task_uses(seeing, pairs, tasks):
    seeing.zero_grad()
    found = losses(seeing, cut(pairs), Objective(), torch.Generator().manual_seed(3))
    sum(found[task] for task in tasks).backward()
    reached = {name for name, parameter in seeing.named_parameters() if parameter.grad is not None}
    assert reached == wanted_gradients(seeing, tasks)
    # A bias of keys adds the same to all scores of a query: its gradient is 0 but for rounding. Pairs that are asked
    # for words lose no region, so that VL-BERT's feature of hidden regions has no part in them.
    nothing = ("key.bias", "masked_feature.weight") if tasks == ("words",) else ("key.bias",)
    still = [
        name
        for name, parameter in seeing.named_parameters()
        if name in reached and not name.endswith(nothing) and not parameter.grad.any()
    ]
    assert not still
    seeing.zero_grad()


def test_gradients_of_the_text_only_control(stirred, pairs):
    model = stirred("bert")
    found = losses(model, pairs, Objective(modality="text"), torch.Generator().manual_seed(0))
    assert list(found) == ["words"]
    found["words"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()


def test_a_model_follows_from_its_seed(pairs):
    config = small("lxmert", vocab=len(tokens.emoji()), features=128, classes=pairs.class_probs.shape[-1])
    first, again, other = (build(config, tokens.emoji(), seed) for seed in (3, 3, 4))
    assert not first.training
    found, wanted, else_ = (answers(model, pairs)["words"] for model in (first, again, other))
    assert torch.equal(found, wanted)
    assert not torch.allclose(found, else_)


def test_a_batch_that_does_not_fit_is_an_error(seeing, pairs, few):
    with pytest.raises(ValueError, match="batch: expected tokens, got none; give collate the model's tokenize"):
        seeing(collate([few[0]]))
    with pytest.raises(ValueError, match=r"token ids below 795, got 795; give collate the model's tokenize"):
        seeing(replace(pairs, ids=pairs.ids.clamp(min=795)))
    with pytest.raises(ValueError, match="batch: expected region features of width 128, got none"):
        seeing(replace(pairs, features=None))
    with pytest.raises(ValueError, match="batch: expected region features of width 128, got 100"):
        seeing(replace(pairs, features=pairs.features[..., :100]))


def test_a_caption_that_is_too_long_is_an_error(model, pairs):
    with pytest.raises(ValueError, match=r"ids: expected .* 64 "):
        model(saying(pairs, 65))


def saying(batch, n):
    """The batch with so many words in its last caption; the others get padding."""
    longer = cut(batch, texts=n - batch.ids.shape[1])
    ids, text_mask = longer.ids.clone(), longer.text_mask.clone()
    ids[-1], text_mask[-1] = ids[-1].where(text_mask[-1], 17), True
    return replace(longer, ids=ids, text_mask=text_mask)


def test_what_stands_beside_a_long_caption_need_not_fit_with_its_padding(stirred, pairs):
    """VL-BERT's padding stands behind the regions, from some place on beyond its 64 positions."""
    model, n = stirred("vl-bert"), pairs.ids.shape[1]
    both, alone = answers(model, saying(pairs, 62)), answers(model, pairs)
    agree(
        {name: x[:-1, :n] if name.startswith(("text", "words")) else x[:-1] for name, x in both.items()},
        {name: x[:-1] for name, x in alone.items()},
    )
    assert torch.equal(both["text 0"][:-1, :n], alone["text 0"][:-1])
    # The last two places are for the regions.
    with pytest.raises(ValueError, match="expected words and regions to fit 64 positions together, got 63 and 37"):
        model(saying(pairs, 63))
    published = stirred("vl-bert", shortest_ends=True)
    with pytest.raises(ValueError, match="got 62 and 37, up to position 98"):  # which moves words of long captions, too
        published(saying(pairs, 62))


def test_the_text_only_control_has_one_head(stirred, pairs):
    model = stirred("bert")
    assert model.region_logits is None
    assert model.match_logits is None
    assert not [name for name, _ in model.named_parameters() if name.startswith(("regions", "matching", "image"))]


def test_vl_bert_lets_the_image_in_by_and_by(pairs):
    """At first words are as they would be without the feature that all of them carry; training changes that."""
    words = tokens.emoji()
    model = build(small("vl-bert", vocab=len(words), features=128, classes=pairs.class_probs.shape[-1]), words)
    assert not model.embeddings.text_visual_norm.weight.any()
    features, boxes, _ = model.rows(pairs)
    segments = torch.zeros_like(pairs.ids)
    own, _ = model.embeddings(pairs.ids, segments, features, boxes)
    others, _ = model.embeddings(pairs.ids, segments, 2 + features.roll(1, 0), boxes)
    assert torch.equal(own, others)
    own[..., 0].sum().backward()
    assert model.embeddings.text_visual_norm.weight.grad.any()
