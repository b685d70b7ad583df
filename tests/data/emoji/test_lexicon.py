"""The words: complete, consistent, and well formed English."""

from collections import Counter
from random import Random

import pytest

from crosslook.data.emoji import lexicon as lex
from crosslook.data.emoji.grammar import article, coordinate, leaf, noun_phrase, passive_phrase, verb_phrase
from crosslook.data.emoji.lexicon import lexicon, tagged
from crosslook.data.emoji.trees import parse, text
from crosslook.data.emoji.world import COLOURS, PREDICATES, SETTINGS, SIZES, categories


def test_every_category_has_words():
    for key in categories():
        concept = lex.concept_of(key)
        assert lex.nouns(concept, False), key
        assert lex.ancestors(concept)[-1] == "thing"
    with pytest.raises(KeyError, match="no concept for category 'unicorn'"):
        lex.concept_of("unicorn")


def test_a_noun_names_one_concept():
    owners = Counter()
    for entry in lexicon()["concepts"].values():
        owners.update({form for noun in entry.get("nouns", {}) for form in noun.split("/") if form})
    assert [noun for noun, number in owners.items() if number > 1] == []


def test_every_name_of_the_world_has_words():
    assert set(lexicon()["predicates"]) == set(PREDICATES)
    assert set(lexicon()["settings"]) == set(SETTINGS)
    assert set(lexicon()["colours"]) == set(COLOURS)
    assert set(lexicon()["sizes"]) == set(SIZES)
    for entry in lexicon()["predicates"].values():
        assert entry.get("verbs") or entry.get("prep")


def test_every_verb_has_its_forms():
    used = {verb.split()[0] for entry in lexicon()["predicates"].values() for verb in entry.get("verbs", {})}
    for entry in lexicon()["concepts"].values():
        used |= {verb.split()[0] for verbs in entry.get("verbs", {}).values() for verb in verbs} | set(
            entry.get("acts", {})
        )
    assert used <= set(lexicon()["verbs"])
    for base, (third, _, ing, _) in lexicon()["verbs"].items():
        assert third.endswith("s"), base
        assert ing.endswith("ing"), base


def test_taxonomy():
    assert lex.ancestors("guitar") == ("guitar", "instrument", "thing")
    assert lex.is_a("old_man", "person")
    assert not lex.is_a("person" if "person" in categories() else "dog", "man")
    assert lex.is_a("shirt", "clothing")  # a category whose concept has another name


def test_numbers_of_nouns():
    assert set(lex.nouns("sheep", True)) == {"sheep"}
    assert "children" in lex.nouns("child", True)
    assert lex.is_mass("hair")
    assert lex.is_plural_only("jeans")
    assert not lex.is_plural_only("hat")
    assert set(lex.nouns("glasses", False)) == set(lex.nouns("glasses", True))


def test_pick_follows_the_weights():
    rng = Random(1)
    counts = Counter(lex.pick(rng, {"a": 3, "b": 1}) for _ in range(4000))
    assert counts["a"] / 4000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("word", "expected"), [("old", "an"), ("uniform", "a"), ("umbrella", "an"), ("young", "a"), ("individual", "an")]
)
def test_article(word: str, expected: str):
    assert article(word) == expected


@pytest.mark.parametrize(
    ("form", "plural", "expected"),
    [
        ("present", False, "rides"),
        ("present", True, "ride"),
        ("past", True, "rode"),
        ("progressive", False, "is riding"),
        ("past_progressive", True, "were riding"),
        ("ing", False, "riding"),
    ],
)
def test_verb_phrases(form: str, plural: bool, expected: str):
    horse = noun_phrase("a", tagged("horse"), "1")
    assert text(verb_phrase("ride", form, plural, horse)).lower() == f"{expected} a horse"


def test_passive_phrases():
    spoken = {
        form: text(passive_phrase("ride", form, True)).lower() for form in ("present", "past_progressive", "participle")
    }
    assert spoken == {"present": "are ridden", "past_progressive": "were being ridden", "participle": "ridden"}


def test_prepositional_verbs_and_adverbs():
    bench = noun_phrase("the", tagged("bench"), "1")
    how = parse("(ADVP (RB quietly))")
    assert text(verb_phrase("sit on", "past", False, bench, after=how)) == "Sat quietly on the bench"


def test_coordination():
    three = [noun_phrase("a", tagged(noun), str(i + 1)) for i, noun in enumerate(("cat", "dog", "owl"))]
    assert text(coordinate("NP", three)) == "A cat , a dog and an owl"
    assert coordinate("NP", three[:1]) is three[0]
    assert leaf("NN", "cat").word == "cat"
