"""Pictures as files: what is drawn where, and the same bytes every time."""

from collections.abc import Callable
from itertools import product
from math import inf, isfinite, isnan, nan
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from gdcli.analysis.best import Candidate
from gdcli.analysis.quantiles import Spread, spread
from gdcli.report.charts.chart import MOST_LINES, Chart, HeatMap, Line, Panel, Square, axis_of
from gdcli.report.charts.charts import (
    MetricOfRun,
    curves,
    heatmap,
    multiples,
    read_source,
    sensitivity,
)
from gdcli.report.charts.figure_files import (
    COLORS,
    DASHES,
    MARKERS,
    draw_chart,
    draw_heatmap,
    figure_bytes,
    style,
)
from tests.run_folders import Made, grid, write_run

Kind: TypeAlias = Callable[[MetricOfRun], Chart | HeatMap]

KINDS: list[Kind] = [curves, sensitivity, heatmap, multiples]
# The others are made of the same marks as curves: one form is enough of them.
FORMS = [*((kind, "svg") for kind in KINDS), *product([curves, heatmap], ["png", "pdf"])]
BEGINS = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF-"}
HOSTILE = "$x_{$ \\frac <b>&amp;\u4e2d_"

numbers = st.floats(allow_nan=True, allow_infinity=True)


def line(*values: float, diverged: bool = False, label: str = "gd") -> Line:
    points = [(float(x), Spread(y, y, y, 1)) for x, y in enumerate(values)]
    return Line(label, points, diverged)


def chart(*lines: Line, log_x: bool = False) -> Chart:
    return Chart("title", [Panel("", lines)], "epoch", "training loss", log_x=log_x)


def drawn(picture: Chart) -> tuple[Figure, list[str]]:
    with style():
        figure = Figure()
        return figure, draw_chart(picture, figure)


def marks(picture: Chart, marker: object) -> list[tuple[float, float]]:
    """Return where a marker stands in a figure's first panel."""
    figure, _ = drawn(picture)
    found = [line for line in figure.axes[0].lines if line.get_marker() == marker]
    places = [np.asarray(line.get_xydata()).tolist() for line in found]
    return [(x, y) for points in places for x, y in points]


@pytest.fixture
def read(tmp_path: Path) -> MetricOfRun:
    return read_source(write_run(tmp_path, grid()), "train_loss")


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_the_same_run_gives_the_same_bytes(read: MetricOfRun, kind: Kind, form: str) -> None:
    first = figure_bytes(kind(read), form)
    assert first == figure_bytes(kind(read), form)
    assert first.startswith(BEGINS[form])


def test_lines_are_told_apart_without_colour() -> None:
    figure, _ = drawn(chart(*(line(9.0, 8.0 - k, label=f"l{k}") for k in range(MOST_LINES))))
    lines = [line for line in figure.axes[0].lines if not str(line.get_label()).startswith("_")]
    assert len({line.get_linestyle() for line in lines}) >= 4
    assert [line.get_marker() for line in lines] == list(MARKERS)
    assert len({str(line.get_color()) for line in lines}) == MOST_LINES
    assert len(DASHES) == len(MARKERS) == len(COLORS) == MOST_LINES == len(set(map(str, DASHES)))


def heights(picture: Chart, name: str = "gd") -> list[float]:
    """Return how high the points of a line stand in a figure's first panel, from 0 to 1."""
    figure, _ = drawn(picture)
    (found,) = [line for line in figure.axes[0].lines if line.get_label() == name]
    return [y for _, y in np.asarray(found.get_xydata()).tolist()]


def tick_labels(picture: Chart) -> dict[str, float]:
    axes = drawn(picture)[0].axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    return dict(zip(labels, axes.get_yticks(), strict=True))


def test_losses_have_a_logarithmic_axis() -> None:
    assert heights(chart(line(100.0, 10.0, 1.0))) == pytest.approx([1, 0.5, 0])
    assert drawn(chart(line(3.0, 2.0, 1.5)))[1] == []


def test_quartiles_make_a_band() -> None:
    points = [(0.0, spread([1.0, 2.0, 3.0])), (1.0, spread([1.0, 2.0, inf]))]
    figure, notes = drawn(chart(Line("gd", points)))
    (band,) = figure.axes[0].collections
    corners = np.asarray(band.get_paths()[0].vertices).tolist()
    assert all(isfinite(x) and isfinite(y) for x, y in corners)
    assert min(y for _, y in corners) == 0  # 1.5, the lowest of the quartiles
    assert notes == ["bands: quartiles over seeds"]


def test_a_line_that_diverges_is_drawn_as_it_grows_and_ends_with_a_cross() -> None:
    picture = chart(line(4.0, 2.0, 1.0), line(4.0, 1e3, 1e6, 1e9, diverged=True, label="up"))
    grown = heights(picture, "up")
    assert grown == sorted(set(grown))
    assert marks(picture, "X") == [(3.0, grown[-1])]
    assert drawn(picture)[1] == ["X: diverged", "the axis is compressed above 4"]
    assert any(float(label) > 4 for label in tick_labels(picture))


def test_what_is_lost_has_a_row_of_its_own_above_all_others() -> None:
    picture = chart(line(4.0, 2.0, 1.0), line(4.0, 1e30, inf, nan, diverged=True, label="up"))
    assert marks(picture, "X") == [(1.0, 1.0)]
    assert tick_labels(picture)["diverged"] == 1
    assert max(heights(picture)) < 0.9
    up = heights(picture, "up")
    assert up[1] == 1
    assert all(map(isnan, up[2:]))  # a line ends where it is lost


@pytest.mark.parametrize("others", [1, 2, 5])
def test_no_mark_hides_another(others: int) -> None:
    ends = list(zip((0.1, 0.2, 0.3), (Spread(y, y, y, 1) for y in (1.0, 2.0, inf)), strict=True))
    lines = [Line(str(k), ends) for k in range(others + 1)]
    figure, notes = drawn(chart(*lines, log_x=True))
    shown = [one for one in figure.axes[0].lines if one.get_linestyle() == "None"]
    places = [tuple(p) for one in shown for p in np.asarray(one.get_xydata()).tolist()]
    inside = [place for place in places if isfinite(place[1])]
    assert len(inside) == len(set(inside)) >= 3 * (others + 1)
    assert "marks at one place stand side by side" in notes


def test_the_last_point_of_a_diverging_line_may_be_its_only_one() -> None:
    assert marks(chart(line(4.0, diverged=True)), "X") == [(0.0, 0.5)]


def test_every_learning_rate_that_diverged_is_marked() -> None:
    points = [(1.0 + x, Spread(y, y, y, 1)) for x, y in enumerate((inf, 2.0, 1.0, inf, inf))]
    picture = chart(Line("gd", points), log_x=True)
    assert [x for x, _ in marks(picture, "X")] == [1, 4, 5]


def test_every_column_of_panels_says_what_x_is() -> None:
    panels = [Panel(f"p{k}", [line(2.0, 1.0)]) for k in range(4)]
    figure, _ = drawn(Chart("title", panels, "epoch", "training loss"))
    assert [axes.get_xlabel() for axes in figure.axes] == ["", *["epoch"] * 3, "", ""]
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2


def test_zero_has_a_place_below_a_logarithmic_axis() -> None:
    picture = chart(line(9.0, 0.0, 0.0))
    start, *rest = heights(picture)
    assert rest == [0, 0]
    assert start > 0.3
    assert tick_labels(picture)["0"] == 0
    assert not drawn(picture)[1]


def test_what_is_far_too_small_is_marked_and_counted() -> None:
    picture = chart(line(4.0, 1.0, 1e-40, 0.0))
    assert [x for x, _ in marks(picture, 11)] == [2.0]
    assert drawn(picture)[1] == ["1 point below 4e-16, drawn at 4e-16"]


def test_negative_losses_keep_their_order() -> None:
    picture = chart(line(1e6, 4.0, 0.0, -2.0, -4.0))
    found = heights(picture)
    assert found == sorted(set(found), reverse=True)
    assert not drawn(picture)[1]


def test_a_line_that_falls_without_end_is_drawn_below_zero() -> None:
    down = line(1.0, 0.5, 0.0, -1.0, -1e9, diverged=True, label="down")
    picture = chart(line(1.0, 0.1, 0.01), down)
    found = heights(picture, "down")
    assert found == sorted(found, reverse=True)
    assert found[-1] == tick_labels(picture)["below 0"] == 0
    assert found[2] == tick_labels(picture)["0"] > 0
    assert min(heights(picture)) > found[2]


def test_ticks_do_not_lie_upon_each_other() -> None:
    places = sorted(tick_labels(chart(line(1e6, 4.0, -4.0))).values())
    assert min(np.diff(places)) > 0.03


def test_diverged_lines_do_not_set_the_scale_unless_all_did() -> None:
    assert axis_of(chart(line(4.0, 1.0), line(4.0, 1e9, diverged=True))).scale.high == 4.0
    assert axis_of(chart(line(4.0, 1e9, inf, diverged=True))).scale.high == 1e9


def test_epochs_are_whole_and_rates_are_those_of_the_grid() -> None:
    epochs = drawn(chart(line(3.0, 2.0, 1.0, 0.5)))[0].axes[0].get_xticks()
    assert all(tick == round(tick) for tick in epochs)
    points = [(lr, Spread(1.0, 1.0, 1.0, 1)) for lr in (0.05, 0.1, 0.3)]
    axes = drawn(chart(Line("gd", points), log_x=True))[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.05", "0.1", "0.3"]


@pytest.mark.parametrize("panels", [1, 2])
def test_no_legend_lies_on_the_data(panels: int) -> None:
    many = [line(9.0, 8.0 - k, label=f"l{k}") for k in range(MOST_LINES)]
    picture = Chart("t", [Panel(str(k), many) for k in range(panels)], "epoch", "loss")
    with style():
        figure = Figure(layout="constrained")
        draw_chart(picture, figure)
        figure.draw_without_rendering()
        legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
        boxes = [legend.get_window_extent() for legend in legends if legend]
        assert len(boxes) == panels
        for axes, box in product(figure.axes, boxes):
            assert not axes.get_window_extent().overlaps(box)


@settings(max_examples=25)
@example(values=[[2e-311]], log=True)
@example(values=[[-2e-311]], log=True)
@given(values=st.lists(st.lists(numbers, min_size=1, max_size=4), max_size=3), log=st.booleans())
def test_any_values_can_be_drawn(*, values: list[list[float]], log: bool) -> None:
    lines = [line(*row) for row in values]
    rows = [[Square(Candidate(0.1, ()), value) for value in row[:1]] for row in values]
    picture = Chart("", [Panel("", lines)], "x", "y", log_y=log)
    assert figure_bytes(picture, "svg")
    if rows:
        squares = HeatMap("", "x", "y", ["1"], [str(k) for k in range(len(rows))], rows, log=log)
        assert figure_bytes(squares, "svg")


@pytest.mark.parametrize("letters", [4, 40, 90])
def test_a_legend_is_no_wider_than_its_picture(letters: int) -> None:
    lines = [line(9.0, 8.0 - k, label=f"{k}" * letters) for k in range(3)]
    with style():
        figure = Figure(layout="constrained")
        draw_chart(chart(*lines), figure)
        figure.draw_without_rendering()
        (legend,) = figure.legends
        assert legend.get_window_extent().width < figure.bbox.width


def test_names_are_shown_literally(tmp_path: Path) -> None:
    trials = [Made([9.0, 1.0], optimizer=HOSTILE), Made([9.0, 2.0], lr=0.2, varied=[])]
    read = read_source(write_run(tmp_path, trials), "train_loss")
    for kind in KINDS:
        text = figure_bytes(kind(read), "svg").decode()
        # matplotlib writes each text as a comment before its shapes.
        assert "\\frac" in text
        ET.fromstring(text)  # noqa: S314 -- our own file


def test_a_heatmap_says_numbers_and_what_diverged_or_failed(tmp_path: Path) -> None:
    trials = [
        Made([9.0, 1.25]),
        Made([9.0, inf], lr=0.2, status="diverged"),
        Made([], lr=0.3, status="failed", message="boom"),
    ]
    figure = Figure()
    notes = draw_heatmap(heatmap(read_source(write_run(tmp_path, trials), "train_loss")), figure)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.25", "\u00d7", "!"]
    assert notes == ["\u00d7 diverged", "! failed"]


def test_zero_has_a_colour_of_its_own_in_a_heatmap(tmp_path: Path) -> None:
    trials = [Made([9.0, end], lr=lr) for lr, end in ((0.1, 0.0), (0.2, 1e-6), (0.3, 1.0))]
    figure = Figure()
    draw_heatmap(heatmap(read_source(write_run(tmp_path, trials), "train_loss")), figure)
    shown = np.asarray(figure.axes[0].images[0].get_array()).ravel().tolist()
    assert shown[0] == 0
    assert shown[1] > 0.1
    assert [text.get_text() for text in figure.axes[0].texts] == ["0", "1e-06", "1"]


def test_a_heatmap_of_many_squares_has_no_numbers(tmp_path: Path) -> None:
    trials = [Made([999.0, 1.0 + k], lr=0.01 * (k + 1)) for k in range(99)]
    trials.append(Made([9.0, inf], lr=1, status="diverged"))
    figure = Figure()
    notes = draw_heatmap(heatmap(read_source(write_run(tmp_path, trials), "train_loss")), figure)
    assert notes == ["grey: diverged or failed"]
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_xticks()) == 20


@pytest.mark.parametrize("trials", [[Made([1.0])], [Made([], status="failed", message="boom")]])
@pytest.mark.parametrize("kind", KINDS)
def test_one_trial_is_enough(tmp_path: Path, trials: list[Made], kind: Kind) -> None:
    assert figure_bytes(kind(read_source(write_run(tmp_path, trials), "train_loss")), "png")


def test_the_users_own_settings_do_not_matter(
    read: MetricOfRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figure_bytes(curves(read), "svg")
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    assert figure_bytes(curves(read), "svg") == before
    assert mpl.rcParams["font.size"] == 30
