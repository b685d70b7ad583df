"""What each predicate means in pixels: `holds(predicate, subject box, object box)`.

Boxes are `(x1, y1, x2, y2)` with exclusive right and bottom edges; y grows downwards, so a lower edge is nearer.
Everything is integer arithmetic. A rule is necessary, not sufficient: a woman *next to* a bench may look as if she
leaned on it; a scene says which relations were meant, and each of those keeps its rule.
"""

from collections.abc import Callable
from typing import NamedTuple

Box = tuple[int, int, int, int]


class Pair(NamedTuple):
    """What the rules look at, for subject s and object o."""

    s: Box
    o: Box

    @property
    def gap_x(self) -> int:
        """Free pixels between the two from side to side; negative: how far they overlap."""
        return max(self.s[0], self.o[0]) - min(self.s[2], self.o[2])

    @property
    def gap_y(self) -> int:
        """The same from top to bottom."""
        return max(self.s[1], self.o[1]) - min(self.s[3], self.o[3])

    @property
    def foot(self) -> int:
        """How much lower (nearer) the object stands."""
        return self.o[3] - self.s[3]

    @property
    def width(self) -> int:
        """The narrower one's width."""
        return min(self.s[2] - self.s[0], self.o[2] - self.o[0])

    def middle_in(self, low: int = 0, high: int = 100) -> bool:
        """Is the subject's middle over the object, between these per cent of its width?"""
        x = 50 * (self.s[0] + self.s[2])
        w = self.o[2] - self.o[0]
        return 100 * self.o[0] + low * w <= x <= 100 * self.o[0] + high * w

    def bottom_in(self, low: int, high: int) -> bool:
        """Is the subject's bottom edge between these per cent of the object's height, from its top?"""
        h = self.o[3] - self.o[1]
        return 100 * self.o[1] + low * h <= 100 * self.s[3] <= 100 * self.o[1] + high * h

    def reached(self, low: int, high: int) -> bool:
        """Is the object's centre between these per cent of the subject's height, from its top?"""
        h = self.s[3] - self.s[1]
        return 100 * self.s[1] + low * h <= 50 * (self.o[1] + self.o[3]) <= 100 * self.s[1] + high * h

    def swapped(self) -> "Pair":
        return Pair(self.o, self.s)


def _beside(p: Pair, low: int, high: int, foot: int = 26) -> bool:
    return low <= p.gap_x <= high and abs(p.foot) <= foot


def _behind(p: Pair) -> bool:
    return p.foot >= 3 and 4 * -p.gap_x >= p.width and p.gap_y < 0


def _left_of(p: Pair) -> bool:
    return p.s[2] <= p.o[0] + p.width // 4 and p.s[0] < p.o[0]


def _touch(p: Pair, slack: int = 4) -> bool:
    return p.gap_x <= slack and p.gap_y <= slack


def _inside(p: Pair, slack: int = 3) -> bool:
    """The object within the subject (a part of it)."""
    (a, b, c, d), (x1, y1, x2, y2) = p
    return x1 >= a - slack and y1 >= b - slack and x2 <= c + slack and y2 <= d + slack


RULES: dict[str, Callable[[Pair], bool]] = {
    # Side by side in the image, one quarter of the narrower may overlap.
    "left_of": _left_of,
    "right_of": lambda p: _left_of(p.swapped()),
    # Side by side on the same ground: at most 24 pixels apart, feet within 26 pixels.
    "next_to": lambda p: _beside(p, -p.width // 4, 24),
    "near": lambda p: p.gap_x <= 60 and p.gap_y <= 40,
    # Overlapping by a quarter of the narrower, the one in front standing at least 3 pixels lower.
    "behind": _behind,
    "in_front_of": lambda p: _behind(p.swapped()),
    # The subject's foot on the object, in the upper three quarters of it, the rest of it higher.
    "on": lambda p: p.middle_in() and p.bottom_in(-5, 78) and p.s[1] < p.o[3],
    "standing_on": lambda p: p.middle_in() and p.bottom_in(-5, 78) and p.s[1] < p.o[1],
    "above": lambda p: p.s[3] <= p.o[1] + 2 and p.gap_x <= 30,
    # Below the top of what covers it, and within its width.
    "under": lambda p: p.middle_in() and p.s[1] >= p.o[1] and not p.bottom_in(-1000, 80),
    # The foot inside the container, in the lower part, the middle within its width.
    "in": lambda p: p.middle_in() and p.bottom_in(20, 100) and p.gap_y < 0,
    # Clothes lie on the person; a hat may rise over the head.
    "wearing": lambda p: p.swapped().middle_in(-5, 105) and p.gap_y < 0 and p.reached(-20, 100),
    "holding": lambda p: _touch(p),
    "carrying": lambda p: _touch(p, 0) and p.reached(20, 85),
    "playing": lambda p: _touch(p, 0) and p.reached(15, 100),
    "reading": lambda p: _touch(p, 0) and p.swapped().middle_in() and p.reached(30, 80),
    # The seat is under the hip, which is in the lower half of the person.
    "riding": lambda p: p.middle_in() and p.bottom_in(5, 105) and p.s[1] < p.o[1] + (p.o[3] - p.o[1]) // 2,
    "driving": lambda p: p.middle_in() and p.bottom_in(20, 90),
    "sitting_on": lambda p: p.middle_in(-10, 110) and p.bottom_in(5, 130) and p.s[1] < p.o[3],
    "lying_on": lambda p: p.middle_in() and p.bottom_in(20, 100) and p.s[2] - p.s[0] > p.s[3] - p.s[1],
    "leaning_on": lambda p: p.gap_x <= 4 and abs(p.foot) <= 26 and p.gap_y < 0,
    "hanging_from": lambda p: p.middle_in(-5, 105) and p.o[1] <= p.s[1] < p.o[3] and p.s[3] < p.o[3],
    # Joined by a hand or a line; both stand on the ground.
    "pulling": lambda p: _beside(p, -p.width // 3, 44),
    "pushing": lambda p: _beside(p, -p.width // 3, 12),
    "walking": lambda p: _beside(p, -4, 52),
    "chasing": lambda p: _beside(p, 0, 90),
    "kicking": lambda p: p.gap_x <= 8 and p.reached(75, 110),
    # In the air at the height of the head, beside it.
    "throwing": lambda p: p.gap_x <= 30 and p.reached(-30, 35),
    "feeding": lambda p: p.gap_x <= 14 and p.gap_y < 0,
    "looking_at": lambda p: p.gap_x <= 130,
    "has": _inside,
}
"""One rule per predicate."""


def holds(predicate: str, subject: Box, object: Box) -> bool:
    """Does the geometry of two boxes allow `subject predicate object`? Raises ValueError for an unknown predicate."""
    if predicate not in RULES:
        raise ValueError(f"predicate: expected one of {tuple(RULES)}, got {predicate!r}")
    return RULES[predicate](Pair(subject, object))
