"""Scores of texts: by hand, against slow versions of the formulas, and what any such score must do."""

from itertools import permutations
from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslook import captioning, meteor
from crosslook.captioning import bleu, bleu_counts, cider_d, evaluate, rouge_l, split, transport, word_mover

NAMES = tuple(name for name in captioning.ORDER if name != "METEOR" or not meteor.missing())
WORDS = st.lists(st.sampled_from("a man dog on the red".split()), min_size=1, max_size=9)


def toy(word):
    """Words on a circle; "void" has no vector, and "null" one without a direction."""
    degrees = {"a": 0, "man": 60, "dog": 90, "on": 180, "the": 200, "red": 300}
    if word == "null":
        return np.zeros(2)
    return (
        None
        if word not in degrees
        else 3 * np.array([np.cos(np.radians(degrees[word])), np.sin(np.radians(degrees[word]))])
    )


def corpus(draw_texts):
    return st.lists(st.tuples(draw_texts, st.lists(WORDS, min_size=1, max_size=3)), min_size=2, max_size=5)


def grams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


# BLEU


def test_bleu_by_hand():
    """The example of its paper: seven times "the", of which two are right; and a text that is too short."""
    counts = bleu_counts(
        [split("the the the the the the the")], [[split("The cat is on the mat."), split("There is a cat on the mat")]]
    )
    assert counts[0, [0, 4, 8, 9]].tolist() == [2, 7, 7, 7]
    assert bleu(counts)[0, 0] == pytest.approx(2 / 7)
    assert bleu(counts)[0, 1] == 0
    counts = bleu_counts([split("a red car stands")], [[split("a red car stands in the street today")]])
    np.testing.assert_allclose(bleu(counts)[0], exp(1 - 8 / 4))


def slow_bleu(said, truth, order):
    right, there = [0] * order, [0] * order
    length = wanted = 0
    for words, some in zip(said, truth, strict=True):
        for n in range(1, order + 1):
            for gram in set(grams(words, n)):
                most = max(grams(other, n).count(gram) for other in some)
                right[n - 1] += min(grams(words, n).count(gram), most)
            there[n - 1] += len(grams(words, n))
        length += len(words)
        wanted += min((abs(len(other) - len(words)), len(other)) for other in some)[1]
    if not all(right):
        return 0.0
    mean = sum(log(a / b) for a, b in zip(right, there, strict=True)) / order
    return exp(mean) * min(1, exp(1 - wanted / length))


@settings(max_examples=50)
@given(images=corpus(WORDS))
def test_bleu_against_loops(images):
    said, truth = (list(part) for part in zip(*images, strict=True))
    # Of two references equally close the shorter counts; torchmetrics takes the first.
    truth = [sorted(some, key=len) for some in truth]
    found = bleu(bleu_counts(said, truth).sum(0))
    np.testing.assert_allclose(found, [slow_bleu(said, truth, n) for n in range(1, 5)], atol=1e-6)


def test_bleu_counts_all_texts_together():
    scores = evaluate(["a man", "a b c d e f g h"], [["a man"], ["x y z x y z x y"]], vectors=toy, n_resamples=10)
    assert scores["BLEU-1"].value == pytest.approx(2 / 10)
    assert scores["BLEU-1"].images.tolist() == [1, 0]


# ROUGE-L


def slow_common(a, b):
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + slow_common(a[1:], b[1:])
    return max(slow_common(a[1:], b), slow_common(a, b[1:]))


@settings(max_examples=40)
@given(words=WORDS, references=st.lists(WORDS, min_size=1, max_size=3))
def test_rouge_l_against_recursion(words, references):
    best = max(2 * slow_common(words, other) / (len(words) + len(other)) for other in references)
    assert rouge_l([words], [references])[0] == pytest.approx(best, abs=1e-6)


def test_rouge_l_by_hand():
    """The example of its paper: "police killed the gunman" is like the first text in three words of four."""
    truth = [[split("police killed the gunman")]] * 2
    said = [split("police kill the gunman"), split("the gunman kill police")]
    np.testing.assert_allclose(rouge_l(said, truth), [3 / 4, 2 / 4])


# CIDEr-D


def slow_cider(said, truth):
    scores = []
    for words, some in zip(said, truth, strict=True):
        total = 0.0
        for other in some:
            for n in range(1, 5):
                space = sorted({*grams(words, n), *grams(other, n)})
                rare = [
                    len(truth) / max(sum(any(gram in grams(x, n) for x in xs) for xs in truth), 1) for gram in space
                ]
                a, b = (
                    np.array([grams(text, n).count(gram) * log(r) for gram, r in zip(space, rare, strict=True)])
                    for text in (words, other)
                )
                length = sqrt((a**2).sum() * (b**2).sum()) if space else 0
                cosine = (np.minimum(a, b) * b).sum() / length if length else 0
                total += 10 * cosine * exp(-((len(words) - len(other)) ** 2) / 72)
        scores.append(total / 4 / len(some))
    return scores


@settings(max_examples=50)
@given(images=corpus(WORDS))
def test_cider_d_against_loops(images):
    said, truth = zip(*images, strict=True)
    np.testing.assert_allclose(cider_d(said, truth), slow_cider(said, truth), atol=1e-9)


@settings(max_examples=50)
@given(images=corpus(WORDS))
def test_cider_d_against_the_published_program(images):
    scorer = pytest.importorskip("pycocoevalcap.cider.cider_scorer").CiderScorer()
    for words, some in images:
        scorer += (" ".join(words), [" ".join(other) for other in some])
    said, truth = zip(*images, strict=True)
    np.testing.assert_allclose(cider_d(said, truth), scorer.compute_score()[1], atol=1e-9)


def test_cider_d_by_hand():
    """Two images. "a" is in both and weighs nothing; all other words weigh log 2."""
    truth = [[split("a red dog")], [split("a green bird sings")]]
    # One of two words that weigh: a cosine of 1/2 for words, and 0 for all that is longer.
    found = cider_d([split("a blue dog"), split("a green bird sings")], truth)
    assert found[0] == pytest.approx(10 / 4 * (1 / 2))
    assert found[1] == pytest.approx(10)
    # The same words once more: counts are cut down to the reference's, and four words more cost exp(-16 / 72).
    # N-grams over the seam are in no reference, and weigh log 2 like the others.
    twice = cider_d([split("red"), split("a green bird sings a green bird sings")], truth)
    unigrams = 3 / (sqrt(3) * sqrt(12))
    bigrams = 3 / (sqrt(3) * sqrt(3 * 4 + 1))
    trigrams = 2 / (sqrt(2) * sqrt(2 * 4 + 2))
    fours = 1 / sqrt(1 * 4 + 3)
    expected = 10 * exp(-16 / 72) * (unigrams + bigrams + trigrams + fours) / 4
    assert twice[1] == pytest.approx(expected)


def test_cider_d_of_texts_that_are_too_short():
    """There is no n-gram longer than the text, so that a text of one word gets a quarter at most."""
    assert cider_d([["dog"], ["bird"]], [[["dog"]], [["bird"]]]).tolist() == [2.5, 2.5]


# Word mover


@settings(max_examples=40)
@given(
    places=st.lists(st.integers(-20, 20), min_size=1, max_size=6, unique=True),
    others=st.lists(st.integers(-20, 20), min_size=1, max_size=6, unique=True),
    seed=st.integers(0, 100),
)
def test_transport_on_a_line(places, others, seed):
    """There the least cost is the area between the two distribution functions."""
    from scipy.stats import wasserstein_distance

    generator = np.random.default_rng(seed)
    supply, demand = (generator.dirichlet(np.ones(len(some))) for some in (places, others))
    cost = np.abs(np.subtract.outer(places, others)).astype(float)
    assert transport(supply, demand, cost) == pytest.approx(
        wasserstein_distance(places, others, supply, demand), abs=1e-6
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(1, 5))
def test_transport_of_equal_parts_is_an_assignment(seed, n):
    cost = np.random.default_rng(seed).random((n, n))
    best = min(sum(cost[i, j] for i, j in enumerate(order)) for order in permutations(range(n))) / n
    even = np.full(n, 1 / n)
    assert transport(even, even, cost) == pytest.approx(best, abs=1e-8)


def test_what_cannot_be_transported():
    with pytest.raises(ValueError, match="supply, demand: expected the same sum, got 1 and 2"):
        transport(np.array([1.0]), np.array([1.0, 1.0]), np.ones((1, 2)))


def test_word_mover_by_hand():
    """ "man" is 60 degrees from "a": at distance 1; vectors are brought to length 1."""
    assert word_mover(["a"], [["man"]], toy) == pytest.approx(exp(-1))
    # Half of "a a man dog" moves from "a": a quarter to "man", a quarter to "dog".
    assert word_mover("a a man dog".split(), ["man dog dog man".split()], toy) == pytest.approx(exp(-(1 + sqrt(2)) / 4))
    # The closest reference counts, and words without a vector do not.
    assert word_mover(["a", "void", "null"], [["on"], ["a", "man"]], toy) == pytest.approx(exp(-1 / 2))
    assert word_mover(["void"], [["a"]], toy) == 0
    assert word_mover(["a"], [["null"]], toy) == 0


@settings(max_examples=30)
@given(a=WORDS, b=WORDS, seed=st.randoms(use_true_random=False))
def test_word_mover_is_a_distance(a, b, seed):
    """The same from both sides, 1 for the same words in any order, and no more than 1."""
    there, back = word_mover(a, [b], toy), word_mover(b, [a], toy)
    assert there == pytest.approx(back, abs=1e-6)
    assert 0 < there <= 1 + 1e-9
    shuffled = seed.sample(a, len(a))
    assert word_mover(a, [shuffled], toy) == pytest.approx(1, abs=1e-6)


def test_word_mover_on_real_vectors():
    """Texts without a word in common differ in how near their words are."""
    near, far = (
        word_mover(split(text), [split("a big dog")], captioning.linking_methods.static_vectors)
        for text in ("one large puppy", "some fast cars")
    )
    assert 0 < far < near < 1


# All of them


def test_the_truth_is_perfect_and_wide_of_it_is_not():
    truth = [["A man holds a red guitar .", "Someone plays music"], ["Two dogs sleep on the green sofa ."]]
    perfect = evaluate([some[0] for some in truth], truth, n_resamples=50)
    swapped = evaluate([truth[1][0], truth[0][0]], truth, n_resamples=50)
    assert tuple(perfect) == NAMES
    for name in NAMES:
        if name != "CIDEr-D":
            assert perfect[name].value == pytest.approx(1, abs=1e-6)
            assert perfect[name].interval == pytest.approx((1, 1), abs=1e-6)
        assert swapped[name].value < perfect[name].value
    # It is the mean over references, one of which is another text.
    assert perfect["CIDEr-D"].images[1] == pytest.approx(10)
    assert 5 <= perfect["CIDEr-D"].images[0] < 10


def test_case_and_punctuation_do_not_matter():
    truth = [["A man, here!"], ["Two dogs."]]
    plain, marked = (
        evaluate(texts, truth, vectors=toy, n_resamples=20)
        for texts in (["a man here", "a dog"], ["A MAN... here", "(a dog)"])
    )
    for name in NAMES:
        assert plain[name].value == marked[name].value


def test_intervals_are_over_images():
    said = ["a man", "a dog", "the red dog", "on a man"] * 3
    truth = [["a man"], ["the man"], ["a red dog"], ["on the man"]] * 3
    scores, again, other = (evaluate(said, truth, vectors=toy, n_resamples=300, seed=seed) for seed in (0, 0, 1))
    for name, found in scores.items():
        low, high = found.interval
        assert found.images.shape == (12,)
        assert low <= found.value <= high
        assert (low, high) == again[name].interval
    assert scores["BLEU-1"].interval != other["BLEU-1"].interval
    for name in ("ROUGE-L", "CIDEr-D", "WMD"):
        assert scores[name].value == pytest.approx(scores[name].images.mean())
    # Each image twelve times is no news: with equal images there is nothing to be unsure of.
    same = evaluate(["a dog"] * 5, [["a man"]] * 5, vectors=toy, n_resamples=20)
    assert same["BLEU-1"].interval == pytest.approx((0.5, 0.5))


def test_intervals_of_bleu_by_hand():
    """Two images, one all right and one all wrong: three in four resamples draw the right one at least once."""
    scores = evaluate(["a man", "a dog"], [["a man"], ["the red"]], vectors=toy, n_resamples=400)
    assert scores["BLEU-1"].interval == (0, 1)
    assert scores["BLEU-1"].value == 0.5


def test_a_text_without_words_scores_nothing():
    scores = evaluate(["", "a dog"], [["a man"], ["a dog"]], vectors=toy, n_resamples=20)
    for name in NAMES:
        assert scores[name].images[0] == 0
        assert np.isfinite(scores[name].value)
    nothing = evaluate(["", "..."], [["a man"], ["a dog"]], vectors=toy, n_resamples=20)
    assert all(found.value == 0 for found in nothing.values())


@pytest.mark.parametrize(
    ("texts", "references", "message"),
    [
        (["a"], [["a"]], "texts: expected those of at least two images, got 1"),
        ([], [], "texts: expected those of at least two images, got 0"),
        (["a", "b"], [["a"]], "references: expected those of 2 images, got those of 1"),
        (["a", "b"], [["a"], []], r"references: image 1: expected texts with words, got \[\]"),
        (["a", "b"], [["a", "?!"], ["b"]], r"references: image 0: expected texts with words, got \['a', '\?!'\]"),
    ],
)
def test_what_cannot_be_compared(texts, references, message):
    with pytest.raises(ValueError, match=message):
        evaluate(texts, references, vectors=toy)


def test_no_resamples_are_an_error():
    with pytest.raises(ValueError, match="n_resamples: expected at least 1, got 0"):
        evaluate(["a", "a"], [["a"], ["a"]], vectors=toy, n_resamples=0)
