"""Figures of the detector show the numbers they are given."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from crosslook import data
from crosslook.data.detector_quality import evaluate
from crosslook.view import detector as view

QUALITY = evaluate(
    [["man", "man", "dog", "background"], ["man", "dog"]],
    [["man", "boy", "background", "background"], ["dog", "dog"]],
    {"man": "people", "boy": "people", "dog": "animals"},
)


@pytest.fixture(autouse=True)
def _figures():
    yield
    plt.close("all")


def test_confusion_shows_each_row_as_shares():
    (ax, _) = view.confusion(QUALITY).axes
    np.testing.assert_allclose(ax.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 0.5, 0.5], [0, 0, 1]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["people (3)", "animals (2)", "background (1)"]
    assert {text.get_text() for text in ax.texts} == {".67", ".33", ".50", "1.00"}


def test_mistakes_are_listed_with_their_counts():
    (ax,) = view.mistakes(QUALITY).axes
    assert sorted(label.get_text() for label in ax.get_yticklabels()) == [
        "dog called background",
        "man called boy",
        "man called dog",
    ]
    assert [patch.get_width() for patch in ax.patches] == [1, 1, 1]


def test_the_dial_shows_accuracy_and_the_commonest_name():
    (ax,) = view.dial([0, 1], [QUALITY, QUALITY]).axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [QUALITY.accuracy] * 2)
    assert QUALITY.commonest in np.ravel(ax.lines[-1].get_ydata())


def test_the_surest_names_are_different_things_and_in_order():
    sample = data.load("emoji:val")[0]
    chosen = view.surest(sample, 5)
    names = [sample.regions.labels[index] for index in chosen]
    assert len(set(names)) == len(names)
    assert "background" not in names
    things = [name != "background" for name in sample.regions.classes]
    sure = sample.regions.class_probs[chosen][:, things].max(1)
    assert (np.diff(sure) <= 0).all()
    assert len(view.proposals(sample, 5).axes[1].texts) == len(chosen)


def test_gold_regions_have_no_names_to_show():
    with pytest.raises(ValueError, match="sample val-00000: expected detected regions"):
        view.surest(data.load("emoji:val", regions="gold")[0], 5)
