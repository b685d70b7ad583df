"""Both back ends on real sentences; noun phrases against hand-worked cases, spaCy's own chunks and gold trees."""

from pathlib import Path

import pytest

from crosslook import text
from crosslook.data.emoji import records, trees
from crosslook.paths import DATA
from crosslook.text import NounPhrase, Parse, Token, parse


def sentences():
    """Captions of the photographs, without their marks."""
    import re

    lines = [line for path in (DATA / "photos/Sentences").iterdir() for line in path.read_text().splitlines()]
    return [re.sub(r"\[\S+ ([^\]]*)\]", r"\1", line) for line in lines]


def spans(sentence, level=None):
    (done,) = parse([sentence])
    return [phrase.text for phrase in done.noun_phrases() if level is None or phrase.level == level]


def test_nesting_by_hand():
    sentence = "A man with a guitar on the stage is playing a big red drum ."
    assert spans(sentence) == [
        "A man with a guitar on the stage",
        "A man",
        "a guitar on the stage",
        "a guitar",
        "the stage",
        "a big red drum",
    ]
    assert spans("a woman who is wearing a hat") == ["a woman who is wearing a hat", "a woman", "a hat"]
    assert spans("The dog's ball and his toys", 0) == ["The dog's ball", "The dog", "his toys", "his"]
    assert "The dog's ball and his toys" in spans("The dog's ball and his toys", 2)
    assert spans("There is a man", 0) == ["a man"]
    assert spans("") == []


def test_base_phrases_are_those_spacy_finds_itself():
    nlp = text.spacy_model()
    for sentence in sentences():
        chunks = {
            (c.start_char, c.end_char) for c in nlp(sentence).noun_chunks if c.root.tag_ not in ("WP", "WDT", "EX")
        }
        ours = {(p.start, p.end) for p in parse([sentence])[0].noun_phrases() if p.level == 0}
        assert chunks <= ours, sentence


@pytest.mark.parametrize("backend", text.BACKENDS)
def test_tokens_are_where_they_say(backend):
    odd = ["  Two dogs,  one ball.", "", "Ça va ?\nA man\u2019s hat", "."]
    for done in parse([*sentences(), *odd], backend):
        assert done.backend == backend
        for token in done.tokens:
            assert done.text[token.start : token.end] == token.text
            assert token.tag
            assert token.upos
        assert "".join(token.text for token in done.tokens) == "".join(done.text.split())


@pytest.mark.parametrize("backend", text.BACKENDS)
def test_pretokenized_text_keeps_its_tokens(backend):
    (done,) = parse(["It 's the man's hat ."], backend, pretokenized=True)
    assert [token.text for token in done.tokens] == ["It", "'s", "the", "man's", "hat", "."]


@pytest.mark.parametrize("backend", text.BACKENDS)
def test_many_at_once_is_one_by_one(backend):
    some = sentences()[:4]
    assert parse(some, backend) == [parse([each], backend)[0] for each in some]


def test_tags_of_generated_captions():
    """The generator knows the tags; both back ends must find nearly all of them, the trained tagger more."""
    known = [trees.parse(tree) for record in records.read("val")[:60] for tree in record["captions"]]
    texts = [" ".join(trees.tokens(tree)) for tree in known]
    for backend, least in {"spacy": 0.94, "stanza": 0.97}.items():
        found = parse(texts, backend, pretokenized=True)
        pairs = [
            (token.tag, tag)
            for done, tree in zip(found, known, strict=True)
            for token, tag in zip(done.tokens, trees.tags(tree), strict=True)
        ]
        assert sum(a == b for a, b in pairs) / len(pairs) > least, backend


def test_marked_phrases_are_found_in_generated_captions():
    """Recall of the generator's own base phrases, at whatever level."""
    known = [trees.parse(tree) for record in records.read("val")[:60] for tree in record["captions"]]
    found = parse([trees.text(tree) for tree in known], pretokenized=True)
    hits = total = 0
    for done, tree in zip(found, known, strict=True):
        ours = {(p.start, p.end) for p in done.noun_phrases()}
        gold = {(start, end) for start, end, referent in trees.phrases(tree) if referent != "0"}
        hits, total = hits + len(gold & ours), total + len(gold)
    assert hits / total > 0.9


def test_the_shipped_tagger_says_what_it_cannot_do():
    if text.stanza_pipeline()[1]:
        pytest.skip("an official Stanza model is installed, which parses")
    (done,) = parse(["A dog"], "stanza")
    assert done.tokens[0].head is None
    with pytest.raises(ValueError, match="backend stanza: expected dependency heads, got tags alone"):
        done.noun_phrases()


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="backend: expected one of spacy, stanza, got 'nltk'"):
        parse(["x"], "nltk")
    with pytest.raises(ValueError, match="texts: expected a sequence of texts, got one text 'x'"):
        parse("x")


def ud(path: Path):
    """Parses as annotated in a CoNLL-U file (Universal Dependencies labels)."""
    words, text_line = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# text = "):
            text_line = line.removeprefix("# text = ")
        elif not line and words:
            tokens, at = [], 0
            for index, (form, upos, tag, head, dep) in enumerate(words):
                at = text_line.index(form, at) if form in text_line[at:] else at
                tokens.append(Token(form, at, at + len(form), tag, upos, head - 1 if head else index, dep))
                at += len(form)
            yield Parse(text_line, tuple(tokens), "gold")
            words = []
        elif line[:1].isdigit() and line.split("\t")[0].isdigit():
            columns = line.split("\t")
            words.append((columns[1], columns[3], columns[4], int(columns[6]), columns[7]))


@pytest.mark.realdata
def test_real_news_is_tagged_and_universal_dependencies_give_phrases(shared):
    (path,) = (shared / "data/ud").rglob("en_pud*.conllu")
    gold = list(ud(path))
    assert len(gold) == 1000
    hits = total = 0
    for start in range(0, len(gold), 250):
        batch = gold[start : start + 250]
        found = parse([" ".join(t.text for t in each.tokens) for each in batch], pretokenized=True)
        pairs = [
            (a.upos, b.upos)
            for done, right in zip(found, batch, strict=True)
            for a, b in zip(done.tokens, right.tokens, strict=True)
        ]
        hits, total = hits + sum(a == b for a, b in pairs), total + len(pairs)
    assert hits / total > 0.9
    # The same rule on the other scheme of labels: a phrase starts at its determiner and never at a preposition.
    phrases = [(done, phrase) for done in gold for phrase in done.noun_phrases()]
    assert len(phrases) > 5000
    first = [next(t.upos for t in done.tokens if t.start == phrase.start) for done, phrase in phrases]
    wrong = sum(upos in ("ADP", "CCONJ", "SCONJ", "AUX", "PUNCT") for upos in first)
    assert wrong / len(first) < 0.01, "but for the in-flight internet and its like"


def test_universal_dependencies_by_hand():
    rows = [
        ("The", "DT", "DET", 1, "det"),
        ("man", "NN", "NOUN", 4, "nsubj"),
        ("was", "VBD", "AUX", 4, "cop"),
        ("a", "DT", "DET", 4, "det"),
        ("singer", "NN", "NOUN", 4, "root"),
        ("with", "IN", "ADP", 7, "case"),
        ("a", "DT", "DET", 7, "det"),
        ("hat", "NN", "NOUN", 4, "nmod"),
    ]
    sentence, at, tokens = " ".join(row[0] for row in rows), 0, []
    for form, tag, upos, head, dep in rows:
        tokens.append(Token(form, at, at + len(form), tag, upos, head, dep))
        at += len(form) + 1
    assert Parse(sentence, tuple(tokens), "hand").noun_phrases() == [
        NounPhrase(0, 7, "The man", 1, 0),
        NounPhrase(12, 31, "a singer with a hat", 4, 1),
        NounPhrase(12, 20, "a singer", 4, 0),
        NounPhrase(26, 31, "a hat", 7, 0),
    ]
