"""Planted heads do what they were built to do, and all others know nothing of the links.

The weights are worked out here from the module's own queries and keys; what was planted is counted in plain loops.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosslook import data, models
from crosslook.data.sample import Phrase, Regions, Sample, collate
from crosslook.models import codes, planted
from crosslook.models.planted import KINDS, Plant, build, tokenize

MASS = 0.6


@pytest.fixture(scope="module")
def samples():
    return data.load("emoji:val", regions="gold")


@pytest.fixture(scope="module")
def batch(samples):
    return collate([samples[index] for index in (1, 2, 17, 40, 105, 333)], tokenize)


def small(*plants, seed=0):
    return build(plants, layers=2, heads=3, seed=seed)


def weights(model, batch):
    """`(layer, batch, head, query, key)`, from what the linears give, in double precision."""
    caught = []

    def catch(module, args, kwargs):
        q, k = (
            linear(args[0]).double().unflatten(-1, (module.num_attention_heads, -1))
            for linear in (module.query, module.key)
        )
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / module.attention_head_size**0.5
        caught.append((scores + kwargs["attention_mask"]).softmax(-1))

    hooks = [layer.attention["self"].register_forward_pre_hook(catch, with_kwargs=True) for layer in model.layer]
    model(batch)
    for hook in hooks:
        hook.remove()
    return torch.stack(caught)


def targets(what, batch, b):
    """The present positions; and for each query that the plant is about, what it looks at. By loops over the batch."""
    first_region = batch.text_mask.shape[1] + 2
    n_words = int(batch.text_mask[b].sum())
    n_regions = int(batch.region_mask[b].sum())
    present = [0, *range(1, 1 + n_words), first_region - 1, *range(first_region, first_region + n_regions)]
    found = {}
    if what in ("linked", "noun"):
        for tokens, regions in zip(batch.phrase_tokens[b].tolist(), batch.links[b].tolist(), strict=True):
            inside = [t for t, within in enumerate(tokens) if within]
            goals = {first_region + r for r, is_linked in enumerate(regions) if is_linked}
            for t in inside[-1:] if what == "noun" else inside:
                if goals:
                    found[1 + t] = found.get(1 + t, set()) | goals
    elif what == "previous":
        found = {1 + t: {t} for t in range(1, n_words)}
    elif what == "neighbour":
        centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in batch.boxes[b].tolist()]
        for r in range(n_regions):
            others = [o for o in range(n_regions) if o != r]
            if others:
                found[first_region + r] = {
                    first_region + min(others, key=lambda o: np.hypot(*np.subtract(centres[r], centres[o])))
                }
    elif what in ("cls", "sink"):
        found = {position: {0} for position in present}
    return present, found


@pytest.mark.parametrize("what", KINDS)
def test_a_planted_head_gives_its_mass_and_spreads_the_rest_evenly(what, batch):
    mass = None if what == "uniform" else MASS
    attn = weights(small(Plant(1, 2, what, mass)), batch)[1, :, 2]
    asked = 0
    for b in range(len(batch)):
        present, found = targets(what, batch, b)
        for query in present:
            expected = torch.zeros(attn.shape[-1], dtype=torch.float64)
            goals = found.get(query, set())
            asked += len(goals)
            rest = [key for key in present if key not in goals]
            expected[rest] = (1 - MASS if goals else 1) / len(rest)
            expected[list(goals)] = MASS / max(len(goals), 1)
            torch.testing.assert_close(attn[b, query], expected, rtol=0, atol=1e-6)
    assert asked or what == "uniform"


@given(st.floats(1e-4, 1 - 1e-4), st.sampled_from([kind for kind in KINDS if kind != "uniform"]))
def test_any_mass_comes_out_in_every_layer(batch, mass, what):
    model = small(Plant(0, 0, what, mass), Plant(1, 0, what, mass))
    attn = weights(model, batch)[:, :, 0]
    for b in range(len(batch)):
        for query, goals in targets(what, batch, b)[1].items():
            reached = attn[:, b, query, list(goals)].sum(-1)
            torch.testing.assert_close(reached, torch.full_like(reached, mass), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["grounding", "all"])
def test_the_models_hold_what_their_plants_say(name, batch):
    model = models.load(f"planted/{name}")
    attn = weights(model, batch)
    assert attn.shape[::2] == (12, 12, attn.shape[-1])
    for plant in model.plants:
        for b in range(len(batch)):
            for query, goals in targets(plant.what, batch, b)[1].items():
                reached = attn[plant.layer, b, plant.head, query, list(goals)].sum().item()
                assert reached == pytest.approx(plant.mass, abs=1e-5), (plant, b, query)


def test_padding_is_never_looked_at(batch):
    attn = weights(models.load("planted/all"), batch)
    padding = ~codes.present(batch)
    assert padding.any()
    assert attn.movedim(-1, 2)[:, padding.nonzero()[:, 0], padding.nonzero()[:, 1]].max() == 0
    torch.testing.assert_close(attn.sum(-1), torch.ones_like(attn[..., 0]))


def test_an_example_is_the_same_alone_and_in_a_batch(samples):
    few = [samples[index] for index in (3, 22, 41)]
    together = collate(few, tokenize)
    model = models.load("planted/all")
    all_weights = weights(model, together)
    for b, sample in enumerate(few):
        alone = collate([sample], tokenize)
        here = codes.present(together)[b].nonzero()[:, 0]
        expected = all_weights[:, b][..., here, :][..., here]
        torch.testing.assert_close(weights(model, alone)[:, 0], expected, rtol=0, atol=1e-6)


def test_only_planted_heads_know_the_links(batch):
    """Every image's links are dealt anew to its phrases: nothing else may change."""
    model = models.load("planted/grounding")
    other = replace(batch, links=batch.links.flip(-1) & batch.region_mask[:, None, :])
    assert not other.links.equal(batch.links)
    before, after = weights(model, batch), weights(model, other)
    changed = {tuple(place) for place in (before - after).abs().amax((1, 3, 4)).gt(1e-9).nonzero().tolist()}
    assert changed == {(plant.layer, plant.head) for plant in model.plants}


def test_random_heads_know_neither_words_nor_boxes(batch):
    other = replace(batch, ids=batch.ids + 1, boxes=batch.boxes.flip(1) + 3)
    model = models.load("planted/null")
    assert weights(model, batch).equal(weights(model, other))


def test_noise_is_new_for_every_caption_and_position(samples):
    batch = collate(samples[:5], tokenize)
    assert len(set(batch.image_ids)) == 1
    noise = codes.encode(batch, 0)[..., codes.BLOCKS["noise"]][codes.present(batch)]
    assert len(torch.unique(noise, dim=0)) == len(noise)
    assert noise.mean().abs() < 0.05
    assert 0.9 < noise.std() < 1.1


def test_random_heads_differ_from_each_other_and_are_neither_flat_nor_blind(batch):
    attn = weights(models.load("planted/null"), batch)[:, 0].flatten(0, 1)
    n = int(codes.present(batch)[0].sum())
    spread = -(attn.clamp(min=1e-300).log() * attn).sum(-1)[:, :2].mean(-1) / np.log(n)
    assert 0.2 < spread.min() < 0.8 < spread.max() < 0.99
    flat = attn[:, 1 : 1 + 4].flatten(1)
    assert torch.corrcoef(flat).fill_diagonal_(0).abs().max() < 0.95


def test_planting_a_head_leaves_all_others_as_they_are(batch):
    plain, with_one = weights(small(), batch), weights(small(Plant(0, 1, "cls", MASS)), batch)
    same = (plain == with_one).all(-1).all(-1).all(1)
    assert same.tolist() == [[True, False, True], [True, True, True]]


def test_everything_follows_from_the_seed(batch):
    assert weights(small(seed=3), batch).equal(weights(small(seed=3), batch))
    assert not weights(small(seed=3), batch).equal(weights(small(seed=4), batch))


def test_values_of_planted_heads_are_equally_long_but_for_the_sink(batch):
    model = build([Plant(0, 0, "linked", 0.5), Plant(0, 1, "sink", 0.5)], layers=1, heads=2)
    moved = []
    part = model.layer[0].attention["self"].value
    part.register_forward_hook(lambda _module, _args, output: moved.append(output))
    model(batch)
    dense = model.layer[0].attention["output"].dense.weight
    for head, cls in ((0, 1.0), (1, planted.QUIET)):
        place = slice(head * codes.CAPACITY, (head + 1) * codes.CAPACITY)
        norms = (moved[0][..., place] @ dense[:, place].T).norm(dim=-1)
        expected = codes.present(batch).float()
        expected[:, 0] = cls
        torch.testing.assert_close(norms, expected)


def test_layers_write_only_where_no_head_reads(batch):
    model = models.load("planted/all")
    before, after = codes.encode(batch, model.seed), model(batch)
    scratch = codes.BLOCKS["scratch"]
    assert (after[..., scratch] != 0).any()
    after[..., scratch] = 0
    assert after.equal(before)
    for layer in model.layer:
        for linear in (layer.attention["self"].query, layer.attention["self"].key):
            assert (linear.weight[:, scratch] == 0).all()


def sample(caption, phrases, boxes, links):
    marked = []
    for text in phrases:
        start = caption.index(text)
        marked.append(Phrase(start, start + len(text), text, ("other",), "1", np.zeros((0, 4), np.float32)))
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return Sample("0", 0, caption, tuple(marked), Regions(boxes), tuple(map(frozenset, links)), 100, 100)


def test_small_examples_worked_out_by_hand():
    one = sample("a red hat", ["a red hat"], [[0, 0, 9, 9]], [{0}])
    three = sample("dogs bark", ["dogs"], [[0, 0, 9, 9], [10, 0, 19, 9], [90, 90, 99, 99]], [{0, 1}])
    both = collate([one, three], tokenize)
    model = build(
        [Plant(0, 0, "linked", 0.8), Plant(0, 1, "noun", 0.8), Plant(0, 2, "neighbour", 0.7)], layers=1, heads=3
    )
    attn = weights(model, both)[0]
    # [CLS] a red hat [SEP] and one region: 0.8 there, 0.04 on each of the five others.
    torch.testing.assert_close(attn[0, 0, 1, :6], torch.tensor([0.04] * 5 + [0.8]).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(attn[0, 1, 2, :6], torch.full((6,), 1 / 6).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(attn[0, 1, 3, 5].item(), 0.8, rtol=0, atol=1e-6)
    # A region without another looks everywhere alike.
    torch.testing.assert_close(attn[0, 2, 5, :6], torch.full((6,), 1 / 6).double(), rtol=0, atol=1e-6)
    # "dogs" has two regions, with 0.4 each; the far region's nearest is the second.
    torch.testing.assert_close(attn[1, 0, 1, 5:8], torch.tensor([0.4, 0.4, 0.04]).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(attn[1, 2, 7, 6].item(), 0.7, rtol=0, atol=1e-6)


def test_a_caption_without_phrases_and_an_image_without_regions():
    bare = collate([sample("nothing here", [], [], [])], tokenize)
    attn = weights(small(Plant(0, 0, "linked", MASS), Plant(0, 1, "neighbour", MASS)), bare)
    torch.testing.assert_close(attn[0, 0, :2], torch.full((2, 4, 4), 0.25).double(), rtol=0, atol=1e-6)


def test_positions_are_words_and_regions(batch):
    capture = pytest.importorskip("crosslook.capture")
    found = small().attention_positions(batch)
    assert isinstance(found, capture.Positions)
    assert found.joint_text.sum(1).tolist() == batch.text_mask.sum(1).tolist()
    assert found.joint_image.sum(1).tolist() == batch.region_mask.sum(1).tolist()
    assert not (found.joint_text & found.joint_image).any()
    neither = codes.present(batch) & ~found.joint_text & ~found.joint_image
    assert neither.sum(1).tolist() == [2] * len(batch), "[CLS] and [SEP]"


def test_capture_sees_the_same_weights(batch):
    capture = pytest.importorskip("crosslook.capture").capture
    model = small(Plant(0, 1, "linked", MASS))
    with capture(model) as tape:
        model(batch)
    assert [(site.layer, site.kind) for site in tape.sites] == [(0, "joint"), (1, "joint")]
    expected = weights(model, batch)
    for site, attn in zip(tape.sites, expected, strict=True):
        here = codes.present(batch)
        torch.testing.assert_close(
            site.weights().double()[here.nonzero()[:, 0], :, here.nonzero()[:, 1]],
            attn[here.nonzero()[:, 0], :, here.nonzero()[:, 1]],
            rtol=0,
            atol=1e-6,
        )


def test_phrases_stand_where_their_words_and_regions_stand(batch):
    said, shown = codes.phrases(batch)
    for b in range(len(batch)):
        found = targets("linked", batch, b)[1]
        assert found.keys() == set(said[b].any(0).nonzero()[:, 0].tolist())
        for query, goals in found.items():
            assert set(shown[b][said[b, :, query]].any(0).nonzero()[:, 0].tolist()) == goals
    assert said.any(-1).equal(shown.any(-1))
    assert not said.any(-1).all(), "a phrase without regions is among them"


def test_tokens_are_what_lies_between_blanks():
    ids, spans = tokenize(" a  red-brown hat . ")
    assert [" a  red-brown hat . "[a:b] for a, b in spans] == ["a", "red-brown", "hat", "."]
    assert ids == [0, 1, 2, 3]
    assert tokenize("") == ([], [])


def test_models_have_names():
    specs = [spec for spec in models.list() if spec.startswith("planted/")]
    assert specs == ["planted/grounding", "planted/all", "planted/null"]
    for spec in specs:
        assert isinstance(models.load(spec, seed=1), planted.Planted)
    assert str(Plant(4, 6, "linked", 0.25)) == "L5H7 linked 0.25"
    assert str(Plant(0, 0, "uniform")) == "L1H1 uniform"


@pytest.mark.parametrize("spec", ["planted/nothing", "planted", "", "bert"])
def test_an_unknown_model_gets_a_list(spec):
    with pytest.raises(ValueError, match=r"spec: expected one of .*planted/all, planted/null, .*, got"):
        models.load(spec)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plant(0, 0, "verbs", 0.5), "what: expected one of linked, noun"),
        (lambda: Plant(0, 0, "cls"), "mass: expected a number between 0 and 1 for 'cls', got None"),
        (lambda: Plant(0, 0, "cls", 1.0), "mass: expected a number between 0 and 1 for 'cls', got 1.0"),
        (lambda: Plant(0, 0, "uniform", 0.5), "mass: expected none for a uniform head, got 0.5"),
        (lambda: small(Plant(2, 0, "uniform")), "plants: expected places within 2 layers of 3 heads, got L3H1 uniform"),
        (lambda: small(Plant(0, 0, "uniform"), Plant(0, 0, "cls", 0.1)), "plants: expected one for a head, got L1H1"),
    ],
)
def test_bad_plants_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bad_batches_say_what_is_wrong():
    long = sample("word " * 37, [], [], [])
    with pytest.raises(ValueError, match="batch: expected at most 36 words, got 37"):
        small()(collate([long], tokenize))
    many = sample("word", [], np.zeros((37, 4)), [])
    with pytest.raises(ValueError, match="batch: expected at most 36 regions, got 37"):
        small()(collate([many], tokenize))
    with pytest.raises(ValueError, match="batch: expected tokens, got none"):
        small()(collate([many]))
