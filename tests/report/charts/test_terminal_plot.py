from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gdcli.report.charts.chart import MOST_LINES, scale_of, steps
from gdcli.report.charts.terminal import BLANK, HEIGHT, LETTERS, TERMINAL_COLORS, PlotCurve, plot

WIDTH = 80
FALLING = [(float(epoch), 0.8**epoch) for epoch in range(51)]

losses = st.floats(allow_nan=True, allow_infinity=True)
finite = st.floats(allow_nan=False, allow_infinity=False)


def drawn(*curves: PlotCurve, width: int = WIDTH) -> list[str]:
    return [line.plain for line in plot(curves, width, "epoch")]


def area(lines: list[str]) -> str:
    """Return the rows between the axes."""
    return "\n".join(line.partition("┤" if "┤" in line else "│")[2] for line in lines[:HEIGHT])


def ticks(lines: list[str]) -> list[float]:
    return [float(line.partition("┤")[0]) for line in lines[:HEIGHT] if "┤" in line]


def test_a_curve_falls_from_the_upper_left_to_the_lower_right() -> None:
    rows = area(drawn(PlotCurve("gd", FALLING))).split("\n")
    assert rows[0].strip()
    ends = [len(row.rstrip()) for row in rows]
    assert ends == sorted(ends)
    assert ends[-1] > 70


def test_the_axis_of_losses_has_powers_of_ten() -> None:
    assert ticks(drawn(PlotCurve("gd", FALLING))) == [1, 0.1, 0.01, 0.001, 0.0001]


def test_the_lines_are_as_wide_as_asked() -> None:
    for width in (40, 80, 200):
        lines = drawn(PlotCurve("gd", FALLING), width=width)
        assert max(map(cell_len, lines)) == width


def test_every_curve_has_its_letter_and_colour_in_plot_and_legend() -> None:
    curves = [PlotCurve(f"curve{k}", [(x, y * 2**k) for x, y in FALLING]) for k in range(6)]
    lines = plot(curves, WIDTH, "epoch")
    picture = "".join(line.plain for line in lines[:HEIGHT])
    assert (
        len(curves)
        == MOST_LINES
        == len(TERMINAL_COLORS)
        == len(set(TERMINAL_COLORS))
        == len(LETTERS)
    )
    for letter, color, curve, legend in zip(
        LETTERS, TERMINAL_COLORS, curves, lines[-6:], strict=True
    ):
        assert letter in picture
        assert legend.plain == f" {letter} {curve.label}"
        assert [str(span.style) for span in legend.spans] == [color]
        assert any(str(span.style) == color for line in lines[:HEIGHT] for span in line.spans)


def test_a_short_curve_has_its_letter_too() -> None:
    lines = drawn(PlotCurve("long", FALLING), PlotCurve("short", [(0, 0.1), (1, 0.1)]))
    assert "b" in area(lines)


def test_crossing_curves_share_a_cell() -> None:
    up, down = [(0.0, 1.0), (1.0, 100.0)], [(0.0, 100.0), (1.0, 1.0)]
    alone = [area(drawn(PlotCurve("", points))) for points in (up, down)]
    both = area(drawn(PlotCurve("", up), PlotCurve("", down)))
    dots = [sum(ord(char).bit_count() for char in text if char > BLANK) for text in (*alone, both)]
    assert dots[2] > max(dots[:2])


def test_a_diverged_curve_is_drawn_as_it_grows_and_ends_with_an_x() -> None:
    up = [(float(epoch), 10.0**epoch) for epoch in range(10)]
    lines = drawn(PlotCurve("gd", FALLING), PlotCurve("lost", up, diverged=True))
    assert max(ticks(lines)) > 1e6
    assert {1, 0.1, 0.01} <= set(ticks(lines))
    assert "x" in area(lines).split("\n")[0]
    assert area(lines).count("x") == 1
    assert lines[-2:] == [" b lost, diverged (x)", "   the axis is compressed above 1"]


def test_growth_of_fewer_decades_than_the_rest_needs_no_axis_of_its_own() -> None:
    up = [(float(epoch), 2.0**epoch) for epoch in range(9)]
    lines = drawn(PlotCurve("gd", FALLING), PlotCurve("lost", up, diverged=True))
    assert max(ticks(lines)) == 100
    assert lines[-1] == " b lost, diverged (x)"


def test_a_curve_that_stops_being_finite_ends_with_an_x() -> None:
    for end in (inf, nan):
        lines = drawn(PlotCurve("gd", FALLING), PlotCurve("lost", [(0, 1.0), (20, end), (30, 1.0)]))
        assert area(lines).count("x") == 1
        column = area(lines).split("\n")[0].index("x")
        assert column / (WIDTH - 10) == pytest.approx(20 / 50, abs=0.05)


@pytest.mark.parametrize("end", [inf, -inf, nan])
def test_what_is_not_finite_is_said_beside_its_name(end: float) -> None:
    lines = drawn(PlotCurve("gd", FALLING), PlotCurve("lost", [(0, 1.0), (20, end)]))
    assert lines[-1] == " b lost, not finite (x)"
    assert area(lines).count("x") == 1


def test_a_diverged_curve_below_the_scale_is_said_to_be() -> None:
    down = PlotCurve("lost", [(0.0, 1.0), (5.0, 1e-9)], diverged=True)
    found = drawn(PlotCurve("gd", FALLING), down)[-1]
    assert found == "   1 point below 1.4e-5, drawn at 1.4e-5"


def test_where_all_diverged_their_growth_is_drawn() -> None:
    lines = drawn(PlotCurve("lost", [(float(e), 10.0**e) for e in range(10)], diverged=True))
    assert max(ticks(lines)) == 1e8
    assert "x" in area(lines)


@pytest.mark.parametrize("lowest", [1e-3, 9.0, 2e-311, 1e308])
def test_zero_has_a_row_of_its_own_below_the_axis(lowest: float) -> None:
    lines = drawn(PlotCurve("gd", [(0, max(1.0, lowest)), (1, lowest), (2, 0.0), (3, 0.0)]))
    assert ticks(lines)[-1] == 0
    *above, gap, zeros = area(lines).split("\n")
    assert len(zeros.strip()) > len(zeros) / 4  # the last third of the curve
    assert all(len(row.rstrip()) < 0.7 * len(zeros) for row in [*above, gap])
    assert "0" not in [line.partition("┤")[0].strip() for line in drawn(PlotCurve("gd", FALLING))]


def test_no_letter_or_cross_hides_another() -> None:
    same = [(0.1, 1.0), (0.2, 2.0), (0.3, inf)]
    curves = [PlotCurve(str(k), same) for k in range(3)]
    text = area([line.plain for line in plot(curves, WIDTH, "lr", log_x=True)])
    assert text.count("x") == 3
    assert {"a", "b", "c"} <= set(text)


@pytest.mark.parametrize("loss", [2e-311, 3.0, 1e308])
def test_a_constant_curve_is_a_level_line_at_its_value(loss: float) -> None:
    lines = drawn(PlotCurve("gd", [(0, loss), (10, loss)]))
    assert ticks(lines) == [pytest.approx(loss)]
    assert sum(bool(row.strip()) for row in area(lines).split("\n")) == 1


def test_negative_losses_are_drawn_on_a_symmetric_axis() -> None:
    lines = drawn(PlotCurve("gd", [(float(e), -0.25 + 0.25 * 0.8**e) for e in range(51)]))
    assert ticks(lines) == [0, -0.05, -0.1, -0.15, -0.2]
    lines = drawn(PlotCurve("gd", [(0, 1000.0), (1, 10.0), (2, -1.0)]))
    assert {1000, 100, 10, 1, 0, -0.5} <= set(ticks(lines))


def test_a_narrow_range_has_ticks_too() -> None:
    assert len(ticks(drawn(PlotCurve("gd", [(0, 2.31), (1, 2.30)])))) > 2
    assert ticks(drawn(PlotCurve("gd", [(0, 2.3026), (1, 2.3026)]))) == [2.3026]
    assert ticks(drawn(PlotCurve("gd", [(0, 0.0), (1, 0.0)]))) == [0]


def test_one_point_is_drawn_in_the_middle() -> None:
    (row,) = [row for row in area(drawn(PlotCurve("gd", [(5, 3.0)]))).split("\n") if row.strip()]
    assert row.index("a") == pytest.approx(WIDTH / 2, abs=5)
    assert "5" in drawn(PlotCurve("gd", [(5, 3.0)]))[HEIGHT + 1]


def test_nothing_finite_is_said() -> None:
    nothing = ["no curve has a finite loss to draw"]
    assert drawn(PlotCurve("gd", [(0, nan), (1, inf)])) == nothing
    assert drawn(PlotCurve("gd", [])) == nothing
    assert drawn() == nothing


def test_a_curve_without_points_is_named() -> None:
    assert drawn(PlotCurve("gd", FALLING), PlotCurve("none", []))[-1] == " b none"


def test_a_hundred_thousand_points_are_drawn_as_their_outline() -> None:
    few = PlotCurve("gd", [(float(e), 1.0 + e % 2) for e in range(1000)])
    many = PlotCurve("gd", [(e / 100, 1.0 + e % 2) for e in range(99_901)])
    assert len(area(drawn(many))) == len(area(drawn(few)))


@given(
    st.lists(
        st.builds(
            PlotCurve,
            label=st.just("curve"),
            points=st.lists(st.tuples(st.floats(0, 1e6), losses), max_size=20).map(sorted),
            diverged=st.booleans(),
        ),
        max_size=MOST_LINES,
    ),
    st.integers(1, 120),
)
def test_any_losses_can_be_drawn(curves: list[PlotCurve], width: int) -> None:
    lines = drawn(*curves, width=width)
    assert len(lines) == 1 or len(lines) >= HEIGHT + 2 + len(curves)


@given(st.lists(finite, min_size=1))
def test_every_loss_has_its_place_and_ticks_are_on_the_axis(values: list[float]) -> None:
    scale = scale_of(values)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)
    assert all(isfinite(tick) for tick in scale.ticks(5))


@given(finite, finite, st.integers(1, 20))
def test_steps_are_round_and_few(one: float, other: float, most: int) -> None:
    low, high = sorted([one, other])
    found = steps(low, high, most)
    assert len(found) <= most + 1
    assert found == sorted(found)
