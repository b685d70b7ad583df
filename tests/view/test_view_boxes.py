"""What is drawn is where it should be, in the colour it should have."""

from collections import Counter
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from crosslook import data
from crosslook.view import boxes as view
from crosslook.view import style


@pytest.fixture(autouse=True)
def _figures():
    with mpl.rc_context():
        style.use()
        yield
        plt.close("all")


@pytest.fixture(scope="module")
def photo():
    return data.load("photos")[1]


def test_phrases_of_one_chain_share_a_colour_and_boxless_ones_are_grey():
    for sample in data.load("photos"):
        colours = view.colours(sample)
        for phrase, colour in zip(sample.phrases, colours, strict=True):
            same = [c for p, c in zip(sample.phrases, colours, strict=True) if p.chain == phrase.chain]
            assert set(same) == {colour}
            assert (colour == style.GREY) == (len(phrase.boxes) == 0)


def test_words_are_the_caption_and_carry_the_colours_of_their_phrases(photo):
    words = view.words(photo)
    assert " ".join(word for word, _ in words) == photo.caption
    for phrase, colour in zip(photo.phrases, view.colours(photo), strict=True):
        inside = Counter(phrase.text.split())
        assert inside <= Counter(word for word, said in words if said == colour)


def test_boxes_are_drawn_over_the_pixels_they_cover(photo):
    figure = view.gallery([photo])
    rectangles = [patch.get_bbox() for patch in figure.axes[0].patches]
    wanted = np.concatenate([phrase.boxes for phrase in photo.phrases])
    drawn = np.array([[r.x0 + 0.5, r.y0 + 0.5, r.x1 - 0.5, r.y1 - 0.5] for r in rectangles])
    np.testing.assert_allclose(drawn, wanted)


def test_captions_run_into_nothing():
    """Neither into other pictures nor out of the figure, however long, however narrow the picture."""
    samples = [replace(sample, caption=" ".join([sample.caption] * 3)) for sample in data.load("photos")[::5]]
    figure = view.gallery([*samples, *samples[::-1]], columns=2)
    figure.draw_without_rendering()
    boxes = [(ax, text.get_window_extent()) for ax in figure.axes for text in ax.texts]
    for ax, box in boxes:
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert not [other for other in figure.axes if other.get_window_extent().overlaps(box)]
        assert not [mine for other, mine in boxes if other is not ax and mine.overlaps(box)]


def test_wrong_links_are_dashed_and_right_ones_solid(photo):
    gold = [sorted(link) for link in photo.links]
    wrong = next(index for index in range(len(photo.regions.boxes)) if index not in photo.links[0])
    found = [frozenset({wrong}), *(frozenset(link) for link in gold[1:])]
    patches = view.links([photo], [found]).axes[0].patches
    assert [patch.get_linestyle() == "solid" or patch.get_linestyle() == "-" for patch in patches] == [False] + [
        True for link in gold[1:] for _ in link
    ]


def test_a_sample_without_a_picture_is_named(photo):
    with pytest.raises(ValueError, match=r"sample \w+: expected an image, got none"):
        view.gallery([replace(photo, picture=None)])


def test_colours_are_told_apart_in_grey_and_by_the_colour_blind():
    """Neighbours of the cycle differ in lightness, or in a hue that deuteranopes see."""
    rgb = np.array([mpl.colors.to_rgb(style.colour(index)) for index in range(7)])
    assert len({tuple(each) for each in rgb}) == 7
    # Viénot, Brettel and Mollon (1999): what a deuteranope sees, in linear RGB.
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    deutan = linear @ np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]).T
    distances = np.linalg.norm(deutan[:, None] - deutan[None], axis=-1)[np.triu_indices(7, 1)]
    assert distances.min() > 0.04


def test_text_can_be_read_on_white():
    """At least 4.5 to 1, the ratio that WCAG 2.2 asks for, and black on white is 21 to 1 by definition."""
    assert 1.05 / (style.luminance((0, 0, 0)) + 0.05) == pytest.approx(21)
    for colour in (*style.COLOURS.values(), style.GREY):
        ink = style.ink(colour)
        assert 1.05 / (style.luminance(mpl.colors.to_rgb(ink)) + 0.05) >= 4.5
        hue, same = (mpl.colors.rgb_to_hsv(mpl.colors.to_rgb(each))[0] for each in (colour, ink))
        assert same == pytest.approx(hue, abs=0.02)
    assert style.ink(style.INK) == style.INK
