"""The nouns of a parsed sentence, by their heads: what they are coordinated with, part of, called, worn by."""

import json
from functools import cache
from pathlib import Path

from crosslook.text import Parse

OBJECT = frozenset(("dobj", "obj"))
SUBJECT = ("nsubj", "nsubjpass", "nsubj:pass")


@cache
def word_lists() -> dict:
    """The words that patterns over dependencies ask for, as in `relations.json`."""
    return json.loads(Path(__file__).with_name("relations.json").read_text(encoding="utf-8"))


@cache
def listed(name: str) -> frozenset[str]:
    """One of the word lists."""
    return frozenset(word_lists()[name].split())


class Nouns:
    """`phrases`: the shortest noun phrase of every head; `children`: what depends on each token."""

    def __init__(self, parse: Parse) -> None:
        self.parse, self.tokens = parse, parse.tokens
        self.phrases = {phrase.head: phrase for phrase in parse.noun_phrases() if phrase.level == 0}
        self.children: list[list[int]] = [[] for _ in self.tokens]
        for index, token in enumerate(self.tokens):
            if token.head != index:
                self.children[token.head].append(index)
        roots = {index: index for index, token in enumerate(self.tokens) if token.head == index}
        for index in (todo := list(roots)):
            roots |= dict.fromkeys(self.children[index], roots[index])
            todo += self.children[index]
        self._roots = roots

    def root(self, index: int) -> int:
        """The head of the sentence that a token is in."""
        return self._roots[index]

    def lower(self, index: int) -> str:
        """The token in lower case."""
        return self.tokens[index].text.lower()

    def word(self, index: int) -> str:
        """The token in lower case, without the hyphen of a word cut in two, and without a plural's s."""
        word = self.lower(index).lstrip("-")
        return word[:-1] if word.endswith("s") and not word.endswith("ss") else word

    def is_a(self, index: int, *names: str) -> bool:
        """Whether a noun stands in one of the word lists, as it is or in the singular."""
        return any({self.word(index), self.lower(index).lstrip("-")} & listed(name) for name in names)

    def edges(self, head: int) -> tuple[int, int]:
        """The tokens `first` to `last` (exclusive) of the noun phrase of a head."""
        phrase, first = self.phrases.get(head), head
        while phrase and first and self.tokens[first - 1].start >= phrase.start:
            first -= 1
        return first, head + 1

    def of(self, head: int) -> int | None:
        """What a noun is of: *the slope of a hill*."""
        for child in self.children[head]:
            if self.lower(child) == "of":
                return next((each for each in self.children[child] if each in self.phrases), None)
        return None

    def end(self, head: int) -> int:
        """The token behind a noun phrase and what it is of."""
        while (inner := self.of(head)) is not None and inner > head:
            head = inner
        return head + 1

    def first_conjunct(self, noun: int) -> int:
        """The first of the nouns that a noun is coordinated with, or itself."""
        while self.tokens[noun].dep == "conj" and self.tokens[noun].head in self.phrases:
            noun = self.tokens[noun].head
        return noun

    def conjuncts(self, noun: int, starts: list[int]) -> list[int]:
        """What is coordinated with a noun behind it, as far as nothing in between (`starts`) says where it is."""
        found, todo = [], [noun]
        while todo:
            here = todo.pop()
            for child in self.children[here]:
                apart = any(here < start < child for start in starts)
                if self.tokens[child].dep == "conj" and child in self.phrases and not apart:
                    found.append(child)
                    todo.append(child)
        return found

    def conjuncts_before(self, noun: int, starts: list[int]) -> list[int]:
        """The same for what stands before a noun."""
        found = []
        while self.tokens[noun].dep == "conj" and (previous := self.tokens[noun].head) in self.phrases:
            if any(previous < start < noun for start in starts) or self.depicts(previous):
                break
            found.append(previous)
            noun = previous
        return found

    def depicts(self, noun: int) -> bool:
        """Whether a noun says what kind of picture this is: *view of a city*, *this is a picture of a dog*."""
        token = self.tokens[noun]
        if token.dep == "attr" and self.is_a(noun, "pictures"):
            return any(self.lower(each) in ("this", "that", "it") for each in self.children[token.head])
        return self.is_a(noun, "depictions")

    def depicted(self, noun: int) -> bool:
        """Whether a noun says what is in the picture: *view of a city*."""
        of = self.tokens[noun].head
        return self.lower(of) == "of" and self.depicts(self.tokens[of].head)

    def inner(self, noun: int) -> int:
        """From amounts and depictions to what there is: *a group of tourists*."""
        for _ in self.tokens:
            number = self.tokens[noun].upos == "NUM" or self.is_a(noun, "amounts")
            below = self.of(noun) if number or self.depicts(noun) else None
            if below is None or self.tokens[below].upos == "PRON":
                break
            noun = below
        return noun

    def wearer(self, noun: int, starts: list[int]) -> int | None:
        """Who wears a piece of clothing, if it is said: where they stand is not said of their clothes.

        The words decide, since parsers lose their way in *a boy wearing a cap and a red shirt standing in a room*.
        `starts` are the tokens that say where.
        """
        if not self.is_a(noun, "clothes"):
            return None
        for index in range(noun - 1, 0, -1):
            if self.is_a(index, "wears") or (self.lower(index) == "in" and index not in starts):
                return max((head for head in self.phrases if head < index), default=None)
        return None
