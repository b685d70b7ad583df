"""What the captioner learns from: each word given those before it, and nothing of padding."""

from dataclasses import replace
from math import log2

import pytest
import torch

from crosslook.data.emoji import dataset, records
from crosslook.data.emoji.regions import detector_regions
from crosslook.models import ort, tokens, training
from crosslook.models.beam import generate
from crosslook.models.captioner_task import Captioning, next_word_losses
from crosslook.models.corpus import Corpus


@pytest.fixture(scope="module")
def paragraphs():
    """The paragraphs of ten val scenes, as a corpus."""
    samples = dataset.from_records(records.read("val")[:10], "val", detector_regions("val"), "paragraph")
    return Corpus(samples, tokens.emoji())


def small(seed=0, **changes):
    config = ort.Config(
        vocab=len(tokens.emoji()), **({"width": 32, "heads": 4, "layers": 2, "feed_forward": 48} | changes)
    )
    return ort.build(config, tokens.emoji(), seed)


@pytest.fixture
def task(paragraphs):
    return Captioning(paragraphs, paragraphs, batch_size=4, seed=3)


def test_losses_are_of_the_next_word(task):
    """Against a loop over beginnings: of each, the model sees nothing more."""
    model, batch = small(), task.batch(0, 0)
    expected = []
    with torch.no_grad():
        for row in range(2):
            there = int(batch.text_mask[row].sum())
            for place in range(1, there):
                begun = replace(
                    batch, ids=batch.ids[:, :place], text_mask=batch.text_mask[:, :place], phrase_tokens=None
                )
                steps = model.word_logits(model(begun))[row, -1].log_softmax(-1)
                expected.append(-steps[batch.ids[row, place]])
        found = next_word_losses(model, batch)
    assert found.shape == (4, batch.ids.shape[1] - 1)
    torch.testing.assert_close(found[:2][batch.text_mask[:2, 1:]], torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_the_mean_is_over_words_that_are_there(task):
    model, batch = small(), task.batch(0, 0)
    lengths = batch.text_mask.sum(1)
    assert len(set(lengths.tolist())) > 1
    with torch.no_grad():
        found = task.losses(model, batch, torch.Generator())
        each = next_word_losses(model, batch)
    summed = sum(each[row, : lengths[row] - 1].sum() for row in range(4))
    assert list(found) == ["words"]
    torch.testing.assert_close(found["words"], summed / (lengths - 1).sum())


def test_validation_is_in_bits_a_word(task):
    """A model that knows nothing needs the log of the vocabulary; any other, what its losses say."""
    model = small()
    found = task.validate(model)["words"]
    seen = {}
    for epoch in range(20):  # until each image was drawn
        batch = task.batch(epoch, 0)
        with torch.no_grad():
            each = next_word_losses(model, batch)
        for name, row, there in zip(batch.image_ids, each, batch.text_mask[:, 1:], strict=True):
            seen[name] = (float(row[there].sum()), int(there.sum()))
    assert len(seen) == 10
    total, words = (sum(part) for part in zip(*seen.values(), strict=True))
    assert found == pytest.approx(total / words / torch.log(torch.tensor(2.0)).item(), rel=1e-4)
    with torch.no_grad():
        model.next_word.weight.zero_()
        model.next_word.bias.zero_()
    assert task.validate(model)["words"] == pytest.approx(log2(len(tokens.emoji())), rel=1e-5)


def test_an_epoch_sees_each_paragraph_once(task):
    assert task.n_batches == 2  # eight of ten; the last two would be a smaller batch
    drawn = [task.batch(1, index).image_ids for index in range(2)]
    assert len({name for names in drawn for name in names}) == 8
    assert [task.batch(1, index).image_ids for index in range(2)] == drawn
    assert [task.batch(2, index).image_ids for index in range(2)] != drawn


def test_order_follows_from_the_seed(paragraphs):
    first, again, other = (Captioning(paragraphs, paragraphs, batch_size=4, seed=seed) for seed in (1, 1, 2))
    assert first.batch(0, 0).image_ids == again.batch(0, 0).image_ids != other.batch(0, 0).image_ids


def test_images_have_their_own_paragraph(task):
    told = {record["id"]: record["paragraph"] for record in records.read("val")[:10]}
    batch = task.batch(0, 1)
    for name, caption, ids in zip(batch.image_ids, batch.captions, batch.ids, strict=True):
        assert caption.count(" .") == len(told[name])
        assert tokens.emoji().decode(ids) == " ".join(word for word, _ in tokens.pieces(caption))


def test_a_model_learns_to_say_what_it_saw(paragraphs, tmp_path):
    """Two pictures by heart: each is told its own paragraph again, word by word."""
    two = Captioning(paragraphs, paragraphs, batch_size=2)
    two.n_batches = 12
    two.batch = lambda epoch, index: paragraphs.batch(torch.arange(2), torch.arange(2))
    model = small(dropout=0.0, width=48, layers=1)
    log = training.fit(model, two, tmp_path, epochs=8, lr=4e-3)
    assert log[-1]["train"]["words"] < 0.1 < log[0]["train"]["words"]
    batch = paragraphs.batch(torch.arange(2), torch.arange(2))
    found = generate(model, batch, beam=2, length=80)
    assert [tokens.emoji().decode(row) for row in found] == [tokens.emoji().decode(row) for row in batch.ids]
