"""Interaction and Shapley values on games whose answer is known."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosslook import interaction as inter
from crosslook import models
from crosslook.ablation_conditions import mean_feature, take
from crosslook.ablation_examples import cases, examples
from crosslook.data.sample import Phrase, Regions, Sample
from crosslook.models import tokens


def brute(value, n):
    """Shapley values over all orders."""
    total = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        inside = torch.zeros(1, n, dtype=torch.bool)
        for player in order:
            before = value(inside).item()
            inside[0, player] = True
            total[player] += value(inside).item() - before
    return total / len(orders)


def game(worth, n):
    """A game by the worth of each coalition, written as a binary number."""
    places = 2 ** torch.arange(n)
    return lambda inside: worth[(inside * places).sum(-1)]


numbers = st.floats(-10, 10, width=32)


@given(st.lists(numbers, min_size=4, max_size=4))
def test_two_players_are_exact_with_one_order(worth):
    worth = torch.tensor(worth, dtype=torch.float32)
    found = inter.shapley(game(worth, 2), 2, n_orders=1)
    neither, text, image, both = (np.array([each]) for each in worth.double().tolist())
    square = inter.Square(neither, text, image, both)
    np.testing.assert_allclose(found, brute(game(worth, 2), 2), atol=1e-5)
    np.testing.assert_allclose(found, [square.of_text[0], square.of_image[0]], atol=1e-5)


@given(st.lists(numbers, min_size=16, max_size=16), st.integers(1, 3), st.integers(0, 99))
def test_values_add_up_however_few_orders_there_are(worth, n_orders, seed):
    worth = torch.tensor(worth, dtype=torch.float32)
    found = inter.shapley(game(worth, 4), 4, n_orders, seed)
    assert found.sum().item() == pytest.approx((worth[-1] - worth[0]).item(), abs=1e-4)


def test_many_orders_come_close_to_all_of_them():
    worth = torch.tensor(np.random.default_rng(0).normal(size=32), dtype=torch.float32)
    found = inter.shapley(game(worth, 5), 5, n_orders=4_000)
    np.testing.assert_allclose(found, brute(game(worth, 5), 5), atol=0.05)


@given(st.lists(numbers, min_size=5, max_size=5))
def test_a_sum_is_shared_out_as_it_is(parts):
    parts = torch.tensor(parts, dtype=torch.float32)
    found = inter.shapley(lambda inside: inside.float() @ parts + 3, 5, n_orders=1)
    torch.testing.assert_close(found, parts, rtol=0, atol=1e-4)


def test_who_adds_nothing_gets_nothing():
    found = inter.shapley(lambda inside: (inside[:, 0] & inside[:, 2]).float(), 3, n_orders=50)
    assert found[1].item() == 0
    assert found[[0, 2]].sum().item() == pytest.approx(1)


def test_orders_and_players_are_needed():
    with pytest.raises(ValueError, match="n_players: expected at least 1, got 0"):
        inter.shapley(lambda inside: inside.float().sum(-1), 0)
    with pytest.raises(ValueError, match="n_orders: expected at least 1, got 0"):
        inter.shapley(lambda inside: inside.float().sum(-1), 2, n_orders=0)


def test_a_square_by_hand():
    # The first example adds up; the second needs both; in the third nothing matters.
    square = inter.Square(*(np.array(row) for row in ([1.0, 0, 2], [2.0, 0, 2], [4.0, 0, 2], [5.0, 8, 2])))
    assert square.interaction.tolist() == [0, 8, 0]
    assert square.of_text.tolist() == [1, 4, 0]
    assert square.of_image.tolist() == [3, 4, 0]
    np.testing.assert_array_equal(square.image_share, [0.75, 0.5, np.nan])
    np.testing.assert_allclose(square.of_text + square.of_image, square.both - square.neither)


# ---------------------------------------------------------------- of models


@pytest.fixture(scope="module")
def some():
    rng = np.random.default_rng(0)
    samples = []
    for image, (caption, n) in enumerate((("a man and a red guitar", 6), ("a woman", 3), ("the dog", 9))):
        low = rng.uniform(0, 60, (n, 2))
        boxes = np.concatenate([low, low + rng.uniform(10, 39, (n, 2))], 1).astype(np.float32)
        phrase = Phrase(0, len(caption), caption, ("people",), "1", boxes[:1])
        regions = Regions(boxes, features=rng.normal(size=(n, 128)).astype(np.float32))
        samples.append(Sample(str(image), 0, caption, (phrase,), regions, (frozenset(),), 100, 100))
    return cases(samples, examples(samples), tokens.emoji())


@pytest.fixture(scope="module")
def filler(some):
    return mean_feature([some])


@pytest.mark.parametrize("name", ["uniter", "lxmert"])
def test_the_four_scores_are_those_of_four_passes(some, filler, name):
    model = models.load(f"untrained/{name}")
    found = inter.square(model, some, filler)
    special = torch.isin(some.batch.ids, torch.tensor([tokens.CLS, tokens.SEP, tokens.PAD]))
    for place in range(len(some)):
        for kind in ("neither", "text", "image", "both"):
            one = cases_of(some, place)
            if kind in ("neither", "image"):
                one.ids[~special[place : place + 1]] = tokens.MASK
            if kind in ("neither", "text"):
                one.features[:] = filler
            with torch.no_grad():
                logits = model.match_logits(model(one))[0]
            assert getattr(found, kind)[place] == pytest.approx((logits[1] - logits[0]).item(), abs=1e-5)


def cases_of(found, place):
    one = take(found.batch, torch.tensor([place]))
    return replace(one, ids=one.ids.clone(), features=one.features.clone())


def test_parts_of_a_score_that_counts_words_and_adds_regions_up(some, filler):
    """Each word that is there is worth 3 and each region the first number of its feature."""

    def score(model, batch):
        return 3.0 * (batch.ids > tokens.MASK).sum(1) + batch.features[..., 0].sum(1)

    found = inter.parts(models.load("untrained/uniter"), some, filler, n_orders=1, score=score)
    for place, one in enumerate(found):
        np.testing.assert_allclose(one.words, 3.0 * some.words[place].numpy(), atol=1e-3)
        given_by = (some.batch.features[place, :, 0] - filler[0]) * some.batch.region_mask[place]
        np.testing.assert_allclose(one.regions, given_by, atol=1e-3)
        of_regions, of_words = given_by.abs().sum().item(), 3.0 * some.words[place].sum().item()
        assert one.image_share == pytest.approx(of_regions / (of_regions + of_words), abs=1e-4)


def test_parts_add_up_to_what_both_are_worth(some, filler):
    model = models.load("untrained/lxmert")
    square = inter.square(model, some, filler)
    for place, one in enumerate(inter.parts(model, some, filler, n_orders=1)):
        total = one.words.sum() + one.regions.sum()
        assert total == pytest.approx(square.both[place] - square.neither[place], abs=1e-4)


def test_inputs_are_left_untouched(some, filler):
    before = some.batch.ids.clone(), some.batch.features.clone(), filler.clone()
    model = models.load("untrained/lxmert")
    inter.square(model, some, filler)
    inter.parts(model, some, filler, n_orders=1)
    assert all(torch.equal(a, b) for a, b in zip(before, (some.batch.ids, some.batch.features, filler), strict=True))


def test_a_model_that_does_not_match_is_named(some, filler):
    with pytest.raises(ValueError, match="match_logits"):
        inter.square(models.load("untrained/bert"), some, filler)
