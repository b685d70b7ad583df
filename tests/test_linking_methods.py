"""Similarities of phrases and labels: against loops, and against what is plain to see."""

import numpy as np
import pytest
import torch

from crosslook import data, linking
from crosslook import linking_methods as lm

TOY = {"red": [1.0, 0.0], "car": [0.0, 2.0], "green": [1.0, 1.0], "not": [0.0, 0.0]}


def toy(word):
    return None if word not in TOY else np.array(TOY[word], dtype=np.float32)


def test_add_and_multiply_by_hand():
    added = lm.word_vectors(["red car"], ["green", "car", "unknown"], toy, "add")
    # (1, 2) with (1, 1), with (0, 2), and with nothing.
    np.testing.assert_allclose(added, [[3 / np.sqrt(10), 2 / np.sqrt(5), -1]], rtol=1e-6)
    multiplied = lm.word_vectors(["green car", "not green"], ["car", "red"], toy, "multiply")
    # (0, 2) with (0, 2) and (1, 0); the zero vector has no direction.
    np.testing.assert_allclose(multiplied, [[1, 0], [-1, -1]], atol=1e-7)
    assert lm.word_vectors([], ["car"], toy, "add").shape == (0, 1)
    with pytest.raises(ValueError, match="combine: expected add or multiply, got 'mean'"):
        lm.word_vectors(["a"], ["b"], toy, "mean")


def test_glove_files(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("red 1 0\ncar 0.5 -2e-1\n", encoding="utf-8")
    vectors = lm.read_glove(path)
    np.testing.assert_allclose(vectors("car"), [0.5, -0.2])
    assert vectors("tree") is None
    for text, message in (("red 1 0\ncar 1\n", "line 2: expected a word and 2"), ("red 1 x\n", "line 1: expected")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            lm.read_glove(path)
    with pytest.raises(FileNotFoundError):
        lm.read_glove(tmp_path / "none.txt")


def test_static_vectors_are_the_means_of_pieces():
    tokenizer, model = lm._bert()
    ids = tokenizer("skateboarder", add_special_tokens=False)["input_ids"]
    assert len(ids) > 1
    table = model.embeddings.word_embeddings.weight.detach().numpy()
    np.testing.assert_allclose(lm.static_vectors("skateboarder"), sum(table[i] for i in ids) / len(ids), rtol=1e-5)
    assert lm.static_vectors("") is None


def test_bert_score_against_a_loop():
    phrases, labels = ["a brown guitar", "two dogs", ""], ["guitar", "small dog", "dogs"]
    found = lm.bert_score(phrases, labels)
    tokenizer, model = lm._bert()

    def pieces(text):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 1:-1]
        return [state / state.norm() for state in states]

    for i, phrase in enumerate(phrases[:2]):
        for j, label in enumerate(labels):
            a, b = pieces(label), pieces(phrase)
            recall = np.mean([max(float(x @ y) for y in b) for x in a])
            precision = np.mean([max(float(x @ y) for x in a) for y in b])
            assert found[i, j] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-4)
    assert (found[2] == 0).all()
    assert lm.bert_score(["two dogs"], ["two dogs"])[0, 0] == pytest.approx(1, abs=1e-5)


def test_average_precision_is_equation_4():
    similarities = np.array([[0.9, 0.8, 0.1, 0.7], [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4.0]])
    gold = [frozenset({0, 3}), frozenset({0}), frozenset({1, 2}), frozenset()]
    found = lm.average_precision(similarities, gold)
    # Ranks 1 and 3: 1/2 * 1 + 1/2 * 2/3. Last of four: 1/4. All tie: one step of precision 1/2.
    np.testing.assert_allclose(found, [0.5 + 1 / 3, 0.25, 0.5, np.nan])
    with pytest.raises(ValueError, match="gold: expected one link for each of 4"):
        lm.average_precision(similarities, gold[:1])


def test_links_tie_and_skip_what_is_no_object():
    similarities = np.array([[0.2, 0.7, 0.7 + 1e-9], [0.9, 0.1, 0.2]])
    assert lm.linked(similarities, ["two dogs", "them"]) == [frozenset({1, 2}), frozenset()]
    assert lm.linked(np.zeros((1, 0)), ["two dogs"]) == [frozenset()]


def test_compare_judges_what_is_linked_and_not_ignored():
    some = [linked for linked in data.load("emoji:val", text="paragraph")[:20] if any(linked.links)][:2]
    labels = [[linking.describe(label) for label in sample.regions.labels] for sample in some]

    def perfect(phrases, names):
        (sample,) = (each for each in some if [p.text for p in each.phrases] == list(phrases))
        return np.array([[float(region in links) for region in range(len(names))] for links in sample.links])

    (table,) = lm.compare(some, labels, {"perfect": perfect}).values()
    for (hits, precisions, judged), sample in zip(table, some, strict=True):
        named = [
            bool(links) and not linking.ignored(p.text) for p, links in zip(sample.phrases, sample.links, strict=True)
        ]
        # A phrase that no way may link would cost even a perfect one its score.
        assert hits == precisions == judged == sum(named)
    assert any(linking.ignored(phrase.text) for sample in some for phrase in sample.phrases)


def test_all_methods_find_the_obvious_and_the_last_is_linking_itself():
    labels = ["brown guitar", "green tree", "white dog"]
    for name, method in lm.methods().items():
        if name == "GloVe multiply":
            continue  # a product of vectors is near none of its factors, as the paper found
        assert lm.linked(method(["a brown guitar"], labels), ["a brown guitar"]) == [frozenset({0})], name
    similarities = lm.methods()["sentence-transformer"](["a puppy"], labels)
    assert lm.linked(similarities, ["a puppy"]) == linking.link(["a puppy"], labels)
