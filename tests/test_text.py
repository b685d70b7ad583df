"""Both back ends on real sentences; noun phrases against hand-worked cases, spaCy's own chunks and gold trees."""

from collections import Counter
from pathlib import Path

import pytest

from crosslook import text
from crosslook.data.emoji import records, trees
from crosslook.data.emoji.tags import universal
from crosslook.paths import DATA
from crosslook.text import NounPhrase, Parse, Token, parse
from crosslook.train_tagger import accuracy, conllu, generated, most_frequent, tagged


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder in which alone Stanza's weights are looked for."""
    monkeypatch.setattr(text, "STANZA_TAGGER", tmp_path / text.STANZA_TAGGER.name)
    monkeypatch.setenv("STANZA_RESOURCES_DIR", str(tmp_path))
    text.stanza_pipeline.cache_clear()
    yield tmp_path
    text.stanza_pipeline.cache_clear()


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
    assert spans("There is a man") == ["a man"]
    assert spans("") == []


def test_possessors_are_phrases_but_possessive_pronouns_are_not():
    sentence = "The dog's ball and his toys"
    assert spans(sentence) == [sentence, "The dog's ball", "The dog", "his toys"]


def by_hand(*rows):
    """A parse of rows (form, Penn tag, universal tag, head counted from 0, relation)."""
    tokens, at = [], 0
    for form, tag, upos, head, dep in rows:
        tokens.append(Token(form, at, at + len(form), tag, upos, head, dep))
        at += len(form) + 1
    return Parse(" ".join(row[0] for row in rows), tuple(tokens), "hand")


def test_every_modifier_behind_a_noun_adds_a_level():
    parsed = by_hand(
        ("a", "DT", "DET", 1, "det"),
        ("boy", "NN", "NOUN", 1, "ROOT"),
        ("with", "IN", "ADP", 1, "prep"),
        ("blond", "JJ", "ADJ", 4, "amod"),
        ("hair", "NN", "NOUN", 2, "pobj"),
        ("riding", "VBG", "VERB", 1, "acl"),
        ("bikes", "NNS", "NOUN", 5, "dobj"),
    )
    assert [(phrase.text, phrase.level) for phrase in parsed.noun_phrases()] == [
        ("a boy with blond hair riding bikes", 2),
        ("a boy with blond hair", 1),
        ("a boy", 0),
        ("blond hair", 0),
        ("bikes", 0),
    ]


@pytest.mark.parametrize("second_head", [2, 0], ids=["spaCy: a chain", "Universal Dependencies: all on the first"])
def test_conjuncts_are_added_all_at_once(second_head):
    parsed = by_hand(
        ("dogs", "NNS", "NOUN", 0, "ROOT"),
        (",", ",", "PUNCT", 0, "punct"),
        ("cats", "NNS", "NOUN", 0, "conj"),
        ("and", "CC", "CCONJ", second_head, "cc"),
        ("birds", "NNS", "NOUN", second_head, "conj"),
    )
    assert [(phrase.text, phrase.level) for phrase in parsed.noun_phrases()] == [
        ("dogs , cats and birds", 1),
        ("dogs", 0),
        ("cats", 0),
        ("birds", 0),
    ]


def test_universal_dependencies_by_hand():
    parsed = by_hand(
        ("The", "DT", "DET", 1, "det"),
        ("man", "NN", "NOUN", 4, "nsubj"),
        ("was", "VBD", "AUX", 4, "cop"),
        ("a", "DT", "DET", 4, "det"),
        ("singer", "NN", "NOUN", 4, "root"),
        ("with", "IN", "ADP", 7, "case"),
        ("a", "DT", "DET", 7, "det"),
        ("hat", "NN", "NOUN", 4, "nmod"),
    )
    assert parsed.noun_phrases() == [
        NounPhrase(0, 7, "The man", 1, 0),
        NounPhrase(12, 31, "a singer with a hat", 4, 1),
        NounPhrase(12, 20, "a singer", 4, 0),
        NounPhrase(26, 31, "a hat", 7, 0),
    ]


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


@pytest.fixture(scope="module")
def known():
    """Generated captions as trees, none of which the tagger saw in training."""
    return [trees.parse(tree) for record in records.read("test")[:60] for tree in record["captions"]]


def test_tags_of_generated_captions(known):
    """The generator knows the tags; both back ends find nearly all, the trained tagger more than a table of words."""
    gold = [(trees.text(tree).split(" "), trees.tags(tree), universal(tree)) for tree in known]
    penn, upos = zip(
        accuracy(most_frequent(generated("train", 200), gold), gold),
        accuracy(tagged(gold, "spacy"), gold),
        accuracy(tagged(gold, "stanza"), gold),
        strict=True,
    )
    assert min(*penn[1:], *upos[1:]) > 0.98
    assert penn[2] > penn[0]
    assert upos[2] > upos[0] + 0.005


def noun_phrases_of(tree):
    """(first token, token after the last) -> level of nesting of the noun phrases of a tree, as `noun_phrases` cuts."""
    tags, found = trees.tags(tree), {}
    for label, start, end in reversed(trees.constituents(tree)):
        while end - 1 > start and tags[end - 1] in (".", ","):
            end -= 1
        if label == "NP" and tags[start] != "EX":
            within = [level for (a, b), level in found.items() if start <= a and b <= end and (a, b) != (start, end)]
            found[start, end] = max(within, default=-1) + 1
    return found


def test_noun_phrases_of_generated_captions_at_every_level(known):
    """Against the trees: nearly all base phrases, most of the nested ones (where attachment is a matter of taste)."""
    hits, total, made, right = Counter(), Counter(), Counter(), Counter()
    for done, tree in zip(parse([trees.text(tree) for tree in known], pretokenized=True), known, strict=True):
        gold = noun_phrases_of(tree)
        first = {token.start: index for index, token in enumerate(done.tokens)}
        last = {token.end: index + 1 for index, token in enumerate(done.tokens)}
        ours = {(first[phrase.start], last[phrase.end]): phrase.level for phrase in done.noun_phrases()}
        total.update(min(level, 2) for level in gold.values())
        hits.update(min(gold[span], 2) for span in gold.keys() & ours.keys())
        made.update(min(level, 2) for level in ours.values())
        right.update(min(ours[span], 2) for span in gold.keys() & ours.keys())
    assert hits[0] / total[0] > 0.98
    assert right[0] / made[0] > 0.98
    assert hits[1] / total[1] > 0.65
    assert right[1] / made[1] > 0.5
    assert hits[2] / total[2] > 0.5


def test_marked_phrases_are_found_in_generated_captions(known):
    """What captions talk about and a picture shows: nearly all of it is a noun phrase of the parser."""
    hits = total = 0
    for done, tree in zip(parse([trees.text(tree) for tree in known], pretokenized=True), known, strict=True):
        ours = {(phrase.start, phrase.end) for phrase in done.noun_phrases()}
        gold = {(start, end) for start, end, referent in trees.phrases(tree) if referent != "0"}
        hits, total = hits + len(gold & ours), total + len(gold)
    assert hits / total > 0.97


def test_the_shipped_weights_are_small_hold_no_code_and_no_paths():
    import torch

    assert text.STANZA_TAGGER.stat().st_size <= 5_000_000
    kept = torch.load(text.STANZA_TAGGER, map_location="cpu", weights_only=True)
    assert not [value for value in kept["config"].values() if isinstance(value, str) and value.startswith("/")]


def test_stanza_refuses_weights_that_would_run_code(elsewhere):
    """The back end unpickles nothing: Stanza itself reads weights with `weights_only`."""
    import pickle
    import shutil

    import torch

    class Trap:
        def __reduce__(self):
            return (Path.touch, (elsewhere / "ran",))

    torch.save({"model": Trap()}, text.STANZA_TAGGER)
    shutil.copy(DATA / "stanza" / "resources.json", elsewhere)
    with pytest.raises(pickle.UnpicklingError):
        parse(["a dog"], "stanza")
    assert not (elsewhere / "ran").exists()


@pytest.mark.usefixtures("elsewhere")
def test_without_weights_the_error_says_how_to_make_them():
    with pytest.raises(FileNotFoundError, match=r"expected Stanza's weights; make them: python -m crosslook\.train"):
        parse(["a dog"], "stanza")


def test_an_official_model_is_preferred(elsewhere, monkeypatch):
    """Where the user's folder holds Stanza's tagger and parser, these are what is asked for."""
    asked = {}

    def pipeline(language, **options):
        asked.update(options)

    monkeypatch.setattr("stanza.Pipeline", pipeline)
    for kind in ("pos", "depparse"):
        (elsewhere / "en" / kind).mkdir(parents=True)
    assert text.stanza_pipeline()[1]
    assert asked["dir"] == str(elsewhere)
    assert "depparse" in asked["processors"]
    assert asked["download_method"] is None


def test_conllu_by_hand():
    assert conllu([(["A", "dog"], ["DT", "NN"], ["DET", "NOUN"])]) == (
        "1\tA\t_\tDET\tDT\t_\t0\troot\t_\t_\n2\tdog\t_\tNOUN\tNN\t_\t1\tdep\t_\t_\n\n"
    )


def test_most_frequent_tags_by_hand():
    train = [(["Light"], ["JJ"], ["ADJ"]), (["light", "light"], ["NN", "NN"], ["NOUN", "NOUN"])]
    asked = [(["LIGHT", "unknown"], ["NN", "JJ"], ["NOUN", "NOUN"])]
    found = most_frequent(train, asked)
    assert found == [[("NN", "NOUN"), ("NN", "NOUN")]]
    assert accuracy(found, asked) == (0.5, 1.0)


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
    """Parses as annotated in a CoNLL-U file (Universal Dependencies labels); its tokens joined by single spaces."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        columns = line.split("\t")
        if columns[0].isdigit():
            rows.append((columns[1].replace(" ", "_"), columns[4], columns[3], int(columns[6]), columns[7]))
        elif not line and rows:
            places = [(*row[:3], row[3] - 1 if row[3] else index, row[4]) for index, row in enumerate(rows)]
            yield by_hand(*places)
            rows = []


@pytest.mark.realdata
def test_real_news_is_tagged(shared):
    gold = list(ud(shared / "data/ud/en_pud-ud-test.conllu"))
    assert len(gold) == 1000
    sentences = [
        ([t.text for t in done.tokens], [t.tag for t in done.tokens], [t.upos for t in done.tokens]) for done in gold
    ]
    assert min(accuracy(tagged(sentences, "spacy"), sentences)) > 0.94
    # A tagger that has read captions only knows few of these words, but something of their endings and order.
    assert min(accuracy(tagged(sentences[:300], "stanza"), sentences[:300])) > 0.5


@pytest.mark.realdata
def test_noun_phrases_of_real_news_are_those_of_its_annotated_trees(shared):
    """One rule on two schemes of labels: spaCy's parses against Universal Dependencies by people."""
    gold = list(ud(shared / "data/ud/en_pud-ud-test.conllu"))[:300]
    hits, total = Counter(), Counter()
    for done, right in zip(parse([each.text for each in gold], pretokenized=True), gold, strict=True):
        ours = {(phrase.start, phrase.end) for phrase in done.noun_phrases()}
        for phrase in right.noun_phrases():
            total[min(phrase.level, 1)] += 1
            hits[min(phrase.level, 1)] += (phrase.start, phrase.end) in ours
    assert sum(total.values()) > 1500
    assert hits[0] / total[0] > 0.9
    assert hits[1] / total[1] > 0.6
