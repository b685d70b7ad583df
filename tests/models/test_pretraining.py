"""What is asked of which pair, and each loss by its formula, in plain loops."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr

from crosslook.models import masking, pretraining
from crosslook.models.masking import special
from crosslook.models.pretraining import Objective, Pretraining, hide, losses, region_loss, some_regions

SEEING = ("uniter", "visualbert", "vl-bert", "vilbert", "lxmert")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def batch(little):
    """Twelve images with a caption of their own."""
    return little.batch(torch.arange(12), 5 * torch.arange(12) + torch.arange(12) % 5)


@pytest.fixture
def seen(monkeypatch):
    """What the masks were asked to hide, and what they hid: the real ones, watched."""
    found = {}

    def watched(name, real):
        def call(batch, *args):
            found[f"{name} of"], found[name] = batch, real(batch, *args)
            return found[name]

        monkeypatch.setattr(masking, name, call)

    watched("words", masking.words)
    watched("regions", masking.regions)
    return found


class Watched(torch.nn.Module):
    """A model whose inputs and logits are kept."""

    def __init__(self, model):
        super().__init__()
        self.model, self.kept = model, {}
        self.image_input, self.tokenize = model.image_input, model.tokenize

    def forward(self, batch):
        self.kept["inputs"] = batch
        return self.model(batch)

    def __getattr__(self, name):
        if not name.endswith("_logits"):
            return super().__getattr__(name)
        return lambda encoded: self.kept.setdefault(name, getattr(self.model, name)(encoded))


def nll(logits, wanted):
    """Minus the log of the softmax."""
    row = logits.double().tolist()
    top = max(row)
    return top + math.log(sum(math.exp(x - top) for x in row)) - row[wanted]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def strangers_of(original, swapped):
    """Pairs whose caption is not their own any more."""
    return [b for b in range(len(original)) if not torch.equal(original.ids[b], swapped.ids[b])]


def turns(inputs):
    """Which pairs keep all their regions, so that it is their words that are asked for."""
    return (inputs.features != 0).any(-1).all(1).tolist()


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("kind", ["kl", "xe"])
@pytest.mark.parametrize("name", ["uniter", "lxmert"])
def test_losses_by_hand(stirred, batch, seen, name, kind, shown):
    model = Watched(stirred(name))
    found = losses(model, batch, Objective(regions=kind, shown=shown), seeded(3))
    assert list(found) == ["words", "regions", "matching"]
    swapped, (_, hidden), (asked, _) = seen["words of"], seen["words"], seen["regions"]
    by_words = turns(model.kept["inputs"])
    strangers = strangers_of(batch, swapped)
    own = [b for b in range(12) if b not in strangers]
    assert len(strangers) == 2
    words, regions, match = (model.kept[f"{part}_logits"] for part in ("word", "region", "match"))
    wanted = mean(
        nll(words[b, t], int(batch.ids[b, t])) for b, t in hidden.nonzero().tolist() if b in own and by_words[b]
    )
    assert found["words"].item() == pytest.approx(wanted, rel=1e-4)
    each = []
    for b, r in batch.region_mask.nonzero().tolist():
        if b in own and (shown if by_words[b] else asked[b, r]):
            target = batch.class_probs[b, r].double()
            if kind == "xe":
                sure = max(target.tolist())
                each.append(sure * nll(regions[b, r], target.tolist().index(sure)))
            else:
                each.append(rel_entr(target.numpy(), regions[b, r].detach().double().softmax(0).numpy()).sum())
    assert found["regions"].item() == pytest.approx(mean(each), rel=1e-4)
    # Both answers count as much: each stranger seven times as much as each own caption.
    wrong = sum(nll(match[b], 0) * 7 for b in strangers) + sum(nll(match[b], 1) for b in own)
    assert found["matching"].item() == pytest.approx(wrong / (2 * 7 + 10), rel=1e-4)


def test_strangers_get_captions_of_other_images(stirred, batch, seen):
    every = set()
    for seed in range(12):
        losses(stirred("uniter"), batch, Objective(), seeded(seed))
        swapped = seen["words of"]
        strangers = strangers_of(batch, swapped)
        assert len(strangers) == 2
        every |= set(strangers)
        for b in strangers:
            (owner,) = [a for a in range(12) if torch.equal(batch.ids[a], swapped.ids[b])]
            assert owner != b
            for name in ("text_mask", "phrase_tokens", "phrase_mask"):
                assert torch.equal(getattr(swapped, name)[b], getattr(batch, name)[owner]), name
        for name in ("features", "boxes", "class_probs", "region_mask"):
            assert torch.equal(getattr(swapped, name), getattr(batch, name))
    assert len(every) > 8


@pytest.mark.parametrize(("n", "count"), [(1, 0), (2, 0), (8, 0), (11, 0), (12, 2)])
def test_how_many_pairs_become_strangers(stirred, little, seen, n, count):
    """One alone would have no other caption to take."""
    batch = little.batch(torch.arange(n), 5 * torch.arange(n))
    found = losses(stirred("uniter"), batch, Objective(), seeded(0))
    assert len(strangers_of(batch, seen["words of"])) == count
    assert found["matching"].isfinite()


@pytest.mark.parametrize("name", SEEING)
def test_what_is_hidden_cannot_be_seen(stirred, batch, seen, name):
    """Neither the features of regions nor the ids of words that are hidden, nor what the detector said of any."""
    model = Watched(stirred(name))
    objective = Objective(modality="both")
    wanted = losses(model, batch, objective, seeded(1))
    inputs, (ids, _), (asked, covered) = model.kept["inputs"], seen["words"], seen["regions"]
    covered = covered & ~torch.tensor(turns(inputs))[:, None]
    for b, by_words in enumerate(turns(inputs)):
        assert torch.equal(inputs.ids[b], (ids if by_words else seen["words of"].ids)[b])
    assert torch.equal(inputs.features, batch.features * ~covered[..., None])
    assert (covered & ~asked).any()  # neighbours too
    other = replace(batch, features=torch.where(covered[..., None], 9.0, batch.features))
    found = losses(stirred(name), other, objective, seeded(1))
    assert all(torch.equal(found[task], wanted[task]) for task in wanted)


def test_most_pairs_lose_words_and_the_others_regions(stirred, batch):
    """So that what is hidden can be told from the other modality. Where regions are not learnt, all lose words."""
    vocab, count = len(stirred("uniter").tokenize), 0
    for seed in range(30):
        inputs, words, regions = hide(batch, Objective(), seeded(seed), vocab)
        by_words = turns(inputs)
        assert words.any(1).tolist() == by_words
        assert regions.any(1).tolist() == [not turn for turn in by_words]
        assert torch.equal(inputs.ids[~words], batch.ids[~words])
        count += sum(by_words)
        _, words, _ = hide(batch, Objective(regions="none"), seeded(seed), vocab)
        assert words.any(1).all()
    assert 0.68 < count / (30 * 12) < 0.82


@pytest.mark.parametrize("kind", ["kl", "xe"])
def test_a_batch_in_which_nothing_of_a_kind_is_asked_for_costs_nothing(stirred, batch, kind):
    """Two pairs may both lose words, or both regions."""
    two = replace(
        batch,
        image_ids=batch.image_ids[:2],
        captions=batch.captions[:2],
        **{name: value[:2] for name, value in vars(batch).items() if isinstance(value, torch.Tensor)},
    )
    seen = set()
    for seed in range(40):
        model = Watched(stirred("uniter"))
        found = losses(model, two, Objective(regions=kind, shown=False), seeded(seed))
        by_words = sum(turns(model.kept["inputs"]))
        seen.add(by_words)
        assert (found["words"] == 0) == (by_words == 0)
        assert (found["regions"] == 0) == (by_words == 2)
        assert torch.stack(list(found.values())).isfinite().all()
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("name", [*SEEING, "bert"])
def test_text_alone_sees_nothing_of_the_image(stirred, batch, name):
    model, objective = stirred(name), Objective(modality="text")
    found = losses(model, batch, objective, seeded(2))
    assert list(found) == ["words"]
    other = replace(batch, features=batch.features.flip(0), boxes=batch.boxes.flip(0), sizes=2 * batch.sizes)
    again = losses(model, other, objective, seeded(2))
    assert again["words"].item() == pytest.approx(found["words"].item(), abs=1e-6)
    # Nor are any captions another's: all words are asked for.
    hidden = hide(batch, objective, seeded(2), len(model.tokenize))[1]
    assert hidden.any(1).all()


@pytest.mark.parametrize("name", SEEING)
def test_regions_alone_see_nothing_of_the_text(stirred, batch, name):
    """Not even how long it is."""
    model, objective = stirred(name), Objective(modality="image")
    found = losses(model, batch, objective, seeded(2))
    assert list(found) == ["regions"]
    texts = {part: getattr(batch, part).flip(0) for part in ("ids", "text_mask", "phrase_tokens", "phrase_mask")}
    again = losses(model, replace(batch, **texts), objective, seeded(2))
    assert again["regions"].item() == pytest.approx(found["regions"].item(), abs=1e-6)
    changed = replace(batch, ids=torch.where(special(batch.ids), batch.ids, batch.ids + 1))
    assert torch.equal(losses(model, changed, objective, seeded(2))["regions"], found["regions"])


def test_regions_can_be_left_out(stirred, batch):
    assert list(losses(stirred("uniter"), batch, Objective(regions="none"), seeded(0))) == ["words", "matching"]


def test_the_text_only_control_is_asked_for_words_alone(stirred, batch, seen):
    found = losses(stirred("bert"), batch, Objective(), seeded(0))
    assert list(found) == ["words"]
    assert not strangers_of(batch, seen["words of"])


def test_thresholds_and_measures_are_handed_on(stirred, batch):
    for objective in (Objective(threshold=None), Objective(threshold=0.2, measure="iot")):
        inputs, _, asked = hide(batch, objective, seeded(5), 500)
        gone = (inputs.features == 0).all(-1)
        masking.words(batch, generator := seeded(5), 500)
        some = ~torch.tensor(turns(inputs))[:, None]
        wanted = masking.regions(batch, generator, objective.threshold, objective.measure)
        assert torch.equal(asked, wanted[0] & some)
        assert torch.equal(gone, wanted[1] & some)
        assert some.any()


@settings(max_examples=40)
@given(st.integers(1, 5), st.integers(2, 6), st.integers(0, 2**31))
def test_the_divergence_of_regions(n, classes, seed):
    generator = seeded(seed)
    logits = 5 * torch.randn(n, classes, generator=generator)
    target = torch.rand(n, classes, generator=generator) * (torch.rand(n, classes, generator=generator) < 0.7)
    target[:, 0] += 0.1
    target /= target.sum(1, keepdim=True)
    p, q = target.double().numpy(), logits.double().softmax(1).numpy()
    assert region_loss(logits, target, "kl").item() == pytest.approx(rel_entr(p, q).sum(1).mean(), rel=1e-3, abs=1e-5)
    by_hand = mean(p[i].max() * nll(row, p[i].argmax()) for i, row in enumerate(logits))
    assert region_loss(logits, target, "xe").item() == pytest.approx(by_hand, rel=1e-4, abs=1e-5)


def test_the_divergence_of_a_detector_from_itself_is_0():
    logits = torch.tensor([[1.0, -2, 3]])
    assert region_loss(logits, logits.softmax(1), "kl").item() == pytest.approx(0, abs=1e-6)
    certain = torch.tensor([[0.0, 0, 1]])
    assert region_loss(logits, certain, "kl").item() == pytest.approx(nll(logits[0], 2), rel=1e-5)


@pytest.mark.parametrize("setting", ["regions", "measure", "modality"])
def test_unknown_objectives_are_refused(setting):
    with pytest.raises(ValueError, match=rf"{setting}: expected one of .*, got 'all'"):
        Objective(**{setting: "all"})


def test_an_epoch_goes_through_every_image_once_with_a_caption_of_its_own(little):
    task = Pretraining(little, little, Objective(), batch_size=5, seed=7)
    assert task.n_batches == 2  # what is left over waits for another epoch
    own = {image: {little.texts.captions[c] for c in numbers} for image, numbers in enumerate(little.captions_of)}
    every, captions = set(), set()
    for epoch in range(12):
        seen = []
        for index in range(task.n_batches):
            batch = task.batch(epoch, index)
            assert len(batch) == 5
            for image_id, caption in zip(batch.image_ids, batch.captions, strict=True):
                image = little.images.image_ids.index(image_id)
                assert caption in own[image]
                seen.append(image)
                captions.add(caption)
        assert len(set(seen)) == len(seen) == 10
        every |= set(seen)
    assert len(every) == 12
    assert len(captions) > 45  # of 60


def test_captions_of_a_batch_are_about_as_long(little):
    """Sorted by length, the longest caption of one batch is no longer than the shortest of the next."""
    task = Pretraining(little, little, Objective(), batch_size=4)
    for epoch in range(4):
        lengths = sorted(sorted(task.batch(epoch, index).text_mask.sum(1).tolist()) for index in range(3))
        every = [length for batch in lengths for length in batch]
        assert every == sorted(every)
    order = [[int(task.batch(epoch, index).text_mask.sum()) for index in range(3)] for epoch in range(8)]
    assert any(sums != sorted(sums) for sums in order)  # but short ones do not come first


def test_a_step_shows_some_regions_of_each_image(little):
    task = Pretraining(little, little, Objective(), batch_size=5)
    batch = task.batch(0, 0)
    assert batch.features.shape[1] == pretraining.REGIONS < little.images.features.shape[1]
    for row, name in enumerate(batch.image_ids):
        image = little.images.image_ids.index(name)
        whole = torch.cat([little.images.boxes, little.images.features], -1)[image]
        drawn = torch.cat([batch.boxes, batch.features], -1)[row]
        places = [-1]
        for each in drawn:  # in their order: each behind the one before, though two may be alike
            places.append(next(p for p in range(places[-1] + 1, 36) if torch.equal(whole[p], each)))
        places = places[1:]
        for field in ("class_probs", "region_mask"):
            assert torch.equal(getattr(batch, field)[row], getattr(little.images, field)[image, places])
    assert not torch.equal(task.batch(0, 0).boxes, task.batch(1, 0).boxes)


def test_absent_regions_are_drawn_last(batch):
    """And links are those of the regions that are kept; few enough regions are all kept."""
    some = replace(
        batch,
        region_mask=torch.arange(36) < torch.tensor([3, 12, 20, 36] * 3)[:, None],
        links=torch.arange(36).remainder(2).bool().expand(12, batch.phrase_mask.shape[1], 36),
    )
    for seed in range(5):
        drawn = some_regions(some, 12, seeded(seed))
        assert drawn.region_mask.sum(1).tolist() == [3, 12, 12, 12] * 3
        for row in range(12):
            places = [int((some.boxes[row] == box).all(-1).nonzero()[0]) for box in drawn.boxes[row]]
            assert torch.equal(drawn.links[row], some.links[row][:, places])
        every = some_regions(some, 50, seeded(seed))
        assert torch.equal(every.boxes, some.boxes)
        assert torch.equal(every.features, some.features)


def test_fewer_images_than_a_batch_takes_are_an_error(little):
    assert Pretraining(little, little, Objective(), batch_size=12).n_batches == 1
    with pytest.raises(ValueError, match="train: expected at least a batch of 13, got 12"):
        Pretraining(little, little, Objective(), batch_size=13)


def test_which_caption_is_drawn_anew_in_every_batch(little):
    task = Pretraining(little, little, Objective(), batch_size=5)

    def drawn(epoch, index):
        batch = task.batch(epoch, index)
        return [little.texts.captions.index(caption) % 5 for caption in batch.captions]

    assert sum(drawn(epoch, 0) != drawn(epoch, 1) for epoch in range(20)) > 15


def test_batches_follow_from_seed_epoch_and_index(little):
    def drawn(seed, epoch, index):
        found = Pretraining(little, little, Objective(), batch_size=5, seed=seed).batch(epoch, index)
        return found.image_ids, found.captions

    assert drawn(1, 2, 1) == drawn(1, 2, 1)
    assert len({drawn(*place) for place in [(1, 2, 1), (2, 2, 1), (1, 3, 1), (1, 2, 0)]}) == 4


def test_validation_is_the_mean_over_images_in_bits(stirred, little, monkeypatch):
    task = Pretraining(little, little, Objective(), batch_size=5)
    model, calls, real = stirred("uniter"), [], pretraining.losses

    def watched(model, batch, objective, generator):
        assert objective == replace(task.objective, shown=False)  # only what is hidden
        assert not torch.is_grad_enabled()
        found = real(model, batch, objective, generator)
        calls.append((batch, found))
        return found

    monkeypatch.setattr(pretraining, "losses", watched)
    found = task.validate(model)
    images = [image for batch, _ in calls for image in batch.image_ids]
    assert images == list(little.images.image_ids)  # the last two as well
    captions = [caption for batch, _ in calls for caption in batch.captions]
    assert captions == [little.texts.captions[numbers[0]] for numbers in little.captions_of]
    for name in ("words", "regions", "matching"):
        wanted = sum(len(batch) * losses[name].item() for batch, losses in calls) / 12 / math.log(2)
        assert found[name] == pytest.approx(wanted, rel=1e-5)
    assert task.validate(model) == found
