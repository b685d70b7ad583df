"""What texts are made of, counted: parts of speech, noun phrases and those that are never linked, spatial relations.

The counts that Ilinykh and Dobnik (2022, sections 3 and 4) build on, for any collection of descriptions.

    python -m crosslook.text_statistics PATH/sequences.csv     # of "Tell me more"; writes data/published/rooms.json
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from crosslook.linking import ignored
from crosslook.paths import DATA
from crosslook.progress import track
from crosslook.relations import extract
from crosslook.text import parse

BATCH = 128
"""Texts analysed at a time: bounds memory, and moves the progress bar."""
OBJECTS, RELATIONS = ("DET", "ADJ", "NOUN"), ("VERB", "ADP")
"""The two sets of parts of speech that the paper compares: words that describe objects, words that relate them."""


ROOMS = DATA / "published" / "rooms.json"
"""The counts of 5,702 descriptions of real rooms."""
MOST = 100
"""How many ignored phrases and head words a file keeps: the commonest."""


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


def save(found: TextStatistics, path: Path) -> None:
    """Write counts as JSON, the commonest first; of ignored phrases and head words the first 100."""
    kept = {name: dict(getattr(found, name).most_common(limit)) for name, limit in _counters()}
    path.write_text(json.dumps({"texts": found.texts} | kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path = ROOMS) -> TextStatistics:
    """What `save` wrote.

    Raises:
        ValueError: the file does not hold such counts.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        counts = {name: Counter(kept[name]) for name, _ in _counters()}
        counts["phrases"] = Counter({int(level): count for level, count in kept["phrases"].items()})
        return TextStatistics(kept["texts"], **counts)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected counts as `text_statistics.save` writes them ({error})") from error


def _counters() -> list[tuple[str, int | None]]:
    """The fields that are counters, and how much of each is kept."""
    names = [each.name for each in fields(TextStatistics) if each.name != "texts"]
    return [(name, MOST if name in ("ignored", "heads") else None) for name in names]


def main(arguments: Sequence[str] | None = None) -> None:
    from crosslook.data import tell_me_more

    parser = argparse.ArgumentParser(prog="python -m crosslook.text_statistics", description=__doc__.split("\n")[0])
    parser.add_argument("path", type=Path, help="sequences.csv of Tell me more")
    parser.add_argument("-o", "--out", type=Path, default=ROOMS, help="the file to write (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    found = statistics(tell_me_more.read(chosen.path))
    save(found, chosen.out)
    print(f"wrote {chosen.out}: {found.texts:,} texts, {found.parts.total():,} tokens")


if __name__ == "__main__":
    main()
