"""From Penn Treebank tags to the universal parts of speech, as Universal Dependencies' English treebanks have them."""

from crosslook.data.emoji.trees import Tree, leaves

_UPOS = {
    "CC": "CCONJ",
    "CD": "NUM",
    "DT": "DET",
    "EX": "PRON",
    "IN": "ADP",
    "JJ": "ADJ",
    "JJR": "ADJ",
    "JJS": "ADJ",
    "MD": "AUX",
    "NN": "NOUN",
    "NNS": "NOUN",
    "NNP": "PROPN",
    "PDT": "DET",
    "POS": "PART",
    "PRP": "PRON",
    "PRP$": "PRON",
    "RB": "ADV",
    "RBR": "ADV",
    "RP": "ADP",
    "TO": "PART",
    "UH": "INTJ",
    "VB": "VERB",
    "VBD": "VERB",
    "VBG": "VERB",
    "VBN": "VERB",
    "VBP": "VERB",
    "VBZ": "VERB",
    "WDT": "PRON",
    "WP": "PRON",
    "WP$": "PRON",
    "WRB": "ADV",
    ",": "PUNCT",
    ".": "PUNCT",
    ":": "PUNCT",
}
_BE = frozenset(["am", "are", "be", "been", "being", "is", "was", "were"])
_SUBORDINATING = frozenset(["although", "as", "because", "if", "since", "that", "though", "whereas", "while"])


def upos(tag: str, word: str) -> str:
    """The universal part of speech of a word with this Penn tag, as far as the two decide it.

    Forms of *be* count as auxiliaries (UD's copula and auxiliary alike; existential *be*, a verb, needs the
    sentence: see `universal`). Raises ValueError for an unknown tag.

    >>> upos("VBZ", "is"), upos("IN", "while"), upos("NNS", "dogs")
    ('AUX', 'SCONJ', 'NOUN')
    """
    if tag not in _UPOS:
        raise ValueError(f"tag: expected a Penn Treebank tag, came {tag!r} (on {word!r})")
    if tag.startswith("VB") and word.lower() in _BE:
        return "AUX"
    if tag == "IN" and word.lower() in _SUBORDINATING:
        return "SCONJ"
    return _UPOS[tag]


def universal(tree: Tree) -> list[str]:
    """The universal part of speech of every word of a sentence.

    >>> from crosslook.data.emoji.trees import parse
    >>> universal(parse("(S (NP (EX there)) (VP (VBZ is) (NP#1 (DT a) (NN dog))))"))
    ['PRON', 'VERB', 'DET', 'NOUN']
    """
    words = [(leaf.label, leaf.word) for leaf in leaves(tree)]
    found = [upos(tag, word) for tag, word in words]
    for i, (tag, _) in enumerate(words[:-1]):
        if tag == "EX" and found[i + 1] == "AUX" and words[i + 1][0] != "MD":
            found[i + 1] = "VERB"
        # A determiner that no noun follows stands for one: *this is ...*, *all of them*.
        if tag == "DT" and words[i + 1][0] in ("IN", "MD", "VBD", "VBP", "VBZ"):
            found[i] = "PRON"
    return found
