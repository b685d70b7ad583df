"""What texts are made of, counted: parts of speech, noun phrases and those that are never linked, spatial relations.

The counts that Ilinykh and Dobnik (2022, sections 3 and 4) build on, for any collection of descriptions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from crosslook.linking import ignored
from crosslook.progress import track
from crosslook.relations import extract
from crosslook.text import parse

BATCH = 128
"""Texts analysed at a time: bounds memory, and moves the progress bar."""
OBJECTS, RELATIONS = ("DET", "ADJ", "NOUN"), ("VERB", "ADP")
"""The two sets of parts of speech that the paper compares: words that describe objects, words that relate them."""


@dataclass(frozen=True)
class TextStatistics:
    """Counts over all texts.

    `parts`: tokens by universal part of speech. `phrases`: noun phrases by level of nesting. `ignored`: the phrases
    among these that are linked with nothing (pronouns, places in the picture), in lower case. `heads`: head words of
    the others, each noun once, in lower case. `relations`: spatial relations by kind.
    """

    texts: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    phrases: Counter[int] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    heads: Counter[str] = field(default_factory=Counter)
    relations: Counter[str] = field(default_factory=Counter)

    def share(self, parts: Sequence[str]) -> float:
        """The share of these parts of speech among all tokens; NaN without tokens."""
        total = self.parts.total()
        return sum(self.parts[part] for part in parts) / total if total else float("nan")


def statistics(texts: Sequence[str]) -> TextStatistics:
    """Count what texts (sentences or short paragraphs) are made of, by spaCy, with a progress bar.

    Raises:
        ValueError: for a single text in place of a sequence.
    """
    if isinstance(texts, str):
        raise ValueError(f"texts: expected a sequence of texts, got one text {texts!r}")
    found = TextStatistics(texts=len(texts))
    for start in track(range(0, len(texts), BATCH), desc="texts"):
        for each in parse(texts[start : start + BATCH]):
            found.parts.update(token.upos for token in each.tokens)
            for phrase in each.noun_phrases():
                found.phrases[phrase.level] += 1
                if ignored(phrase.text):
                    found.ignored[phrase.text.lower()] += 1
                elif phrase.level == 0:
                    found.heads[each.tokens[phrase.head].text.lower()] += 1
            found.relations.update(relation.kind for relation in extract(each))
    return found
