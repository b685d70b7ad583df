"""Words as tokens: Emoji Entities has some hundreds of words, so that no word needs pieces.

python -m crosslook.models.tokens        # makes data/zoo/vocabulary.txt again, from the train split
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import torch
from torch import Tensor

from crosslook.paths import DATA

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
FILE = DATA / "zoo" / "vocabulary.txt"


class Words:
    """Gives the ids of a caption's words and their characters, as `crosslook.data.sample.collate` wants them.

    A caption becomes [CLS], its words in lower case (and its punctuation marks), [SEP]. Words that are not in the
    vocabulary become [UNK].

    Raises:
        ValueError: for a vocabulary that does not begin with the special tokens, or names a word twice.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        if self.vocabulary[: len(SPECIAL)] != SPECIAL:
            got = self.vocabulary[: len(SPECIAL)]
            raise ValueError(f"vocabulary: expected {', '.join(SPECIAL)} first, got {', '.join(got) or 'nothing'}")
        self._ids = {word: place for place, word in enumerate(self.vocabulary)}
        if len(self._ids) < len(self.vocabulary):
            twice = [word for word, count in Counter(self.vocabulary).items() if count > 1]
            raise ValueError(f"vocabulary: expected each word once, got {', '.join(twice[:5])} several times")

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __call__(self, caption: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and character spans; special tokens have the span (0, 0)."""
        found = list(pieces(caption))
        ids = [self._ids.get(word, UNK) for word, _ in found]
        return [CLS, *ids, SEP], [(0, 0), *(span for _, span in found), (0, 0)]

    def decode(self, ids: Iterable[int] | Tensor) -> str:
        """The words of some ids with blanks between them; special tokens but [UNK] are left out."""
        places = ids.tolist() if isinstance(ids, Tensor) else ids
        return " ".join(self.vocabulary[i] for i in places if i == UNK or i >= len(SPECIAL))


def pieces(caption: str) -> Iterable[tuple[str, tuple[int, int]]]:
    """The words and punctuation marks of a text, in lower case, with their characters."""
    for match in re.finditer(r"\w+|[^\w\s]", caption):
        yield match.group().lower(), match.span()


@cache
def emoji() -> Words:
    """The words of Emoji Entities."""
    return Words(FILE.read_text(encoding="utf-8").split())


def special(ids: Tensor) -> Tensor:
    """Which tokens are none of the caption's words: padding, [CLS] and [SEP]."""
    return torch.isin(ids, torch.tensor([PAD, CLS, SEP], device=ids.device))


def main() -> None:
    from crosslook.data.emoji import records
    from crosslook.data.emoji.trees import parse, text

    counts: Counter[str] = Counter()
    for record in records.read("train"):
        for line in [*record["captions"], *record["paragraph"]]:
            counts.update(word for word, _ in pieces(text(parse(line))))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    words = sorted(counts, key=lambda word: (-counts[word], word))
    FILE.write_text("\n".join([*SPECIAL, *words]) + "\n", encoding="utf-8")
    print(
        f"wrote {FILE}: {len(words)} words, {sum(counts.values()):,} tokens, the rarest seen {counts[words[-1]]} times"
    )


if __name__ == "__main__":
    main()
