"""Losses of ablation against loops over single examples, and against models of which it is known what they see."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from crosslook import ablation, models
from crosslook import ablation_conditions as conditions
from crosslook.ablation_examples import cases, examples
from crosslook.data.sample import Batch, Phrase, Regions, Sample, collate
from crosslook.models import tokens
from crosslook.models.architectures import SIDE_BY_SIDE, Config, lxmert, single_stream, vilbert
from crosslook.models.protocol import Encoded
from crosslook.models.vision_language import build

WORDS = tokens.emoji()
WIDTH, CLASSES = 16, 5
CAPTIONS = ("a man and a red guitar", "a woman", "the boy with a dog and a big cat on a street")


def sample(image: str, caption: str, n_regions: int, rng: np.random.Generator) -> Sample:
    def boxes(n):
        low = rng.uniform(0, 60, (n, 2))
        return np.concatenate([low, low + rng.uniform(10, 39, (n, 2))], 1).astype(np.float32)

    middle = caption.find(" and ")
    spans = [(0, len(caption))] if middle < 0 else [(0, middle), (middle + 5, len(caption))]
    phrases = tuple(Phrase(a, b, caption[a:b], ("people",), str(n), boxes(1 + n)) for n, (a, b) in enumerate(spans))
    found = Regions(
        boxes(n_regions),
        features=rng.normal(size=(n_regions, WIDTH)).astype(np.float32),
        class_probs=rng.dirichlet(np.ones(CLASSES), n_regions).astype(np.float32),
    )
    return Sample(image, 0, caption, phrases, found, (frozenset(),) * len(phrases), 100, 100)


@pytest.fixture(scope="module")
def some():
    """Examples of three images with 12, 7 and 9 regions; every phrase has one that covers it."""
    rng = np.random.default_rng(3)
    samples = [sample(str(i), caption, n, rng) for i, (caption, n) in enumerate(zip(CAPTIONS, (12, 7, 9), strict=True))]
    for one in samples:
        for place, phrase in enumerate(one.phrases):
            one.regions.boxes[place] = phrase.boxes[0]
    return cases(samples, examples(samples), WORDS)


SUBLAYERS = {
    "uniter": single_stream(2),
    "visualbert": single_stream(2),
    "lxmert": lxmert(1, 1, 1),
    "vilbert": vilbert(1, 1),
    "vl-bert": single_stream(2),
}


def tiny(name: str, sublayers=None, seed: int = 0):
    only = {"coordinates": WIDTH // 8, "types": 3} if name == "vl-bert" else {}
    sizes = {"width": 16, "heads": 2, "feed_forward": 32, "pooled": 8}
    config = Config(name, sublayers or SUBLAYERS[name], len(WORDS), WIDTH, CLASSES, **sizes, **only)
    model = build(config, WORDS, seed)
    if name == "vl-bert":  # which sees nothing of the image at first
        for norm in (model.embeddings.text_visual_norm, model.embeddings.region_visual_norm):
            torch.nn.init.ones_(norm.weight)
    return model


def alone(found, place: int) -> Batch:
    """One row without the padding that its batch gave it."""
    batch = conditions.take(found.batch, torch.tensor([place]))
    n_text, n_regions = int(batch.text_mask.sum()), int(batch.region_mask.sum())
    cut = {name: getattr(batch, name)[:, :n_text] for name in ("ids", "text_mask")}
    cut |= {name: getattr(batch, name)[:, :n_regions] for name in ("boxes", "region_mask", "features", "class_probs")}
    return replace(batch, **cut, phrase_tokens=batch.phrase_tokens[..., :n_text], links=batch.links[..., :n_regions])


@pytest.mark.parametrize("name", [*SUBLAYERS])
def test_word_losses_are_those_of_a_loop(some, name):
    model, filler = tiny(name), torch.linspace(-1, 1, WIDTH)
    found = ablation.vision_for_language(model, some, filler, (0.3, 0.5))
    assert list(found) == ["none", "object 0.3", "object 0.5", "all"]
    for place in range(len(some)):
        for kind, threshold in {"none": 2, "object 0.3": 0.3, "object 0.5": 0.5, "all": -1}.items():
            batch = alone(some, place)
            features, ids = batch.features.clone(), batch.ids.clone()
            for region in range(features.shape[1]):
                if some.covered[place, region] > threshold:
                    features[0, region] = filler
            asked = [t for t in range(ids.shape[1]) if some.phrase[place, t]]
            ids[0, asked] = tokens.MASK
            with torch.no_grad():
                probs = model.word_logits(model(replace(batch, ids=ids, features=features)))[0].softmax(-1)
            bits = [-torch.log2(probs[t, batch.ids[0, t]]).item() for t in asked]
            assert found[kind][place].item() == pytest.approx(sum(bits) / len(bits), abs=1e-4)


@pytest.mark.parametrize("name", [*SUBLAYERS])
def test_region_losses_are_those_of_a_loop(some, name):
    from scipy.stats import entropy

    model = tiny(name)
    found = ablation.language_for_vision(model, some)
    assert list(found) == [f"{loss} {text}" for loss in ("kl", "xe") for text in ("none", "phrase", "all")]
    for place in range(len(some)):
        target = max(
            (r for r in range(some.covered.shape[1]) if some.covered[place, r] > 0.5),
            key=lambda r: some.overlap[place, r],
        )
        for kind in ("none", "phrase", "all"):
            batch = alone(some, place)
            features, ids = batch.features.clone(), batch.ids.clone()
            features[0, some.hits()[place, : features.shape[1]]] = 0
            last = ids.shape[1] - 1
            gone = {"none": [], "phrase": some.phrase[place].nonzero().flatten().tolist(), "all": range(1, last)}
            ids[0, list(gone[kind])] = tokens.MASK
            with torch.no_grad():
                said = model.region_logits(model(replace(batch, ids=ids, features=features)))[0, target].softmax(-1)
            truth = batch.class_probs[0, target].numpy()
            assert found[f"kl {kind}"][place].item() == pytest.approx(entropy(truth, said.numpy(), base=2), abs=1e-4)
            right = -np.log2(said[truth.argmax()].item())
            assert found[f"xe {kind}"][place].item() == pytest.approx(right, abs=1e-4)


def test_inputs_are_left_untouched(some):
    tensors = {entry.name: getattr(some.batch, entry.name) for entry in fields(Batch)}
    tensors |= {name: getattr(some, name) for name in ("phrase", "words", "covered", "overlap")}
    tensors = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    filler = conditions.mean_feature([some])
    kept = filler.clone()
    model = tiny("uniter")
    ablation.vision_for_language(model, some, filler, (0, 0.5))
    ablation.language_for_vision(model, some)
    conditions.strangers(some.batch)
    conditions.unseen(some.batch)
    for name, tensor in before.items():
        assert torch.equal(tensor, tensors[name]), name
    assert torch.equal(filler, kept)


def test_a_model_without_an_image_does_not_notice_any_ablation(some):
    model = models.load("untrained/bert")
    found = ablation.vision_for_language(model, some, torch.zeros(WIDTH), (0, 0.5))
    # To rounding: conditions go through the model together, and a sum's order may follow its place in the batch.
    for losses in found.values():
        torch.testing.assert_close(losses, found["none"], atol=1e-5, rtol=0)


def test_a_model_whose_words_never_look_at_the_image_does_not_notice_either(some):
    blind = tiny("lxmert", SIDE_BY_SIDE * 2)
    found = ablation.vision_for_language(blind, some, torch.zeros(WIDTH), (0, 0.5))
    # To rounding: conditions go through the model together, and a sum's order may follow its place in the batch.
    for losses in found.values():
        torch.testing.assert_close(losses, found["none"], atol=1e-5, rtol=0)
    found = ablation.language_for_vision(blind, some)
    for kind in ("phrase", "all"):
        torch.testing.assert_close(found[f"kl {kind}"], found["kl none"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["uniter", "vl-bert", "lxmert", "vilbert"])
def test_of_all_ablated_features_nothing_is_left_but_where_the_boxes_were(some, name):
    model, filler = tiny(name), torch.linspace(-1, 1, WIDTH)
    other = replace(some, batch=replace(some.batch, features=torch.randn_like(some.batch.features)))
    moved = replace(some, batch=replace(some.batch, boxes=some.batch.boxes.flip(1)))
    ours, same, elsewhere = (ablation.vision_for_language(model, each, filler)["all"] for each in (some, other, moved))
    torch.testing.assert_close(ours, same, rtol=0, atol=0)
    assert (ours - elsewhere).abs().max() > 1e-3
    assert (ours - ablation.word_bits(model, some, {"none": some.batch})["none"]).abs().max() > 1e-3


def test_what_is_unseen_does_not_even_leave_its_boxes(some):
    model = tiny("uniter")
    bare = replace(
        some.batch,
        **{name: getattr(some.batch, name)[:, :0] for name in ("boxes", "region_mask", "features", "class_probs")},
        links=some.batch.links[..., :0],
    )
    moved = replace(some.batch, boxes=some.batch.boxes.flip(1))
    parts = {"unseen": conditions.unseen(some.batch), "moved": conditions.unseen(moved)}
    found = ablation.word_bits(model, some, parts) | ablation.word_bits(model, some, {"bare": bare})
    torch.testing.assert_close(found["unseen"], found["moved"], rtol=0, atol=0)
    torch.testing.assert_close(found["unseen"], found["bare"], rtol=0, atol=1e-5)


def test_thresholds_from_everything_to_nothing(some):
    model, filler = tiny("uniter"), torch.linspace(-1, 1, WIDTH)
    found = ablation.vision_for_language(model, some, filler, (-1, 1))
    torch.testing.assert_close(found["object -1"], found["all"])
    torch.testing.assert_close(found["object 1"], found["none"])


def test_where_all_boxes_overlap_a_threshold_of_0_takes_all(some):
    batch = replace(some.batch, boxes=some.batch.boxes / 3 + 30)
    crowded = replace(some, batch=batch, covered=torch.where(batch.region_mask, 0.01, -1.0))
    model, filler = tiny("uniter"), torch.linspace(-1, 1, WIDTH)
    found = ablation.vision_for_language(model, crowded, filler, (0, 0.5))
    torch.testing.assert_close(found["object 0"], found["all"])
    torch.testing.assert_close(found["object 0.5"], found["none"])


def test_the_row_for_the_whole_image_is_the_mean_of_what_is_left(some):
    filler, model = torch.linspace(-1, 1, WIDTH), tiny("uniter")
    ablated = conditions.without_regions(some.batch, some.hits(), filler)
    features, places, _ = model.rows(ablated)
    for place, present in enumerate(some.batch.region_mask):
        rows = torch.stack(
            [filler if some.covered[place, r] > 0.5 else some.batch.features[place, r] for r in present.nonzero()[:, 0]]
        )
        torch.testing.assert_close(features[place, 0], rows.mean(0))
        torch.testing.assert_close(features[place, 1:][present], rows)
    assert torch.equal(places[:, 1:], model.rows(some.batch)[1][:, 1:])  # boxes stay


def test_the_row_for_the_whole_image_forgets_a_hidden_region_too(some, monkeypatch):
    """In published runs it stays the mean of all regions, so that the hidden one is still part of it."""
    model, given = tiny("uniter"), []
    forward = model.embeddings.forward
    monkeypatch.setattr(model.embeddings, "forward", lambda *inputs: given.append(inputs[2]) or forward(*inputs))
    ablation.region_log_probs(model, some, {"none": some.batch})
    for place, present in enumerate(some.batch.region_mask):
        rows = [
            torch.zeros(WIDTH) if some.covered[place, r] > 0.5 else some.batch.features[place, r]
            for r in present.nonzero()[:, 0]
        ]
        torch.testing.assert_close(given[0][place, 0], torch.stack(rows).mean(0))


def test_the_mean_feature_counts_an_image_once_for_each_phrase(some):
    each = []
    for place, present in enumerate(some.batch.region_mask):
        rows = some.batch.features[place, present]
        # As published: the whole image's row, their mean, is one of the rows.
        each.append((rows.sum(0) + rows.mean(0)) / (len(rows) + 1))
    expected = torch.stack(each).mean(0)
    torch.testing.assert_close(conditions.mean_feature([some]), expected, rtol=0, atol=1e-6)
    halves = [replace(some, batch=conditions.take(some.batch, rows)) for rows in torch.arange(len(some)).split(2)]
    torch.testing.assert_close(conditions.mean_feature(halves), expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="parts: expected an example with regions"):
        conditions.mean_feature([])
    with pytest.raises(ValueError, match="parts: expected region features, got none"):
        conditions.mean_feature([replace(some, batch=replace(some.batch, features=None))])


def test_strangers_come_from_other_images(some):
    drawn = conditions.strangers(some.batch, seed=4)
    for place, row in enumerate(drawn):
        for feature in row:
            owners = (some.batch.features == feature).all(-1) & some.batch.region_mask
            images = {some.batch.image_ids[i] for i in owners.any(1).nonzero()[:, 0].tolist()}
            assert images
            assert some.batch.image_ids[place] not in images
    assert torch.equal(drawn, conditions.strangers(some.batch, seed=4))
    assert not torch.equal(drawn, conditions.strangers(some.batch, seed=5))
    with pytest.raises(ValueError, match="at least two images"):
        conditions.strangers(conditions.take(some.batch, torch.tensor([0, 0])))


def test_mismatched_captions_keep_their_words_and_get_another_image(some):
    found = conditions.mismatched(some.batch)
    assert torch.equal(found.ids, some.batch.ids)
    assert found.captions == some.batch.captions
    for place, image in enumerate(found.image_ids):
        assert image != some.batch.image_ids[place]
        source = some.batch.image_ids.index(image)
        assert torch.equal(found.features[place], some.batch.features[source])
        assert torch.equal(found.boxes[place], some.batch.boxes[source])
        assert torch.equal(found.region_mask[place], some.batch.region_mask[source])
    with pytest.raises(ValueError, match="batch: expected at least two images, got one, 0"):
        conditions.mismatched(conditions.take(some.batch, torch.tensor([0, 0])))


class Reader(nn.Module):
    """Says of every masked word what the brightest region has in its features, and of every region its own class.

    Features hold the id of a word at 0 and how bright the region is at 1; so it is known what it looks at.
    """

    image_input = "regions"
    tokenize = WORDS

    def forward(self, batch: Batch) -> Encoded:
        bright = batch.features[..., 1].masked_fill(~batch.region_mask, -1).argmax(1)
        word = batch.features[torch.arange(len(batch)), bright, 0].long()
        states = word[:, None, None].float().expand(-1, batch.ids.shape[1], 1)
        return Encoded((states,), (), batch.text_mask, batch.region_mask)

    def word_logits(self, encoded: Encoded) -> torch.Tensor:
        return 20.0 * nn.functional.one_hot(encoded.text_states[0][..., 0].long(), len(WORDS))


def test_a_model_that_reads_words_off_a_region_needs_that_region():
    man = WORDS("man")[0][1]
    boxes = np.array([[0, 0, 9, 9], [50, 50, 59, 59]], dtype=np.float32)
    features = np.array([[man, 2], [tokens.SEP, 1]], dtype=np.float32)
    one = Sample(
        "1", 0, "man", (Phrase(0, 3, "man", ("people",), "1", boxes[:1]),), Regions(boxes, features=features),
        (frozenset([0]),), 100, 100,
    )  # fmt: skip
    found = cases([one], examples([one]), WORDS)
    filler = torch.tensor([float(tokens.UNK), 0.0])
    away = conditions.without_regions(found.batch, ~found.hits(), filler)
    losses = ablation.vision_for_language(Reader(), found, filler) | ablation.word_bits(
        Reader(), found, {"background": away}
    )
    assert losses["none"].item() == pytest.approx(0, abs=1e-3)
    assert losses["background"].item() == pytest.approx(0, abs=1e-3)
    assert losses["object 0.5"].item() > 20
    assert losses["all"].item() > 20


@settings(max_examples=15)
@given(st.integers(1, 30))
def test_rows_at_a_time_change_nothing(rows):
    rng = np.random.default_rng(0)
    samples = [sample(str(i), "a man and a dog", 4, rng) for i in range(2)]
    found, model = cases(samples, examples(samples), WORDS), tiny("uniter")
    whole = ablation.vision_for_language(model, found, torch.zeros(WIDTH))
    before = ablation.ROWS
    try:
        ablation.ROWS = rows
        parts = ablation.vision_for_language(model, found, torch.zeros(WIDTH))
    finally:
        ablation.ROWS = before
    for name, losses in whole.items():
        torch.testing.assert_close(parts[name], losses, rtol=0, atol=1e-5)


def test_gold_labels_where_there_are_some(some):
    gold = torch.tensor([2, -1, 0, 4, -1])
    found = ablation.language_for_vision(tiny("uniter"), some, gold=gold)
    said = ablation.region_log_probs(tiny("uniter"), some, {"none": some.batch})["none"]
    assert found["gold none"].isnan().tolist() == [False, True, False, False, True]
    assert found["gold none"][3].item() == pytest.approx(-said[3, 4].item() / np.log(2), abs=1e-5)


def test_a_loss_that_nobody_can_have_is_nan(some):
    model = tiny("uniter")
    nowhere = replace(some, covered=torch.full_like(some.covered, 0.2))
    assert ablation.language_for_vision(model, nowhere)["kl none"].isnan().all()
    wordless = replace(some, phrase=torch.zeros_like(some.phrase))
    assert ablation.word_bits(model, wordless, {"none": some.batch})["none"].isnan().all()
    said = torch.randn(2, 3).log_softmax(-1)
    assert ablation.xe_bits(said, torch.tensor([-1, 2])).isnan().tolist() == [True, False]


def test_divergence_of_certain_and_of_equal_distributions():
    said = torch.tensor([[0.5, 0.25, 0.25]]).log()
    assert ablation.kl_bits(said, torch.tensor([[0.0, 1.0, 0.0]])).item() == pytest.approx(2)
    assert ablation.kl_bits(said, said.exp()).item() == pytest.approx(0, abs=1e-6)
    assert ablation.xe_bits(said, torch.tensor([1])).item() == pytest.approx(2)


def test_the_id_of_mask():
    assert conditions.mask_id(tiny("uniter")) == tokens.MASK
    other = nn.Module()
    other.tokenize = lambda caption: ([101, 103, 102], [(0, 0), (0, 6), (0, 0)])
    assert conditions.mask_id(other) == 103
    other.tokenize = lambda caption: ([101, 5, 6, 7, 102], [(0, 0)] * 5)
    with pytest.raises(ValueError, match=r"knows \[MASK\], got Module"):
        conditions.mask_id(other)


def test_what_cannot_be_ablated_is_said(some):
    model = tiny("uniter")
    with pytest.raises(ValueError, match=r"conditions\['short'\]: expected 5 rows"):
        ablation.word_bits(model, some, {"short": conditions.take(some.batch, torch.tensor([0]))})
    with pytest.raises(ValueError, match="filler: expected features of width 16, got 3"):
        conditions.without_regions(some.batch, some.hits(), torch.zeros(3))
    with pytest.raises(ValueError, match="batch: expected region features, got none"):
        conditions.without_regions(replace(some.batch, features=None), some.hits(), torch.zeros(WIDTH))
    with pytest.raises(ValueError, match="region_logits"):
        ablation.language_for_vision(models.load("untrained/bert"), some)
    with pytest.raises(ValueError, match="class distributions or names"):
        ablation.language_for_vision(model, replace(some, batch=replace(some.batch, class_probs=None)))


def test_rows_of_a_batch_as_often_as_asked(some):
    found = conditions.take(some.batch, torch.tensor([4, 0, 4]))
    assert found.image_ids == tuple(some.batch.image_ids[i] for i in (4, 0, 4))
    assert torch.equal(found.features[0], found.features[2])
    assert torch.equal(found.ids[1], some.batch.ids[0])
    bare = collate([replace(sample("1", "a man", 2, np.random.default_rng(0)), phrases=(), links=())])
    assert conditions.take(bare, torch.tensor([0, 0])).ids is None


def test_a_corpus_goes_through_part_by_part(some):
    parts = [some, some]
    found = ablation.collect(parts, lambda part: {"covered": part.covered[:, 0]})
    np.testing.assert_array_equal(found["covered"], np.tile(some.covered[:, 0].double().numpy(), 2))
