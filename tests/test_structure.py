"""What regions look at: loops over the weights of real models, and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crosslook import maps, models, structure
from crosslook import structure_objects as so
from crosslook.capture import capture
from crosslook.data.emoji import dataset, records
from crosslook.data.emoji.regions import detector_regions
from crosslook.data.sample import collate


@pytest.fixture(scope="module")
def samples():
    return list(dataset.from_records(records.read("val")[:4], "val", detector_regions("val"), "paragraph"))


@pytest.fixture(scope="module")
def objects(samples):
    return [so.find(sample) for sample in samples]


def batched(model, samples, size=3):
    return [
        (places, collate([samples[i] for i in places], model.tokenize))
        for places in torch.arange(len(samples)).split(size)
    ]


def weights_of(model, sample):
    """(layer, head, region, region), by hand from the captured weights of one picture alone."""
    batch = collate([sample], model.tokenize)
    with torch.no_grad(), capture(model) as tape:
        model(batch)
    places = model.places(batch)
    kind = "image" if places.joint_text is None else "joint"
    rows = []
    for site in tape.sites:
        if site.kind == kind:
            at = places.regions[0].float().argmax(1)
            if kind == "joint":
                at = places.joint_image[0][at]
            block = site.weights()[0][:, at][:, :, at]
            rows.append(block / block.sum(-1, keepdim=True))
    return torch.stack(rows).double().numpy()


@pytest.mark.parametrize("name", ["ort", "lxmert", "uniter"])
def test_looking_against_loops(name, samples, objects):
    model = models.load(f"untrained/{name}", seed=2)
    found = structure.look(model, batched(model, samples), [each.regions for each in objects])
    for i, (sample, thing) in enumerate(zip(samples, objects, strict=True)):
        weights, shown = weights_of(model, sample), thing.regions
        n = weights.shape[-1]
        assert found.among[i].shape == (*weights.shape[:2], len(thing), len(thing))
        for o, p in np.ndindex(len(thing), len(thing)):
            block = weights[:, :, shown[o]][..., shown[p]]
            np.testing.assert_allclose(found.among[i][..., o, p], n * block.mean((-2, -1)), rtol=1e-4)
        by_hand = [weights[..., row].sum(-1).mean(-1) for row in shown]
        np.testing.assert_allclose(found.onto[i], np.stack(by_hand, -1), rtol=1e-4)

        nats = -(weights * np.log(weights)).sum(-1) / np.log(n)
        np.testing.assert_allclose(found.entropy[0][i], nats.sum(-1), rtol=1e-4)
        assert (found.entropy[1][i] == n).all()

        centres = (sample.regions.boxes[:, :2] + sample.regions.boxes[:, 2:]) / 2
        far, given = np.zeros(weights.shape[:2]), np.zeros(weights.shape[:2])
        for q in range(n):
            for k in range(n):
                if q != k:
                    apart = np.hypot(*(centres[q] - centres[k])) / np.hypot(sample.width, sample.height)
                    far += weights[:, :, q, k] * apart
                    given += weights[:, :, q, k]
        np.testing.assert_allclose(found.distance[0][i], far, rtol=1e-4)
        np.testing.assert_allclose(found.distance[1][i], given, rtol=1e-4)

        owner = np.where(shown.any(0), shown.argmax(0), -1)
        kinds = {name: np.zeros(weights.shape[:2]) for name in structure.TARGETS}
        for q in np.flatnonzero(owner >= 0):
            for k in range(n):
                same = "the same object" if owner[k] == owner[q] else "another object"
                what = "itself" if k == q else "no object" if owner[k] < 0 else same
                kinds[what] += weights[:, :, q, k]
        for what, total in kinds.items():
            np.testing.assert_allclose(found.targets[what][0][i], total, rtol=1e-4, atol=1e-6)
            assert (found.targets[what][1][i] == (owner >= 0).sum()).all()


def cropped(sample, n):
    """The sample with its first regions alone."""
    known = {name: getattr(sample.regions, name)[:n] for name in ("boxes", "labels", "features", "class_probs")}
    regions = replace(sample.regions, attributes=None, **known)
    return replace(sample, regions=regions, links=tuple(frozenset() for _ in sample.phrases))


def test_targets_add_up_and_padding_changes_nothing(samples, objects):
    model = models.load("untrained/ort")
    small = cropped(samples[1], 20)
    thing = so.find(small)
    assert len(thing) > 1
    together = structure.look(model, batched(model, [samples[0], small]), [objects[0].regions, thing.regions])
    alone = structure.look(model, batched(model, [small]), [thing.regions])
    np.testing.assert_allclose(together.among[1], alone.among[0], rtol=1e-4)
    np.testing.assert_allclose(together.onto[1], alone.onto[0], rtol=1e-4)
    for both, one in ((together.entropy, alone.entropy), (together.distance, alone.distance)):
        np.testing.assert_allclose(both[0][1], one[0][0], rtol=1e-4)
        np.testing.assert_allclose(both[1][1], one[1][0], rtol=1e-4)
    total = sum(maps.pooled(each) for each in together.targets.values())
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_even_attention_is_one_among_objects():
    weights = torch.full((1, 2, 6, 6), 1 / 6)
    objects = torch.tensor([[[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]]).bool()
    found = structure.among(weights, objects, torch.ones(1, 6, dtype=torch.bool))
    torch.testing.assert_close(found[0, 0], torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 0]]))
    shares = structure.targets(weights, objects)
    torch.testing.assert_close(shares[0, 0, 0], torch.tensor([1, 1, 1, 3]) / 6)
    torch.testing.assert_close(shares[0, 1, 2], torch.tensor([1, 0, 2, 3]) / 6)


def test_distances_by_hand():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [30, 40, 40, 50], [30, 40, 40, 50]]])
    found = structure.distances(boxes, torch.tensor([[60.0, 80.0]]))
    torch.testing.assert_close(found, torch.tensor([[[0, 0.5, 0.5], [0.5, 0, 0], [0.5, 0, 0]]]))


def test_one_region_alone(samples):
    lonely = cropped(samples[0], 1)
    model = models.load("untrained/ort")
    found = structure.look(model, batched(model, [lonely]), [np.ones((1, 1), dtype=bool)])
    assert (found.entropy[0] == 0).all()
    assert (found.distance[1] == 0).all()  # nothing else to look at: undefined
    np.testing.assert_allclose(found.among[0], 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["ort", "uniter", "lxmert"])
def test_what_moves_with_the_caption(name, samples):
    """Nothing in an encoder without text; in a crossing model only after the crossing."""
    turned = [so.under(sample, other) for sample, other in zip(samples[:2], samples[2:], strict=True)]
    model = models.load(f"untrained/{name}")
    moved = structure.changed(model, batched(model, samples[:2]), batched(model, turned), 2)
    if name == "ort":
        assert (moved == 0).all()
    else:
        assert moved[:, -1].min() > 0
    if name == "lxmert":
        assert (moved[:, 0] == 0).all()  # it reads the picture alone at first
    # One alone, without the padding of the batch.
    by_hand = np.abs(weights_of(model, samples[0]) - weights_of(model, turned[0])).sum(-1).mean(-1) / 2
    np.testing.assert_allclose(moved[0], by_hand, atol=1e-5)


def test_bad_pairs_of_descriptions(samples):
    model = models.load("untrained/uniter")
    with pytest.raises(ValueError, match="second: expected the pictures of first"):
        structure.changed(model, batched(model, samples), batched(model, samples[::-1]), 4)
    with pytest.raises(ValueError, match="first: expected at least one batch, got none"):
        structure.changed(model, [], [], 0)


def test_factors_of_attention(samples):
    """With the geometry weights all alike, content is everything; with no content, geometry is."""
    model = models.load("untrained/ort", seed=1)
    corpus = batched(model, samples)
    found = structure.bias_entropy(model, corpus, 4)
    looked = structure.look(model, corpus, [np.eye(36, dtype=bool)] * 4)
    np.testing.assert_allclose(maps.pooled(found["both"]), maps.pooled(looked.entropy), rtol=1e-5)
    with torch.no_grad():
        for layer in model.encoder:
            layer.attention.query.weight.zero_()
            layer.attention.query.bias.zero_()
    found = structure.bias_entropy(model, corpus, 4)
    np.testing.assert_allclose(maps.pooled(found["both"]), maps.pooled(found["geometry"]), rtol=1e-5)
    np.testing.assert_allclose(maps.pooled(found["content"]), 1, rtol=1e-5)
    flat = models.load("untrained/ort-flat")
    with pytest.raises(ValueError, match="model: expected one that adds to the scores"):
        structure.bias_entropy(flat, batched(flat, samples), 4)


def test_a_model_without_images(samples, objects):
    model = models.load("untrained/bert")
    with pytest.raises(ValueError, match="model: expected attention between regions"):
        structure.look(model, batched(model, samples), [each.regions for each in objects])
