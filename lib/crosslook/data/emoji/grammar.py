"""Pieces of English as trees: noun phrases, prepositional phrases, verb phrases with their auxiliaries."""

from crosslook.data.emoji.lexicon import Tagged, lexicon, tagged, verb_form
from crosslook.data.emoji.trees import Tree, leaves, parse

_YOU_SOUND = ("uni", "use", "uk", "eu", "one")
BE_FORMS = {"progressive": "present", "past_progressive": "past"}
"""The tense of *be* in a compound form; other forms are the tense itself."""
_DETERMINERS = {
    **dict.fromkeys(("a", "an", "the", "this", "another", "some", "both", "all", "each", "every"), "DT"),
    **dict.fromkeys(("several", "many", "other"), "JJ"),
    **dict.fromkeys(("his", "her", "its", "their"), "PRP$"),
    **dict.fromkeys(("one", "two", "three", "four", "five", "six"), "CD"),
}


def leaf(tag: str, word: str) -> Tree:
    """One word under its tag."""
    return Tree(tag, (), word)


def node(label: str, *children: Tree | None) -> Tree:
    """A constituent; absent children (None) are left out."""
    return Tree(label, tuple(child for child in children if child is not None))


def article(word: str) -> str:
    """`a` or `an` before a word.

    >>> article("old"), article("uniform")
    ('an', 'a')
    """
    return "an" if word[0] in "aeiou" and not word.startswith(_YOU_SOUND) else "a"


def noun_phrase(determiners: str, words: Tagged, referent: str) -> Tree:
    """A marked base noun phrase; `determiners` are the words before its adjectives, possibly none.

    >>> str(noun_phrase("a", tagged("old_JJ dog"), "2"))
    '(NP#2 (DT an) (JJ old) (NN dog))'
    """
    first = determiners.split()
    if first == ["a"]:
        first = [article(words[0][1])]
    front = tuple((_DETERMINERS[word], word) for word in first)
    return Tree("NP", tuple(leaf(tag, word) for tag, word in (*front, *words)), None, referent)


def simple(words: str, referent: str) -> Tree:
    """A marked noun phrase from determiner and noun as one string: `the background`."""
    determiner, _, rest = words.rpartition(" ")
    return noun_phrase(determiner, tagged(rest), referent)


def pronoun_phrase(word: str, referent: str) -> Tree:
    """A marked noun phrase of one pronoun."""
    return Tree("NP", (leaf("PRP", word),), None, referent)


def there() -> Tree:
    """The *there* of *there is*; it is no phrase that could refer."""
    return node("NP", leaf("EX", "there"))


def prepositional(preposition: str, phrase: Tree) -> Tree:
    """A prepositional phrase; *in front of* has a noun phrase of its own inside, which is not visual."""
    template = lexicon()["prepositions"].get(preposition)
    if template is None:
        return node("PP", leaf("IN", preposition), phrase)
    return _fill(parse(template), phrase)


def _fill(tree: Tree, phrase: Tree) -> Tree:
    if tree.label == "X":
        return phrase
    return Tree(tree.label, tuple(_fill(child, phrase) for child in tree.children), tree.word, tree.referent)


def coordinate(label: str, parts: list[Tree], conjunction: str = "and") -> Tree:
    """`a`, `a and b`, `a , b and c`."""
    if len(parts) == 1:
        return parts[0]
    children: list[Tree] = []
    for i, part in enumerate(parts):
        if i == len(parts) - 1:
            children.append(leaf("CC", conjunction))
        elif i:
            children.append(leaf(",", ","))
        children.append(part)
    return Tree(label, tuple(children))


def adverb_phrase(*words: str) -> Tree:
    """Adverbs as one phrase."""
    return node("ADVP", *(leaf("RB", word) for word in words))


def verb_phrase(
    verb: str, form: str, plural: bool, *rest: Tree | None, before: Tree | None = None, after: Tree | None = None
) -> Tree:
    """An active verb phrase. `verb` may end in a preposition that takes the first of `rest`: `look at`.

    `form`: present, past, progressive, past_progressive, ing (no auxiliary) or base. Adverbs stand `before` the
    (main) verb or at its end (`after`).
    """
    base, _, preposition = verb.partition(" ")
    inner = list(rest)
    if base == "be" and inner and inner[0] is not None and inner[0].label == "ADVP":
        inner[0] = _adjectival(inner[0])
    if preposition and inner and inner[0] is not None:
        inner[0] = prepositional(preposition, inner[0])
        inner, after = [after, *inner], None  # stood proudly on a rock
    if form in BE_FORMS:
        auxiliary = leaf(*verb_form("be", BE_FORMS[form], plural))
        return node("VP", auxiliary, before, node("VP", leaf(*verb_form(base, "ing")), *inner, after))
    return node("VP", before, leaf(*verb_form(base, form, plural)), *inner, after)


def _adjectival(phrase: Tree) -> Tree:
    """*next to* and *close to* are adjectives after *be*, adverbs elsewhere (so the Penn Treebank)."""
    first, *more = phrase.children
    return Tree("ADJP", (leaf("JJ", first.word), *more)) if more else phrase


def passive_phrase(verb: str, form: str, plural: bool, *rest: Tree | None, before: Tree | None = None) -> Tree:
    """A passive verb phrase (`is being played`); `form` participle leaves out the auxiliaries (`played by a man`)."""
    base, _, preposition = verb.partition(" ")
    particle = node("PP", leaf("IN", preposition)) if preposition else None
    core = node("VP", leaf(*verb_form(base, "participle")), particle, *rest)
    if form == "participle":
        return core
    if form in BE_FORMS:
        auxiliary = leaf(*verb_form("be", BE_FORMS[form], plural))
        return node("VP", auxiliary, before, node("VP", leaf("VBG", "being"), core))
    return node("VP", leaf(*verb_form("be", form, plural)), before, core)


def by(phrase: Tree) -> Tree:
    """The agent of a passive."""
    return node("PP", leaf("IN", "by"), phrase)


def relative(phrase: Tree, pronoun: str, verb: Tree) -> Tree:
    """A noun phrase with a relative clause: *a man who is wearing a hat*."""
    tag = "WP" if pronoun == "who" else "WDT"
    clause = node("SBAR", node("WHNP", leaf(tag, pronoun)), node("S", verb))
    return node("NP", phrase, clause)


def subordinate(conjunction: str, clause: Tree) -> Tree:
    """*while ...*"""
    return node("SBAR", leaf("IN", conjunction), clause)


def sentence(*children: Tree | None, mark: str = ".") -> Tree:
    """A whole sentence; one noun phrase alone becomes a fragment with that label. Consecutive commas become one."""
    kept = [child for child in children if child is not None]
    label = kept[0].label if len(kept) == 1 and kept[0].label in ("NP", "S") else "S"
    inner = list(kept[0].children) if len(kept) == 1 and kept[0].label == "S" else kept
    return Tree(label, (*inner, leaf(".", mark)))


def length(tree: Tree) -> int:
    """Number of words."""
    return sum(1 for _ in leaves(tree))
