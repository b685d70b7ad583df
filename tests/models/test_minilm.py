"""A UNITER that begins as MiniLM says of words what MiniLM says of them."""

from dataclasses import replace

import pytest
import torch

from crosslook.linking import sentence_transformer
from crosslook.models import minilm, tokens, zoo
from crosslook.models.recipes import MINILM, RECIPES

WORDS = tokens.emoji()


@pytest.fixture(scope="module")
def filled():
    return minilm.fill(zoo.untrained("uniter-wide"), WORDS)


@pytest.fixture(scope="module")
def bert():
    """The real model and its tokenizer."""
    module = sentence_transformer()[0]
    return module.auto_model, module.tokenizer


@torch.no_grad()
def test_without_an_image_the_states_are_those_of_minilm(filled, bert, pairs):
    """Layer by layer, for captions all of whose words are single pieces."""
    model, tokenizer = bert
    caption = "a man and a woman with a red car on a street"
    ids, _ = WORDS(caption)
    assert WORDS.decode(ids) == caption  # every word is known
    given = tokenizer(caption, return_tensors="pt")
    assert given["input_ids"].shape[1] == len(ids)
    own = torch.tensor([ids])
    batch = replace(
        pairs,
        image_ids=pairs.image_ids[:1],
        captions=(caption,),
        ids=own,
        text_mask=torch.ones_like(own, dtype=torch.bool),
        phrase_tokens=torch.zeros(1, 0, own.shape[1], dtype=torch.bool),
        phrase_mask=torch.zeros(1, 0, dtype=torch.bool),
        links=torch.zeros(1, 0, pairs.boxes.shape[1], dtype=torch.bool),
        region_mask=torch.zeros_like(pairs.region_mask[:1]),
        **{name: getattr(pairs, name)[:1] for name in ("boxes", "features", "class_probs", "sizes")},
    )
    found = filled(batch).text_states
    wanted = model(**given, output_hidden_states=True).hidden_states
    assert len(found) == len(wanted) == 7
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_a_word_of_several_pieces_begins_as_their_mean(filled, bert):
    model, tokenizer = bert
    table, ours = model.get_input_embeddings().weight, filled.embeddings.words.word.weight
    several = [word for word in WORDS.vocabulary[5:] if len(tokenizer.tokenize(word)) > 1]
    assert several
    for word in several[:20]:
        wanted = sum(table[tokenizer.convert_tokens_to_ids(piece)] for piece in tokenizer.tokenize(word))
        wanted = wanted / len(tokenizer.tokenize(word))
        torch.testing.assert_close(ours[WORDS.vocabulary.index(word)], wanted)
    for place, word in enumerate(tokens.SPECIAL):
        assert torch.equal(ours[place], table[tokenizer.vocab[word]]), word


def test_what_minilm_has_no_part_for_stays(filled):
    fresh = zoo.untrained("uniter-wide").state_dict()
    same = {name.split(".")[0] for name, value in filled.state_dict().items() if torch.equal(value, fresh[name])}
    assert same == {"embeddings", "words", "standard", "regions", "text_pooler", "image_pooler", "matching"}
    for part in ("feature", "box", "feature_norm", "box_norm", "image_norm"):
        assert torch.equal(filled.state_dict()[f"embeddings.{part}.weight"], fresh[f"embeddings.{part}.weight"])


def test_a_model_of_another_shape_is_refused_and_stays():
    model = zoo.untrained("uniter")
    with pytest.raises(ValueError, match=r"all-MiniLM-L6-v2: weights do not fit .* of another shape: "):
        minilm.fill(model, WORDS)
    assert all(torch.equal(a, zoo.untrained("uniter").state_dict()[name]) for name, a in model.state_dict().items())


def test_the_two_recipes_differ_in_the_start_alone():
    plain, started = RECIPES["uniter-wide"], RECIPES["uniter-wide-minilm"]
    assert (plain.start, started.start) == (None, MINILM)
    assert replace(started, start=None) == plain
