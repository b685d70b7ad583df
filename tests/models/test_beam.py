"""Beam search against all texts there are, against a slow search in plain Python, and by hand."""

from dataclasses import replace
from functools import cache
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook.data.sample import collate
from crosslook.models import ort, tokens
from crosslook.models.beam import generate
from crosslook.models.tokens import CLS, MASK, PAD, SEP, SPECIAL, UNK

VOCAB = (*SPECIAL, "a", "b")
WRITTEN = (UNK, SEP, 5, 6)


@cache
def writer(seed):
    """A model of two words that likes some continuations much more than others."""
    config = ort.Config(vocab=len(VOCAB), width=8, heads=2, layers=1, feed_forward=8, length=12)
    model = ort.build(config, tokens.Words(VOCAB))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.7 * torch.randn(parameter.shape, generator=generator)
    return model


NUMBERS = range(0, 25, 5)


@pytest.fixture(scope="module")
def images(few):
    """Five images without captions."""
    return collate([few[number] for number in NUMBERS])


@pytest.fixture(scope="module")
def each(few):
    """The same, one by one."""
    return [collate([replace(few[number], phrases=(), links=())]) for number in NUMBERS]


@torch.no_grad()
def log_probabilities(model, image, ids):
    """Of all next tokens after each token of a text, `(text, vocab)`, computed for this one image and text alone."""
    one = replace(image, ids=torch.tensor([ids]), text_mask=torch.ones(1, len(ids), dtype=torch.bool))
    return model.word_logits(model(one))[0].log_softmax(-1).tolist()


def score(model, image, ids):
    steps = log_probabilities(model, image, ids)
    return sum(steps[place][word] for place, word in enumerate(ids[1:]))


def search(model, image, beam, length):
    """Beam search on lists, to the end: no search stops before all texts have."""
    kept = [(0.0, [CLS])]
    for _ in range(length - 1):
        found = []
        for total, ids in kept:
            if ids[-1] == SEP:
                found.append((total, ids))
                continue
            steps = log_probabilities(model, image, ids)[-1]
            found += [(total + steps[word], [*ids, word]) for word in WRITTEN]
        kept = sorted(found, key=lambda pair: -pair[0])[:beam]
    return kept[0]


def unpadded(row):
    return [token for token in row.tolist() if token != PAD]


def all_texts(length):
    """Every text that may be written with at most `length` tokens: ended, or broken off."""
    for n in range(length - 1):
        for words in product((UNK, 5, 6), repeat=n):
            yield [CLS, *words, SEP]
    for words in product((UNK, 5, 6), repeat=length - 1):
        yield [CLS, *words]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_wide_beam_finds_the_best_of_all_texts(images, each, seed):
    model, length = writer(seed), 4
    texts = list(all_texts(length))
    found = generate(model, images, beam=len(texts), length=length)
    for row in range(2):
        best = max(texts, key=lambda ids: score(model, each[row], ids))
        assert unpadded(found[row]) == best


@settings(max_examples=8)
@given(seed=st.integers(0, 50), beam=st.integers(1, 4), length=st.integers(2, 7))
def test_as_the_slow_search(images, each, seed, beam, length):
    model = writer(seed)
    found = generate(model, images, beam, length)
    for row in (0, 3):
        total, ids = search(model, each[row], beam, length)
        assert score(model, each[row], unpadded(found[row])) == pytest.approx(total, abs=1e-4)
        assert unpadded(found[row]) == ids


def test_the_search_is_worth_something(images, each):
    """So that the tests above compare more than greedy search: wider beams find better texts, and others."""
    better = 0
    for seed in range(6):
        greedy, wide = (generate(writer(seed), images, beam, 8) for beam in (1, 4))
        for row in range(len(images)):
            first, second = (score(writer(seed), each[row], unpadded(found[row])) for found in (greedy, wide))
            better += second > first + 1e-3
    assert better >= 3


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_one_is_greedy(images, each, seed):
    model = writer(seed)
    found = generate(model, images, beam=1, length=9)
    for row in range(len(images)):
        ids = [CLS]
        while len(ids) < 9 and ids[-1] != SEP:
            steps = log_probabilities(model, each[row], ids)[-1]
            ids.append(max(WRITTEN, key=lambda word: steps[word]))
        assert unpadded(found[row]) == ids


def test_each_image_for_itself(few):
    model = writer(3)
    together = generate(model, collate([few[number] for number in NUMBERS]), beam=3, length=8)
    for row, number in enumerate(NUMBERS):
        alone = generate(model, collate([few[number]]), beam=3, length=8)
        assert unpadded(alone[0]) == unpadded(together[row])


def steady(logits):
    """A model that finds every next word as probable as `logits` say, whatever it reads and sees."""
    model = ort.build(ort.Config(vocab=7, width=8, heads=2, layers=1, length=12), tokens.Words(VOCAB))
    with torch.no_grad():
        model.next_word.weight.zero_()
        model.next_word.bias.copy_(torch.tensor(logits))
    return model


def test_ties_by_hand(images):
    """All tokens are equal: greedy search takes the first, [UNK], for ever; a beam of 2 keeps the shorter text."""
    model = steady([0.0] * 7)
    assert generate(model, images, 1, 6).tolist() == [[CLS, UNK, UNK, UNK, UNK, UNK]] * 5
    assert [unpadded(row) for row in generate(model, images, 2, 6)] == [[CLS, SEP]] * 5


def test_what_is_never_written(images):
    """Not padding, not [CLS], not [MASK], however probable."""
    model = steady([9.0, 0, 9, -2, 9, 1, 0])
    assert generate(model, images, 1, 5).tolist() == [[CLS, 5, 5, 5, 5]] * 5
    assert MASK not in generate(model, images, 3, 5)


def test_an_end_that_is_best_ends(images):
    found = generate(steady([0.0, 0, 0, 5, 0, 0, 0]), images, 2, 12)
    assert found.tolist() == [[CLS, SEP]] * 5


def test_more_beams_than_beginnings(images, each):
    found = generate(writer(0), images, 50, 2)
    assert found.shape == (5, 2)
    for row in range(5):
        steps = log_probabilities(writer(0), each[row], [CLS])[-1]
        assert found[row, 1] == max(WRITTEN, key=lambda word: steps[word])


def test_captions_are_not_looked_at(images, few):
    told = collate([few[number] for number in NUMBERS], tokens.Words(VOCAB))
    assert generate(writer(1), told, 2, 8).equal(generate(writer(1), images, 2, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beam": 0}, "beam: expected at least 1, got 0"),
        ({"length": 1}, "length: expected 2 to 12 tokens, got 1"),
        ({"length": 13}, "length: expected 2 to 12 tokens, got 13"),
    ],
)
def test_what_cannot_be_searched(images, arguments, message):
    with pytest.raises(ValueError, match=message):
        generate(writer(0), images, **({"length": 5} | arguments))


def test_training_mode_is_an_error(images):
    model = steady([0.0] * 7).train()
    with pytest.raises(ValueError, match="model: expected evaluation mode"):
        generate(model, images, length=5)
