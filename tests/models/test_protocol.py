"""Where words and regions stand in the sequences of attention, by plain loops; heads that a model lacks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from crosslook.models.protocol import HEADS, Places, head, on_image, on_text

TEXT_KINDS = ("text", "text_to_image", "image_to_text")


@st.composite
def worlds(draw):
    """Random places, sets of tokens and of regions, and the lengths of the three sequences."""
    seed = draw(st.integers(0, 2**32 - 1))
    generator = torch.Generator().manual_seed(seed)
    batch, groups, n_text, n_image, n_regions = (draw(st.integers(low, 4)) for low in (1, 0, 1, 1, 0))
    joint = n_text + n_image + draw(st.integers(0, 2))

    def some(*shape):
        return torch.rand(shape, generator=generator) < 0.4

    def spread(n, length):
        order = [torch.randperm(length, generator=generator)[:n] for _ in range(batch)]
        return torch.stack(order)

    length = n_text + draw(st.integers(0, 2))
    both = spread(n_text + n_image, joint)
    places = Places(spread(n_text, length), some(batch, n_regions, n_image), both[:, :n_text], both[:, n_text:])
    return places, some(batch, groups, n_text), some(batch, groups, n_regions), length, joint


@given(worlds())
def test_tokens_stand_where_the_places_say(world):
    places, tokens, _, length, joint = world
    for kind, index, n in [("joint", places.joint_text, joint), *((kind, places.text, length) for kind in TEXT_KINDS)]:
        found = on_text(places, kind, tokens, n)
        assert found.dtype == torch.bool
        assert found.shape == (*tokens.shape[:2], n)
        wanted = {(b, g, int(index[b, t])) for b, g, t in tokens.nonzero().tolist()}
        assert {tuple(place) for place in found.nonzero().tolist()} == wanted


@given(worlds())
def test_regions_stand_where_they_are_shown(world):
    places, _, regions, _, joint = world
    shown = set()
    for b, g, r in regions.nonzero().tolist():
        shown |= {(b, g, i) for i in range(places.regions.shape[2]) if places.regions[b, r, i]}
    found = on_image(places, "joint", regions, joint)
    assert found.dtype == torch.bool
    assert found.shape == (*regions.shape[:2], joint)
    wanted = {(b, g, int(places.joint_image[b, i])) for b, g, i in shown}
    assert {tuple(place) for place in found.nonzero().tolist()} == wanted
    two = Places(places.text, places.regions)
    for kind in ("image", "text_to_image", "image_to_text"):
        n = places.regions.shape[2] + 1
        found = on_image(two, kind, regions, n)
        assert found.shape == (*regions.shape[:2], n)
        assert {tuple(place) for place in found.nonzero().tolist()} == shown


def test_two_words_and_a_region_by_hand():
    """[CLS], two regions of two patches each, then two words, in a joint sequence of seven."""
    regions = torch.tensor([[[1, 1, 0, 0], [0, 0, 1, 1]]], dtype=torch.bool)
    places = Places(torch.tensor([[0, 1, 2]]), regions, torch.tensor([[0, 5, 6]]), torch.tensor([[1, 2, 3, 4]]))
    last = torch.tensor([[[False, True, True]]])
    assert on_text(places, "joint", last, 7).long().tolist() == [[[0, 0, 0, 0, 0, 1, 1]]]
    assert on_text(places, "text", last, 3).long().tolist() == [[[0, 1, 1]]]
    second = torch.tensor([[[False, True]]])
    assert on_image(places, "joint", second, 7).long().tolist() == [[[0, 0, 0, 1, 1, 0, 0]]]


def test_calls_that_have_no_such_sequence_are_refused():
    two = Places(torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 1, 3, dtype=torch.bool))
    one = Places(two.text, two.regions, two.text, torch.arange(3)[None] + 2)
    tokens, regions = torch.ones(1, 1, 2, dtype=torch.bool), torch.ones(1, 1, 1, dtype=torch.bool)
    with pytest.raises(ValueError, match="kind: expected a call with text in it, got 'image'"):
        on_text(one, "image", tokens, 2)
    with pytest.raises(ValueError, match="kind: expected a call with an image in it, got 'text'"):
        on_image(one, "text", regions, 3)
    with pytest.raises(ValueError, match="kind: expected a joint call of this model, got 'image'"):
        on_image(one, "image", regions, 3)
    for place, sets in ((on_text, tokens), (on_image, regions)):
        with pytest.raises(ValueError, match="no sequence of text and image, got 'joint'"):
            place(two, "joint", sets, 5)


class Reader(nn.Module):
    """A model with one head; another is None, as in a model for text alone."""

    match_logits = None

    def word_logits(self, encoded):
        return encoded


def test_a_head_is_found_or_its_lack_is_named():
    assert head(Reader(), "word_logits")(7) == 7
    for name in ("region_logits", "match_logits"):
        message = rf"model: expected one with a head for {HEADS[name]} \({name}\), got Reader with word_logits"
        with pytest.raises(ValueError, match=message):
            head(Reader(), name)
    with pytest.raises(ValueError, match="got Linear with no head"):
        head(nn.Linear(1, 1), "word_logits")
