"""Pictures in the terminal: which axis values lie on, and that none is lost."""

from __future__ import annotations

import io
import re
from math import inf

import pytest
from rich.console import Console

from gdcli.analysis.quantiles import Spread
from gdcli.report.charts.chart import Chart, Line, Panel, axis_of, tick_labels
from gdcli.report.charts.terminal import picture_lines, print_picture


def ticks(values: list[float], *, log_y: bool, log_x: bool = False) -> list[float]:
    """Return the labels of the y axis, from the top."""
    points = [(1.0 + x, Spread(y, y, y, 1)) for x, y in enumerate(values)]
    panel = Panel("", [Line("gd", points)])
    chart = Chart("", [panel], "epoch", "test accuracy", log_x=log_x, log_y=log_y)
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    lines = [line.plain for line in picture_lines(chart, console)]
    return [float(found[1]) for line in lines if (found := re.match(r" *(\S+) ┤", line))]


@pytest.mark.parametrize("log_x", [False, True])
def test_an_accuracy_has_a_linear_axis(*, log_x: bool) -> None:
    assert ticks([0.1, 0.5, 0.9, 0.96], log_y=False, log_x=log_x) == [0.8, 0.6, 0.4, 0.2]
    assert ticks([-0.5, 0.5], log_y=False, log_x=log_x) == [0.4, 0.2, 0, -0.2, -0.4]


def test_a_loss_and_what_falls_by_orders_of_magnitude_have_a_logarithmic_one() -> None:
    assert ticks([0.01, 0.1, 1.0], log_y=True) == [1, 0.1, 0.01]
    assert ticks([1e-6, 1.0], log_y=False) == [1, 0.01, 0.0001, 1e-06]


@pytest.mark.parametrize("last", [0.98, 1.0])
def test_accuracies_near_one_are_told_apart(last: float) -> None:
    points = [(float(x), Spread(y, y, y, 1)) for x, y in enumerate([0.1, 0.5, 0.9, 0.96, last])]
    chart = Chart("", [Panel("", [Line("gd", points)])], "epoch", "accuracy", log_y=False)
    places = [axis_of(chart._replace(share=True))(value.median) for _, value in points]
    assert places == sorted(places)
    assert places[2] < 0.7 < places[3] < 0.95
    labels = {label for _, label in axis_of(chart._replace(share=True)).labels(6)}
    assert {"0.9", "0.95"} <= labels


def test_rates_that_are_close_have_names_of_their_own() -> None:
    points = [(lr, Spread(1.0, 1.0, 1.0, 1)) for lr in (0.1, 0.19999, 0.2, 0.20001, 0.4)]
    chart = Chart("", [Panel("", [Line("gd", points)])], "learning rate", "loss", log_x=True)
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    (foot,) = [
        line.plain for line in picture_lines(chart, console) if line.plain.split()[0] == "lr"
    ]
    assert foot.split()[1:] == ["0.1", "0.20001", "0.4"]


def test_a_long_legend_breaks_between_words() -> None:
    points = [(1.0 + x, Spread(x, x, x, 1)) for x in (1.0, 2.0)] + [
        (3.0 + x, Spread(inf, inf, inf, 1)) for x in range(40)
    ]
    chart = Chart("title", [Panel("", [Line("gd", points)])], "learning rate", "l", log_x=True)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    print_picture(chart, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    legend = " ".join(lines[-3:]).split()
    assert {f"{3 + x}," for x in range(39)} <= set(legend)


@pytest.mark.parametrize("value", [0.0, 0.5, -3.0, 1e-300])
def test_one_value_is_its_own_axis(value: float) -> None:
    assert ticks([value, value], log_y=False) == [value]


def test_ticks_that_differ_late_are_told_apart() -> None:
    labels = tick_labels([1.0, 1.0 + 2e-12, 1.0 + 4e-12])
    assert labels == ["1", "1.000000000002", "1.000000000004"]
    assert tick_labels([0.1, 1.0, 1e6]) == ["0.1", "1", "1e6"]
