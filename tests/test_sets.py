"""Readings of sets against loops over every weight, on models of one and of two streams."""

import numpy as np
import pytest
import torch

from crosslook import data, models, sets
from crosslook.capture import capture
from crosslook.data.sample import collate
from crosslook.models import planted
from crosslook.models.protocol import on_image, on_text
from crosslook.sets import Sets, read


@pytest.fixture(scope="module")
def batches():
    samples = data.load("emoji:val")[:6]
    words = models.load("untrained/uniter").tokenize
    return [
        (torch.tensor([0, 0, 1]), collate(samples[:3], words)),
        (torch.tensor([1, 2, 2]), collate(samples[3:], words)),
    ]


def grounding(batch) -> dict[str, Sets]:
    return {"own": Sets("text_to_image", batch.phrase_tokens, batch.links)}


def naive(model, batches, chosen, n_images, asks, answers):
    """Sums over pairs, rows and keys, one weight at a time."""
    total = {}
    for images, batch in batches:
        with capture(model) as tape:
            model(batch)
        places = model.places(batch)
        one = chosen(batch)
        for site in tape.sites:
            wanted = "joint" if places.joint_text is not None else f"{asks}_to_{answers}"
            if site.kind != wanted:
                continue
            weights = site.weights()
            into = {"text": on_text, "image": on_image}
            queries = into[asks](places, site.kind, one.queries, weights.shape[2])
            keys = into[answers](places, site.kind, one.keys, weights.shape[3])
            universe = getattr(site, f"key_{answers}")
            for b, image in enumerate(images.tolist()):
                for p in range(queries.shape[1]):
                    if not (one.queries[b, p].any() and one.keys[b, p].any()):
                        continue
                    for h in range(weights.shape[1]):
                        row = weights[b, h][queries[b, p]]
                        some = total.setdefault((site.layer, h), np.zeros((3, n_images)))
                        some[0, image] += row[:, keys[b, p]].sum().item()
                        some[1, image] += row[:, universe[b]].sum().item()
                        some[2, image] += (row[:, keys[b, p]].sum(1) / row[:, universe[b]].sum(1)).mean().item()
    return total


@pytest.mark.parametrize("name", ["uniter", "lxmert", "vilbert"])
def test_sums_are_those_of_a_loop_over_weights(name, batches):
    model = models.load(f"untrained/{name}", seed=3)
    found = read(model, batches, grounding, 3, cells=True)["own"]
    expected = naive(model, batches, lambda b: grounding(b)["own"], 3, "text", "image")
    layers, heads = found.proportion.shape
    assert set(expected) == {(layer, head) for layer in range(layers) for head in range(heads)}
    for (layer, head), (on_keys, on_all, by_pair) in expected.items():
        np.testing.assert_allclose(found.on_keys[:, layer, head], on_keys, atol=1e-5)
        np.testing.assert_allclose(found.on_all[:, layer, head], on_all, atol=1e-5)
        np.testing.assert_allclose(found.by_pair[:, layer, head], by_pair, atol=1e-5)
    shares, counts = found.averaged
    alive = sum(
        int((one.queries.any(-1) & one.keys.any(-1)).sum()) for _, b in batches for one in [grounding(b)["own"]]
    )
    assert counts.sum(0)[0, 0] == alive
    np.testing.assert_allclose(shares.sum(0)[layer, head], by_pair.sum(), atol=1e-5)


@pytest.mark.parametrize("name", ["uniter", "lxmert"])
def test_cells_are_mean_weights_of_every_pair_on_every_candidate(name, batches):
    model = models.load(f"untrained/{name}", seed=3)
    found = read(model, batches, grounding, 3, cells=True)["own"]
    expected = []
    for _, batch in batches:
        with torch.no_grad(), capture(model) as tape:
            model(batch)
        places = model.places(batch)
        kind = "joint" if places.joint_text is not None else "text_to_image"
        layers = [site.weights() for site in tape.sites if site.kind == kind]
        queries = on_text(places, kind, batch.phrase_tokens, layers[0].shape[2])
        keys = on_image(places, kind, batch.links, layers[0].shape[3])
        for b in range(len(batch)):
            alive = (batch.phrase_tokens[b].any(-1) & batch.links[b].any(-1)).nonzero()[:, 0].tolist()
            cells = [
                [
                    np.stack([weights[b][:, queries[b, pair]][:, :, keys[b, other]].mean((1, 2)) for weights in layers])
                    for other in alive
                ]
                for pair in alive
            ]
            expected += [np.array(cells)] if alive else []
    assert found.pairs.sum() == sum(len(cells) for cells in expected)
    for ours, cells in zip(found.cells, expected, strict=True):
        np.testing.assert_allclose(ours, cells, atol=1e-6)


def test_shuffling_is_the_tested_permutation(batches):
    from crosslook.significance import permutation_links

    found = read(models.load("untrained/uniter", seed=3), batches, grounding, 3, cells=True)["own"]
    one, other = found.shuffled(200, seed=1), permutation_links(found.cells, n_resamples=200, seed=1)
    np.testing.assert_array_equal(one.p, other.p)


def test_text_to_text_and_image_to_image(batches):
    def chosen(batch):
        every = batch.region_mask[:, None]
        return {
            "words": Sets("text_to_text", batch.text_mask[:, None], batch.text_mask[:, None]),
            "regions": Sets("image_to_image", every, every),
            "first": Sets("image_to_text", every, (torch.arange(batch.ids.shape[1]) == 0).expand(3, 1, -1)),
        }

    found = read(models.load("untrained/lxmert"), batches, chosen, 3)
    np.testing.assert_allclose(found["words"].proportion, 1, atol=1e-5)
    # The row for the whole image is no region, but it is looked at.
    assert (found["regions"].proportion < 1).all()
    assert (found["first"].proportion < 0.5).all()
    assert not found["words"].cells


def test_planted_mass_is_found():
    samples = data.load("emoji:val", regions="gold")[:4]
    model = models.load("planted/grounding")
    batch = collate(samples, planted.tokenize)

    def one_phrase_of_each_caption(batch) -> dict[str, Sets]:
        first = (batch.links.any(-1) & batch.phrase_tokens.any(-1)).long().argmax(1)
        here = torch.arange(len(first)), first
        said, shown = (each[here][:, None] for each in (batch.phrase_tokens, batch.links))
        # Words of nested phrases look at the regions of all of them: only those of this one alone.
        alone = (batch.phrase_tokens & batch.links.any(-1, keepdim=True)).sum(1, keepdim=True) == 1
        return {"own": Sets("text_to_image", said & alone, shown)}

    found = read(model, [(torch.arange(4), batch)], one_phrase_of_each_caption, 4)["own"]
    with capture(model) as tape:
        model(batch)
    rows = one_phrase_of_each_caption(batch)["own"].queries.sum((1, 2)).numpy()
    assert rows.sum() > 4
    assert len(tape.sites) == 12
    for plant in model.plants:
        share = found.on_keys[:, plant.layer, plant.head] / rows
        np.testing.assert_allclose(share, plant.mass, atol=1e-4)


def test_a_model_without_such_attention_is_named(batches):
    with pytest.raises(ValueError, match="expected attention for 'own'"):
        read(models.load("untrained/bert"), batches, grounding, 3)
    batch = batches[0][1]
    with pytest.raises(ValueError, match="expected attention of text_to_image, found none"):
        sets.weights(models.load("untrained/bert"), batch, grounding(batch)["own"])


def test_bad_sets(plain):
    Sets = plain("sets").Sets
    some = torch.ones(1, 2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="kind: expected one of"):
        Sets("text", some, some)
    with pytest.raises(ValueError, match="keys: expected the pairs"):
        Sets("text_to_text", some, some[:, :1])
    with pytest.raises(ValueError, match="cells: expected a reading with cells"):
        sets.Reading(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones(1, dtype=int)).shuffled()


def test_shuffled_pairs_keep_their_sides_and_lose_each_other():
    queries = torch.tensor([[[1, 0], [0, 1], [0, 0], [1, 1]], [[1, 0], [0, 0], [0, 0], [0, 0]]]).bool()
    keys = torch.eye(4).bool().expand(2, -1, -1)
    found = sets.shuffled(Sets("text_to_image", queries, keys))
    # Pairs 1, 2 and 4 of the first example take the next one's keys; the second has one pair.
    assert found.keys[0].long().argmax(-1).tolist() == [1, 3, 0, 0]
    assert not found.keys[0, 2].any()
    assert not found.keys[1].any()
    assert torch.equal(found.queries, queries)


def test_shuffled_pairs_never_keep_a_key_of_their_own(batches):
    # The first three speak of the same thing, the third of one more; the fourth of another; the fifth of all.
    keys = torch.tensor([[[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]]]).bool()
    found = sets.shuffled(Sets("text_to_image", torch.ones(1, 5, 2).bool(), keys))
    assert found.keys.long().tolist() == [[[0, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]]]
    for _, batch in batches:
        own = grounding(batch)["own"]
        assert not (sets.shuffled(own).keys & own.keys).any()


@pytest.mark.parametrize("name", ["uniter", "lxmert"])
def test_weights_add_up_to_what_is_read(name, batches):
    model = models.load(f"untrained/{name}", seed=3)
    _, batch = batches[0]
    one = grounding(batch)["own"]
    found = sets.weights(model, batch, one)
    assert found.shape[:2] == one.queries.shape[:2]
    assert found.shape[-1] == batch.region_mask.shape[1]
    on_keys = (found * one.keys[:, :, None, None]).sum(-1) * one.queries.sum(-1)[..., None, None]
    expected = read(model, [(torch.arange(3), batch)], grounding, 3)["own"].on_keys
    np.testing.assert_allclose(on_keys.sum(1).numpy(), expected, atol=1e-5)
