"""Silencing heads: against doing the attention by hand without them."""

import numpy as np
import pytest
import torch

from crosslook import data, models
from crosslook.capture import capture
from crosslook.causal import module_names, silence
from crosslook.data.sample import collate


@pytest.fixture(scope="module")
def batch():
    samples = data.load("emoji:val", regions="detector")[:3]
    return collate(samples, models.load("untrained/uniter").tokenize)


def logits(model, batch):
    with torch.no_grad():
        return model.word_logits(model(batch))


@pytest.mark.parametrize("name", ["uniter", "lxmert"])
def test_a_silent_head_adds_nothing(name, batch):
    model = models.load(f"untrained/{name}", seed=1)
    place = module_names(model, batch, "joint" if name == "uniter" else "text_to_image")[0]
    heads = model.get_submodule(place)
    given = {}
    hook = heads.dense.register_forward_hook(lambda _, inputs, output: given.update(x=inputs[0], y=output))
    before = logits(model, batch)
    whole = given["x"].unflatten(-1, (8, -1))
    with silence(model, {place: [2, 5]}):
        assert not torch.equal(logits(model, batch), before)
        weight = heads.dense.weight.unflatten(1, (8, -1))
        rest = [head for head in range(8) if head not in (2, 5)]
        by_hand = sum(whole[..., head, :] @ weight[:, head].T for head in rest) + heads.dense.bias
        # Of a module that runs twice the last call is kept: its input has changed by then.
        if name == "uniter":
            torch.testing.assert_close(given["y"], by_hand, atol=1e-5, rtol=1e-4)
    hook.remove()
    assert torch.equal(logits(model, batch), before)


def test_all_heads_silent_is_a_bias_alone(batch):
    model = models.load("untrained/uniter", seed=1)
    names = module_names(model, batch, "joint")
    seen = []
    with silence(model, dict.fromkeys(names, range(8))):
        for name in names:
            module = model.get_submodule(name)
            module.register_forward_hook(
                lambda module, _, out: seen.append((out - module.dense.bias).abs().max().item())
            )
        logits(model, batch)
    assert len(seen) == 6
    assert max(seen) < 1e-6


def test_nothing_silent_changes_nothing_and_capture_sees_the_same(batch):
    model = models.load("untrained/uniter", seed=1)
    names = module_names(model, batch, "joint")
    with silence(model, {name: [] for name in names}), capture(model) as tape, torch.no_grad():
        found = model.word_logits(model(batch))
    assert torch.equal(found, logits(model, batch))
    assert [site.name for site in tape.sites] == names


def test_it_ends_with_an_exception_too(batch):
    model = models.load("untrained/uniter", seed=1)
    before = logits(model, batch)
    with pytest.raises(RuntimeError, match="stop"), silence(model, {"encoder.layers.0.text.heads": [0]}):
        raise RuntimeError("stop")
    assert torch.equal(logits(model, batch), before)


def test_errors(batch):
    model = models.load("untrained/uniter")
    for heads, message in (
        ({"nowhere": [0]}, "expected attention modules with heads and a linear `dense`, got 'nowhere'"),
        ({"encoder": [0]}, "got 'encoder'"),
        ({"encoder.layers.0.text.heads": [8]}, "expected 0 to 7 in encoder.layers.0.text.heads, got 8"),
    ):
        with pytest.raises(ValueError, match=message), silence(model, heads):
            pass
    with pytest.raises(ValueError, match="kind: expected one that the model has, got 'text_to_image'"):
        module_names(model, batch, "text_to_image")


def test_losses_by_phrase_against_a_loop():
    from crosslook.causal import losses_by_phrase

    model = models.load("untrained/ort", seed=2)
    samples = data.load("emoji:val", text="paragraph")[:3]
    batch = collate(samples, model.tokenize)
    names = module_names(model, batch, "text_to_image")
    assert len(names) == 6
    plain, muted = (losses_by_phrase(model, [batch], silent, names) for silent in ([], [(0, 1), (5, 7), (0, 3)]))
    assert not np.allclose(plain[:, 0], muted[:, 0])
    np.testing.assert_array_equal(plain[:, [1, 3]], muted[:, [1, 3]])
    with torch.no_grad():
        log_p = model.word_logits(model(batch)).log_softmax(-1) / np.log(2)
    for row, sample in enumerate(samples):
        last = set()
        for place, links in enumerate(sample.links):
            inside = torch.nonzero(batch.phrase_tokens[row, place]).flatten().tolist()
            if links and inside:
                last.add(inside[-1])
        words = range(1, int(batch.text_mask[row].sum()))
        loss = {t: -log_p[row, t - 1, batch.ids[row, t]].item() for t in words}
        expected = [sum(loss[t] for t in last), len(last)]
        expected += [sum(loss[t] for t in words if t not in last), len(words) - len(last)]
        np.testing.assert_allclose(plain[row], expected, rtol=1e-4)
