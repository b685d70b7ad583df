"""Maps and lines show the numbers they were given, where a reader looks for them."""

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

from crosslook.view import heads as view
from crosslook.view import style


@pytest.fixture(autouse=True)
def _figures():
    with mpl.rc_context():
        style.use()
        yield
        plt.close("all")


VALUES = np.linspace(0.05, 0.5, 12).reshape(3, 4)


def cells(ax):
    """What is written in a panel, by (layer, head) from 1."""
    ticks = [[int(each.get_text()) for each in axis.get_ticklabels()] for axis in (ax.yaxis, ax.xaxis)]
    places = {}
    for text in ax.texts:
        x, y = text.get_position()
        places.setdefault((ticks[0][round(y)], ticks[1][round(x)]), []).append(text.get_text())
    return places


def frames(ax, **wanted):
    """The corners (head, layer from 0) of the rectangles with these properties."""
    found = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    found = [p for p in found if all(getattr(p, f"get_{name}")() == value for name, value in wanted.items())]
    return sorted((round(p.get_y() + 0.5 * p.get_height()), round(p.get_x() + 0.5 * p.get_width())) for p in found)


def test_layer_1_is_at_the_top_and_head_1_on_the_left():
    figure = view.heads(VALUES, title="t", unit="share")
    ax = figure.axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), VALUES)
    assert ax.yaxis_inverted()
    assert ax.transData.transform((0, 0))[1] > ax.transData.transform((0, 2))[1]
    assert cells(ax)[1, 1] == [".05"]
    assert cells(ax)[3, 4] == [".50"]
    assert len(cells(ax)) == 12
    assert figure.axes[-1].get_ylabel() == "share"
    assert figure.get_suptitle() == "t"


def test_many_heads_are_left_to_their_colours():
    ax = view.heads(np.ones((7, 7)), title="t").axes[0]
    assert not ax.texts
    assert len(ax.get_xticks()) == 7


def test_percentages_and_half_widths_of_intervals_are_written():
    interval = np.stack([VALUES - 0.02, VALUES + 0.04])
    interval[:, 0, 0] = np.nan
    ax = view.heads(VALUES, title="t", unit="%", interval=interval).axes[0]
    assert cells(ax)[3, 4] == ["50", "± 3.0"]
    assert cells(ax)[1, 1] == ["5.0"], "an undefined interval is not written"


def test_undefined_heads_are_hatched_and_bear_no_number():
    values = VALUES.copy()
    values[1, 2] = np.nan
    ax = view.heads(values, title="t").axes[0]
    assert frames(ax, hatch="////") == [(1, 2)]
    assert (2, 3) not in cells(ax)
    assert ax.images[0].get_array().mask.sum() == 1
    assert np.isfinite(ax.images[0].get_clim()).all()


def test_significant_heads_and_no_others_are_framed_in_black_and_white():
    significant = VALUES > 0.4
    ax = view.heads(VALUES, title="t", significant=significant).axes[0]
    wanted = [tuple(at) for at in np.argwhere(significant).tolist()]
    for ink in ("white", "black"):
        assert frames(ax, edgecolor=mpl.colors.to_rgba(ink)) == wanted


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_zero_is_white_where_signs_differ_and_the_scale_is_that_of_the_values_where_not(values):
    look = view._scale(np.array(values))
    low, high = min(values), max(values)
    if low < 0 < high:
        assert look == {"cmap": view.SIGNED, "vmin": -max(-low, high), "vmax": max(-low, high)}
    else:
        assert (look["cmap"], look["vmin"]) == (style.HEAT, low)
        assert look["vmax"] > look["vmin"] or high == low
    middle = mpl.colormaps[view.SIGNED](0.5)
    assert style.luminance(middle[:3]) > 0.9


def test_numbers_can_be_read_on_every_colour():
    """A contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    for values in (VALUES, VALUES - 0.3):
        ax = view.heads(values, title="t").axes[0]
        drawn = ax.images[0]
        for text in ax.texts:
            x, y = (round(place) for place in text.get_position())
            inks = mpl.colors.to_rgb(text.get_color()), drawn.cmap(drawn.norm(values[y, x]))[:3]
            low, high = sorted(style.luminance(colour) for colour in inks)
            assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_papers_heads_stand_beside_on_the_same_scale():
    paper = np.full((3, 4), np.nan)
    paper[2, 1] = 0.9
    here, there, _ = view.heads(VALUES, title="t", published=paper).axes
    assert cells(there) == {(3, 2): [".90"]}
    assert here.images[0].get_clim() == there.images[0].get_clim() == (0.05, 0.9)
    assert [ax.get_title(loc="left") for ax in (here, there)] == ["here", "paper"]


def test_the_papers_layers_stand_beside_our_means():
    values = VALUES.copy()
    values[0, 0] = np.nan
    ax = view.heads(values, title="t", published=np.array([0.16, np.nan, 0.29, 0.3])).axes[1]
    shown = np.ma.getdata(ax.images[0].get_array()).copy()
    shown[np.ma.getmaskarray(ax.images[0].get_array())] = np.nan
    means = [np.nanmean(row) for row in values]
    np.testing.assert_allclose(shown, np.array([[means[0], 0.16], [means[1], np.nan], [means[2], 0.29], [np.nan, 0.3]]))


def test_shapes_that_do_not_fit_are_errors(plain):
    view = plain("view.heads")
    with pytest.raises(ValueError, match=r"interval: expected shape \(2, 3, 4\), got \(2, 4, 3\)"):
        view.heads(VALUES, title="t", interval=np.zeros((2, 4, 3)))
    with pytest.raises(ValueError, match=r"significant: expected shape \(3, 4\), got \(2, 4\)"):
        view.heads(VALUES, title="t", significant=np.zeros((2, 4), bool))
    with pytest.raises(ValueError, match=r"published: expected shape \(3, 4\), got \(3, 5\)"):
        view.heads(VALUES, title="t", published=np.zeros((3, 5)))
    with pytest.raises(ValueError, match="values: expected at least one finite number"):
        view.heads(np.full((2, 2), np.nan), title="t")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.331, "", ".33"), (-0.71, "", "-.71"), (0.0, "", ".00"), (1.0, "", "1.00"), (0.996, "", "1.00"),
     (12.4, "", "12"), (0.331, "%", "33"), (0.0994, "%", "9.9"), (0.0996, "%", "10"), (-0.0312, "%", "-3.1")],
)  # fmt: skip
def test_numbers_are_short(value, unit, text):
    assert view._number(value, unit) == text


def test_lines_start_at_layer_1_and_are_told_apart_without_colour():
    series = {"cross": np.array([0.9, 0.5, np.nan]), "self": np.array([0.8, 0.7, 0.6]), "twin": np.array([0.9, 0.9])}
    figure = view.lines(series, title="t", unit="u", controls=["twin"], published={"cross": np.array([np.nan, 0.4])})
    drawn = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(drawn) == ["cross", "self", "twin", "cross (paper)"]
    for name, values in series.items():
        np.testing.assert_array_equal(drawn[name].get_ydata(), values)
        np.testing.assert_array_equal(drawn[name].get_xdata(), np.arange(1, len(values) + 1))
    assert len({line.get_marker() for line in drawn.values()}) == 4
    assert [name for name, line in drawn.items() if line.get_linestyle() == "--"] == ["twin"]
    assert [name for name, line in drawn.items() if line.get_linestyle() == ":"] == ["cross (paper)"]


def test_a_band_is_drawn_from_end_to_end():
    ends = np.array([[0.1, 0.2], [0.3, 0.5]])
    figure = view.lines({"a": np.array([0.2, 0.3])}, title="t", intervals={"a": ends})
    (band,) = figure.axes[0].collections
    corners = {(float(x), float(y)) for x, y in band.get_paths()[0].vertices}
    assert {(1.0, 0.1), (1.0, 0.3), (2.0, 0.2), (2.0, 0.5)} <= corners


def test_shares_are_read_as_percentages_on_every_scale():
    shares = np.array([0.02, 0.06, 0.1])
    lines = view.lines({"a": shares}, title="t", unit="%")
    maps = view.heads(np.tile(shares, (2, 1)), title="t", unit="%")
    for figure, axis in ((lines, lines.axes[0].yaxis), (maps, maps.axes[-1].yaxis)):
        figure.draw_without_rendering()
        ticks = {each.get_text(): place for each, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)}
        assert ticks["6"] == pytest.approx(0.06)
        assert all(float(text) == pytest.approx(100 * place) for text, place in ticks.items())
    plain = view.lines({"a": shares}, title="t", unit="share")
    plain.draw_without_rendering()
    assert "0.06" in [each.get_text() for each in plain.axes[0].yaxis.get_ticklabels()]


def test_names_that_belong_to_no_line_are_errors(plain):
    view = plain("view.heads")
    line = {"a": np.zeros(2)}
    with pytest.raises(ValueError, match="values: expected at least one line"):
        view.lines({}, title="t")
    with pytest.raises(ValueError, match="controls: expected names among a; got b"):
        view.lines(line, title="t", controls=["b"])
    with pytest.raises(ValueError, match="intervals: expected names among a; got b"):
        view.lines(line, title="t", intervals={"b": np.zeros((2, 2))})
    with pytest.raises(ValueError, match=r"intervals of 'a': expected shape \(2, 2\), got \(2, 3\)"):
        view.lines(line, title="t", intervals={"a": np.zeros((2, 3))})


def test_heads_are_named_as_in_the_papers():
    chosen = np.zeros((6, 8), bool)
    chosen[5, 1] = chosen[0, 7] = True
    assert view.names(chosen) == ["L1H8", "L6H2"]
