"""Shades are as strong as the weights, on the pixels of the regions and on the words they belong to."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from crosslook import data
from crosslook.view import overlay as view
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


def shades(ax):
    """Opacity by box (xyxy, first and last pixel) of everything that is shaded in the colour of attention."""
    found = {}
    for patch in ax.patches:
        if patch.get_facecolor()[:3] == mpl.colors.to_rgb(view.IMAGE):
            box = patch.get_bbox()
            found[tuple(np.round([box.x0 + 0.5, box.y0 + 0.5, box.x1 - 0.5, box.y1 - 0.5], 3))] = patch.get_alpha()
    return found


def weights_of(sample, seed=0):
    weights = np.random.default_rng(seed).random(len(sample.regions.boxes))
    return weights / weights.sum()


def test_regions_are_shaded_in_proportion_to_their_weights(photo):
    weights = weights_of(photo)
    weights[0] = 0
    _, ax = plt.subplots()
    view.regions(photo, weights, ax)
    drawn = shades(ax)
    assert len(drawn) == len({tuple(box) for box in photo.regions.boxes[1:].tolist()}), "nothing on a weight of 0"
    for box, weight in zip(photo.regions.boxes[1:], weights[1:], strict=True):
        assert drawn[tuple(np.round(box.astype(float), 3))] == pytest.approx(view.STRONGEST * weight / weights.max())


def test_undefined_weights_shade_nothing(photo):
    _, ax = plt.subplots()
    view.regions(photo, np.full(len(photo.regions.boxes), np.nan), ax)
    assert shades(ax) == {}
    assert not ax.texts


def test_own_regions_are_outlined_and_shares_written_on_the_strongest(photo):
    weights = np.full(len(photo.regions.boxes), 0.01)
    weights[2] = 0.61
    _, ax = plt.subplots()
    view.regions(photo, weights, ax, own=[1], label="L6H2")
    outlines = [patch for patch in ax.patches if not patch.get_fill()]
    assert len(outlines) == 2, "a white rim and dots"
    for patch in outlines:
        box = patch.get_bbox()
        edges = [box.x0 + 0.5, box.y0 + 0.5, box.x1 - 0.5, box.y1 - 0.5]
        np.testing.assert_allclose(edges, photo.regions.boxes[1], atol=1e-3)
    assert [text.get_text() for text in ax.texts] == ["61 %", "L6H2"]


def test_words_are_shaded_in_order_and_proportion(photo):
    words = photo.caption.split()
    weights = np.linspace(0.1, 0.4, len(words))
    weights[1] = np.nan
    figure = view.overlays([photo], [weights_of(photo)], words=[weights])
    written = [
        text
        for text in figure.axes[0].texts
        if text.get_bbox_patch().get_facecolor()[:3] == mpl.colors.to_rgb(view.TEXT)
    ]
    assert [text.get_text() for text in written] == words
    wanted = np.nan_to_num(weights) / 0.4
    np.testing.assert_allclose([text.get_bbox_patch().get_alpha() for text in written], wanted)


def test_one_sample_under_several_heads(photo):
    both = [weights_of(photo, seed) for seed in (0, 1)]
    figure = view.overlays([photo, photo], both, labels=["L1H1", "L1H2"], own=[{0}, {1}])
    assert len(figure.axes) == 2
    assert shades(figure.axes[0]) != shades(figure.axes[1])
    assert [ax.texts[-len(photo.caption.split()) - 1].get_text() for ax in figure.axes] == ["L1H1", "L1H2"]
    figure.draw_without_rendering()
    for ax in figure.axes:
        for text in ax.texts:
            box = text.get_window_extent()
            assert box.x0 >= -2
            assert box.x1 <= figure.bbox.x1 + 2


def test_what_does_not_fit_is_an_error(photo):
    count, words = len(photo.regions.boxes), len(photo.caption.split())
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=rf"weights: expected {count} numbers, one for each region of sample .*\(3,\)"):
        view.regions(photo, np.zeros(3), ax)
    with pytest.raises(ValueError, match=r"weights: expected numbers of at least 0, got -1"):
        view.regions(photo, np.full(count, -1.0), ax)
    with pytest.raises(ValueError, match=rf"weights: expected {words} numbers, one for each word of '.*\(2,\)"):
        view.sentence(photo, np.zeros(2), ax)
    with pytest.raises(ValueError, match=r"labels: expected 1, one for each sample, got 2"):
        view.overlays([photo], [np.zeros(count)], labels=["a", "b"])
