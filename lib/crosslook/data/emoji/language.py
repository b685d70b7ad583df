"""Five describers, and one who tells the picture as a paragraph. Everything follows from the scene and its seed."""

from random import Random

from crosslook.data.emoji.grammar import length, sentence
from crosslook.data.emoji.lexicon import pick
from crosslook.data.emoji.mentions import Context, Style
from crosslook.data.emoji.paragraphs import paragraph
from crosslook.data.emoji.patterns import PATTERNS, listing
from crosslook.data.emoji.scene import Scene
from crosslook.data.emoji.trees import Tree

__all__ = ["DESCRIBERS", "caption", "captions", "paragraph"]

TERSE = Style(
    forms={"present": 6, "progressive": 4},
    patterns={"active": 5, "fragment": 5, "passive": 1, "together": 1},
    colour=0.15, size=0.05, opinion=0.05, material=0.03, general=0.08,
    modifiers=0.12, extras=0.1, setting=0.3, words=(6, 12),
)  # fmt: skip
DETAILED = Style(
    forms={"present": 3, "progressive": 7},
    patterns={"active": 8, "fragment": 2, "two_verbs": 5, "passive": 1, "two_clauses": 1},
    colour=0.85, size=0.7, opinion=0.35, material=0.3, general=0.02,
    modifiers=0.75, extras=0.6, setting=0.35, adverbs=0.05, words=(11, 22),
)  # fmt: skip
STORYTELLER = Style(
    forms={"past": 6, "past_progressive": 4},
    patterns={"active": 5, "two_verbs": 5, "two_clauses": 5, "passive": 1, "inverted": 2, "together": 1},
    colour=0.25, size=0.25, opinion=0.45, material=0.1, general=0.08,
    modifiers=0.3, extras=0.3, setting=0.4, adverbs=0.6, words=(8, 22),
)  # fmt: skip
GENERAL = Style(
    forms={"present": 4, "progressive": 6},
    patterns={"active": 4, "group": 6, "together": 2, "passive": 2, "existential": 1},
    colour=0.08, size=0.06, opinion=0.05, material=0.02, general=0.75,
    modifiers=0.15, extras=0.25, setting=0.55, words=(6, 18),
)  # fmt: skip
SCENE_FIRST = Style(
    forms={"present": 5, "progressive": 5},
    patterns={"fronted": 6, "shows": 5, "existential": 4, "sided": 4},
    colour=0.4, size=0.2, opinion=0.15, material=0.1, general=0.1,
    modifiers=0.35, extras=0.3, setting=0.2, words=(8, 22),
)  # fmt: skip
DESCRIBERS = (TERSE, DETAILED, STORYTELLER, GENERAL, SCENE_FIRST)
"""In the order in which they speak."""


def captions(scene: Scene) -> list[str]:
    """Five captions, one by each describer, as trees (see `trees`). Raises ValueError for a scene without things."""
    if not scene.things:
        raise ValueError(f"scene {scene.id!r}: expected things to speak of, came none")
    return [str(caption(scene, number)) for number in range(len(DESCRIBERS))]


def caption(scene: Scene, number: int) -> Tree:
    """What one describer says; a sentence that comes out too short or too long is thought over."""
    style = DESCRIBERS[number]
    rng = Random(f"{scene.seed} caption {number}")
    best: Tree | None = None
    for _ in range(30):
        parts = PATTERNS[pick(rng, style.patterns)](Context(scene, rng, style))
        if parts is None:
            continue
        tree = sentence(*parts)
        if best is None or _excess(tree, style) < _excess(best, style):
            best = tree
        if _excess(best, style) == 0:
            return best
    return best or sentence(*listing(Context(scene, rng, style)))


def _excess(tree: Tree, style: Style) -> int:
    return max(style.words[0] - length(tree), length(tree) - style.words[1], 0)
