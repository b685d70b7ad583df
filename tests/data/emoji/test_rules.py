"""The geometry of predicates: cases worked by hand, and what must hold for any two boxes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosslook.data.emoji.rules import RULES, holds
from crosslook.data.emoji.world import PREDICATES

MAN = (100, 80, 150, 200)

# predicate, subject, an object for which it holds, one for which it does not
CASES = [
    ("left_of", MAN, (160, 150, 200, 200), (60, 150, 95, 200)),
    ("right_of", MAN, (60, 150, 95, 200), (160, 150, 200, 200)),
    ("next_to", MAN, (160, 150, 200, 205), (190, 150, 230, 205)),
    ("near", MAN, (190, 150, 230, 205), (240, 150, 280, 205)),
    ("behind", MAN, (120, 150, 220, 215), (120, 150, 220, 190)),
    ("in_front_of", MAN, (120, 60, 220, 190), (120, 150, 220, 215)),
    ("on", (100, 80, 140, 120), (80, 110, 200, 170), (80, 150, 200, 170)),
    ("above", (100, 20, 140, 50), (90, 60, 150, 200), (90, 40, 150, 200)),
    ("under", (100, 120, 140, 200), (60, 70, 180, 198), (60, 150, 180, 300)),
    ("in", (100, 100, 130, 150), (80, 110, 160, 170), (80, 20, 160, 90)),
    ("wearing", MAN, (105, 70, 145, 95), (105, 10, 145, 30)),
    ("holding", MAN, (148, 130, 170, 160), (160, 130, 180, 160)),
    ("carrying", MAN, (110, 130, 140, 160), (110, 85, 140, 95)),
    ("riding", MAN, (80, 130, 170, 210), (80, 60, 170, 150)),
    ("driving", (110, 110, 140, 140), (80, 100, 200, 170), (80, 138, 200, 170)),
    ("playing", MAN, (100, 120, 150, 170), (160, 120, 190, 170)),
    ("sitting_on", MAN, (90, 140, 160, 200), (90, 10, 160, 70)),
    ("standing_on", MAN, (90, 190, 160, 230), (90, 120, 160, 130)),
    ("lying_on", (100, 120, 200, 160), (90, 130, 220, 180), (90, 20, 220, 110)),
    ("leaning_on", MAN, (145, 60, 220, 198), (160, 60, 220, 198)),
    ("hanging_from", (100, 60, 120, 90), (60, 20, 140, 150), (60, 70, 140, 150)),
    ("pulling", MAN, (170, 160, 210, 200), (200, 160, 240, 200)),
    ("pushing", MAN, (146, 160, 210, 200), (170, 160, 240, 200)),
    ("walking", MAN, (180, 160, 210, 205), (210, 160, 240, 205)),
    ("chasing", MAN, (220, 160, 250, 205), (250, 160, 280, 205)),
    ("kicking", MAN, (148, 180, 170, 202), (148, 100, 170, 122)),
    ("throwing", MAN, (150, 70, 170, 95), (150, 170, 170, 200)),
    ("feeding", MAN, (155, 150, 190, 205), (170, 150, 190, 205)),
    ("looking_at", MAN, (200, 20, 240, 60), (290, 20, 310, 60)),
    ("reading", MAN, (110, 130, 140, 160), (150, 180, 190, 200)),
    ("has", MAN, (110, 85, 140, 100), (140, 85, 170, 100)),
]


def test_every_predicate_has_a_rule_and_a_case():
    assert tuple(sorted(RULES)) == tuple(sorted(PREDICATES)) == tuple(sorted(case[0] for case in CASES))


@pytest.mark.parametrize(("predicate", "subject", "yes", "no"), CASES, ids=[case[0] for case in CASES])
def test_by_hand(predicate, subject, yes, no):
    assert holds(predicate, subject, yes)
    assert not holds(predicate, subject, no)


boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    st.integers(0, 250),
    st.integers(0, 180),
    st.integers(13, 70),
    st.integers(13, 60),
)


@given(boxes, boxes, st.integers(-40, 40), st.integers(-40, 40))
def test_only_relative_places_matter(a, b, x, y):
    def moved(box):
        return box[0] + x, box[1] + y, box[2] + x, box[3] + y

    for predicate in PREDICATES:
        assert holds(predicate, a, b) == holds(predicate, moved(a), moved(b)), predicate


@given(boxes, boxes)
def test_converses(a, b):
    assert holds("left_of", a, b) == holds("right_of", b, a)
    assert holds("behind", a, b) == holds("in_front_of", b, a)
    assert not (holds("behind", a, b) and holds("in_front_of", a, b))
    assert not (holds("left_of", a, b) and holds("right_of", a, b))
    assert holds("near", a, b) == holds("near", b, a)
    assert holds("next_to", a, b) == holds("next_to", b, a)
    assert holds("near", a, b) or not holds("next_to", a, b)


@given(boxes, boxes)
def test_mirroring_swaps_left_and_right_and_nothing_else(a, b):
    def mirror(box):
        return 320 - box[2], box[1], 320 - box[0], box[3]

    swap = {"left_of": "right_of", "right_of": "left_of"}
    for predicate in PREDICATES:
        assert holds(predicate, a, b) == holds(swap.get(predicate, predicate), mirror(a), mirror(b)), predicate


def test_unknown_predicate():
    with pytest.raises(ValueError, match=r"predicate: expected one of .* got 'eating'"):
        holds("eating", MAN, MAN)
