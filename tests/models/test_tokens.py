"""Captions become words and back, and every token knows its characters."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosslook.data.emoji.trees import parse, text
from crosslook.models import tokens
from crosslook.models.tokens import CLS, MASK, PAD, SEP, SPECIAL, UNK, Words

SOME = Words([*SPECIAL, "a", "dog", "runs", ".", "t", "'", "isn"])


def test_a_caption_by_hand():
    ids, spans = SOME("A dog isn't  RUNS, été.")
    assert ids == [CLS, 5, 6, 11, 10, 9, 7, UNK, UNK, 8, SEP]
    places = [(0, 1), (2, 5), (6, 9), (9, 10), (10, 11), (13, 17), (17, 18), (19, 22), (22, 23)]
    assert spans == [(0, 0), *places, (0, 0)]
    assert SOME.decode(ids) == "a dog isn ' t runs [UNK] [UNK] ."


@pytest.mark.parametrize("caption", ["", "   ", "\n\t"])
def test_nothing_to_read_is_two_special_tokens(caption):
    assert SOME(caption) == ([CLS, SEP], [(0, 0), (0, 0)])
    assert SOME.decode(SOME(caption)[0]) == ""


@given(st.text(max_size=40))
def test_tokens_cover_everything_but_blanks_in_order(caption):
    ids, spans = SOME(caption)
    assert len(ids) == len(spans)
    assert ids[0] == CLS
    assert ids[-1] == SEP
    inner = spans[1:-1]
    covered = [place for start, end in inner for place in range(start, end)]
    assert covered == [place for place, letter in enumerate(caption) if not letter.isspace()]
    for (start, end), i in zip(inner, ids[1:-1], strict=True):
        word = caption[start:end].lower()
        assert i == (SOME.vocabulary.index(word) if word in SOME.vocabulary[5:] else UNK)


@given(st.lists(st.sampled_from(SOME.vocabulary[5:])))
def test_words_come_back(words):
    ids, _ = SOME(" ".join(words))
    assert SOME.decode(ids) == SOME.decode(torch.tensor(ids)) == " ".join(words)


def test_decoding_leaves_special_tokens_out_but_not_unknown_words():
    assert SOME.decode([PAD, CLS, 5, MASK, UNK, 6, SEP, PAD]) == "a [UNK] dog"


@given(st.lists(st.integers(0, 11), min_size=1))
def test_special_tokens_are_those_without_a_word(ids):
    assert tokens.special(torch.tensor(ids)).tolist() == [i in (0, 2, 3) for i in ids]


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ([], "expected .*first, got nothing"),
        (["a", "dog"], r"expected \[PAD\], \[UNK\], \[CLS\], \[SEP\], \[MASK\] first, got a, dog"),
        ([*reversed(SPECIAL)], r"expected .*first, got \[MASK\]"),
        ([*SPECIAL, "a", "dog", "a"], "expected each word once, got a several times"),
        ([*SPECIAL, "[CLS]"], r"expected each word once, got \[CLS\] several times"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(vocabulary, message):
    with pytest.raises(ValueError, match=f"vocabulary: {message}"):
        Words(vocabulary)


def test_constants_are_the_places_of_the_special_tokens():
    assert [SPECIAL[i] for i in (PAD, UNK, CLS, SEP, MASK)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(SOME) == 12


def test_the_words_of_emoji_entities_are_known(few, pairs):
    words = tokens.emoji()
    assert tokens.emoji() is words
    every = [i for sample in few for i in words(sample.caption)[0]]
    assert every.count(UNK) < len(every) / 200  # a word that train happens to lack
    assert UNK not in pairs.ids
    assert pairs.ids.max() < len(words)
    # Each phrase is made of its own words.
    for b, sample in enumerate(few[index] for index in (0, 7, 13, 19)):
        for p, phrase in enumerate(sample.phrases):
            inside = pairs.ids[b][pairs.phrase_tokens[b, p]]
            assert words.decode(inside).split() == [word for word, _ in tokens.pieces(phrase.text)]


def test_the_vocabulary_is_made_from_captions_and_paragraphs_of_train(tmp_path, monkeypatch, capsys):
    from crosslook.data.emoji import records

    some = records.read("val")[:3]
    asked = []
    monkeypatch.setattr(records, "read", lambda split: asked.append(split) or some)
    monkeypatch.setattr(tokens, "FILE", tmp_path / "new" / "vocabulary.txt")
    tokens.main()
    assert asked == ["train"]
    counts = Counter()
    for record in some:
        for line in record["captions"] + record["paragraph"]:
            counts.update(text(parse(line)).lower().replace(".", " . ").replace(",", " , ").split())
    found = tokens.FILE.read_text(encoding="utf-8").split("\n")
    assert found.pop() == ""
    assert found[:5] == list(SPECIAL)
    assert set(found[5:]) == set(counts)
    assert [counts[word] for word in found[5:]] == sorted(counts.values(), reverse=True)
    assert f"{len(counts)} words, {sum(counts.values()):,} tokens" in capsys.readouterr().out
