"""Pictures as files: what is drawn where, and the same bytes every time."""

from collections.abc import Callable
from itertools import product
from math import inf, isfinite, nan
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from gdcli.analysis.quantiles import Spread, spread
from gdcli.analysis.results import Cell
from gdcli.report.figures.axis import axis_of, metric_axis
from gdcli.report.figures.figure import figure_bytes
from gdcli.report.figures.heatmap import draw_heatmap
from gdcli.report.figures.lines import draw_chart
from gdcli.report.figures.style import DASHES, MARKERS, style
from gdcli.report.pictures.curves import curves
from gdcli.report.pictures.heatmap import heatmap
from gdcli.report.pictures.multiples import multiples
from gdcli.report.pictures.picture import MOST_LINES, Chart, HeatMap, Line, Panel, Square
from gdcli.report.pictures.sensitivity import sensitivity
from gdcli.report.pictures.source import Source, read_source
from gdcli.report.plot import COLORS
from tests.run_folders import Made, grid, write_run

Kind: TypeAlias = Callable[[Source], Chart | HeatMap]

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
def read(tmp_path: Path) -> Source:
    return read_source(write_run(tmp_path, grid()), "train_loss")


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_the_same_run_gives_the_same_bytes(read: Source, kind: Kind, form: str) -> None:
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


def test_losses_have_a_logarithmic_axis() -> None:
    figure, notes = drawn(chart(line(3.0, 2.0, 1.5)))
    assert figure.axes[0].get_yscale() == "log"
    assert not notes


def test_quartiles_make_a_band() -> None:
    points = [(0.0, spread([1.0, 2.0, 3.0])), (1.0, spread([1.0, 2.0, inf]))]
    figure, notes = drawn(chart(Line("gd", points)))
    (band,) = figure.axes[0].collections
    corners = np.asarray(band.get_paths()[0].vertices).tolist()
    assert all(isfinite(x) and isfinite(y) for x, y in corners)
    assert min(y for _, y in corners) == 1.5
    assert notes == ["bands: quartiles over seeds"]


def test_a_cross_marks_where_a_line_leaves() -> None:
    picture = chart(line(4.0, 2.0, 1.0), line(4.0, 1e30, inf, nan, diverged=True))
    assert marks(picture, "X") == [(1.0, 4.0)]
    assert drawn(picture)[1] == ["X: diverged, or above the axis"]


def test_every_learning_rate_that_diverged_is_marked() -> None:
    picture = chart(line(inf, 2.0, 1.0, inf, inf), log_x=True)
    assert [x for x, _ in marks(picture, "X")] == [0, 3, 4]


def test_every_column_of_panels_says_what_x_is() -> None:
    panels = [Panel(f"p{k}", [line(2.0, 1.0)]) for k in range(4)]
    figure, _ = drawn(Chart("title", panels, "epoch", "training loss"))
    assert [axes.get_xlabel() for axes in figure.axes] == ["", *["epoch"] * 3, "", ""]
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2


def test_what_is_not_positive_is_marked_and_counted() -> None:
    picture = chart(line(4.0, 1.0, 0.0, 0.0))
    assert marks(picture, 11) == [(2.0, 1.0), (3.0, 1.0)]
    assert drawn(picture)[1] == ["2 below 1, at the bottom"]


def test_negative_losses_have_a_symmetric_axis() -> None:
    figure, notes = drawn(chart(line(1e6, 4.0, -4.0)))
    assert figure.axes[0].get_yscale() == "symlog"
    assert not notes


def test_an_accuracy_has_a_linear_axis() -> None:
    assert metric_axis([0.1, 0.95], log=False).straight
    assert not metric_axis([1e-6, 0.95], log=False).straight
    assert not metric_axis([0.1, 0.95], log=True).straight


def test_diverged_lines_do_not_set_the_axis_unless_all_did() -> None:
    assert axis_of(chart(line(4.0, 1.0), line(4.0, 1e9, diverged=True))).scale.high == 4.0
    assert axis_of(chart(line(4.0, 1e9, inf, diverged=True))).scale.high == 1e9


@settings(max_examples=25)
@example(values=[[2e-311]], log=True)
@example(values=[[-2e-311]], log=True)
@given(values=st.lists(st.lists(numbers, min_size=1, max_size=4), max_size=3), log=st.booleans())
def test_any_values_can_be_drawn(*, values: list[list[float]], log: bool) -> None:
    lines = [line(*row) for row in values]
    rows = [[Square(Cell(0.1, ()), value) for value in row[:1]] for row in values]
    picture = Chart("", [Panel("", lines)], "x", "y", log_y=log)
    assert figure_bytes(picture, "svg")
    if rows:
        squares = HeatMap("", "x", "y", ["1"], [str(k) for k in range(len(rows))], rows, log=log)
        assert figure_bytes(squares, "svg")


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
    read: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figure_bytes(curves(read), "svg")
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    assert figure_bytes(curves(read), "svg") == before
    assert mpl.rcParams["font.size"] == 30
