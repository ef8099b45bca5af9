"""What a picture shows, wherever it is drawn, and where values lie on its axes.

Axes are logarithmic, symmetric about 0, or close-up below a best value. Zero lies below a
logarithmic axis, a loss that grows without end above it, and higher still, in a row of its own,
what is not finite. A chart is rows of numbers, too, to be read or heard.
"""

from __future__ import annotations

from math import ceil, copysign, floor, inf, isfinite, log10
from typing import TYPE_CHECKING, NamedTuple

from gdcli.analysis.best import Candidate, best
from gdcli.numbers import all_digits, for_json, rounded
from gdcli.report.text_tables import print_json, print_listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from gdcli.analysis.quantiles import Spread
    from gdcli.runs.csv_read import Value

DIVERGED, NOT_FINITE = "diverged", "not finite"  # what values say that no axis has a place for
MOST_LINES = 6  # of one panel: more are hard to tell apart, and there is no colour for them


class Line(NamedTuple):
    """Values over x, spread over the seeds; inf where half of the seeds diverged."""

    label: str
    points: Sequence[tuple[float, Spread]]
    diverged: bool = False  # it may leave the picture: the others alone set its scale
    shade: float | None = None  # 0 to 1: where it stands in an order that the panels share


class Panel(NamedTuple):
    """Lines that share their axes."""

    title: str
    lines: Sequence[Line]


def panel_of(title: str, lines: Sequence[Line]) -> Panel:
    """Return a panel of the lines that have a point; the others are named in its title."""
    drawn = [line for line in lines if line.points]
    failed = ", ".join(line.label for line in lines if not line.points)
    titles = [title, f"failed: {failed}" if failed else ""]
    return Panel("; ".join(filter(None, titles)), drawn)


class Chart(NamedTuple):
    """One panel or several, all with the same axes."""

    title: str
    panels: Sequence[Panel]
    x: str
    y: str
    log_x: bool = False
    log_y: bool = True  # else only where the values differ by orders of magnitude
    notes: Sequence[str] = ()  # what is left out
    share: bool = False  # values from 0 to 1, of which those near 1 are told apart
    lost: str = DIVERGED  # what values say that are not finite


class Square(NamedTuple):
    """One field of a heat map: the trials that share its row and its column."""

    cell: Candidate  # the best of them, all seeds of one setting at one learning rate
    value: float  # its median: inf where half of the seeds diverged or none has a result

    @property
    def text(self) -> str:
        """What became of it where there is no number, else nothing."""
        if not self.cell.ran:
            return "failed"
        return "" if isfinite(self.value) else "diverged"


class HeatMap(NamedTuple):
    """Medians over two axes."""

    title: str
    x: str
    y: str
    columns: Sequence[str]
    rows: Sequence[str]
    squares: Sequence[Sequence[Square | None]]  # row by row; None: there is no trial
    notes: Sequence[str] = ()
    best_is: str = "best of its row"
    log: bool = True  # as `Chart.log_y` and `Chart.share`, for the colours
    share: bool = False

    def best(self, row: int) -> Square | None:
        """Return the square of a row with the best trials, as `best` has it; None: all diverged."""
        there = [square for square in self.squares[row] if square]
        found = best([square.cell for square in there])
        return next((square for square in there if square.cell is found), None)


def points(picture: Chart | HeatMap) -> list[dict[str, Value]]:
    """Return a row for each point or square, its numbers in full; inf where it diverged."""
    return _chart(picture) if isinstance(picture, Chart) else _heatmap(picture)


def print_points(picture: Chart | HeatMap, form: str, console: Console) -> None:
    """Print the rows as csv, json or md; in json nan and inf as text."""
    rows = points(picture)
    if form == "json":
        print_json([{k: for_json(v) for k, v in row.items()} for row in rows], console)
    else:
        text = rounded if form == "md" else all_digits
        print_listing([{k: text(v) for k, v in row.items()} for row in rows], form, console)


def _chart(picture: Chart) -> list[dict[str, Value]]:
    return [
        {
            **({"panel": panel.title} if len(picture.panels) > 1 else {}),
            "line": line.label,
            picture.x: x,
            "median": values.median,
            "q1": values.low,
            "q3": values.high,
            "seeds": values.count,
        }
        for panel in picture.panels
        for line in panel.lines
        for x, values in line.points
    ]


def _heatmap(picture: HeatMap) -> list[dict[str, Value]]:
    return [
        {
            picture.y: row,
            picture.x: column,
            "median": square.value if square.cell.ran else None,
            "seeds": len(square.cell.ran),
        }
        for row, squares in zip(picture.rows, picture.squares, strict=True)
        for column, square in zip(picture.columns, squares, strict=True)
        if square
    ]


DECADES = 16  # a float64's digits: what is that far below the highest loss is rounding noise
# Of an axis below a best value of 1, where 0.98 and 0.99 are as far apart as 0.8 and 0.9.
NEAR_ONE = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)


class Scale(NamedTuple):
    """An axis from `low` to `high`."""

    low: float
    high: float
    linear: float = 0.0  # 0: logarithmic; else symmetric, and close to linear up to here
    best: float | None = None  # logarithmic in the distance to here, linear within `linear` of it

    def __call__(self, loss: float) -> float:
        """Return where a loss lies between 0, the low end, and 1; beyond the ends, at the end."""
        bottom, top = self._bend(self.low), self._bend(self.high)
        at = self._bend(min(max(loss, self.low), self.high))
        return (at - bottom) / (top - bottom) if top > bottom else 0.5

    def beyond(self, value: float) -> bool:
        """Return whether a value is above the axis or not finite."""
        return not (isfinite(value) and value <= self.high)

    def labels(self, most: int) -> list[tuple[float, str]]:
        """Return about `most` ticks: where they lie from 0 to 1, and what they say."""
        ticks = self.ticks(most)
        return [(self(tick), label) for tick, label in zip(ticks, tick_labels(ticks), strict=True)]

    def _bend(self, loss: float) -> float:
        if self.best is not None:
            return -log10(1 + (self.best - loss) / self.linear)
        if self.linear:
            return copysign(log10(1 + abs(loss) / self.linear), loss)
        return log10(loss)

    def ticks(self, most: int) -> list[float]:
        """Return about `most` round losses from low to high; the only loss where they are equal."""
        return next((ticks for ticks in self._candidates(most) if len(ticks) > 1), [self.low])

    def _candidates(self, most: int) -> Iterable[list[float]]:
        """Return powers of ten; 1, 2 and 5 times them; equal steps: what spans the axis first."""
        if self.best is not None:
            yield self.with_room(NEAR_ONE, most)
        elif self.linear:
            upper = _thinned(_decades(10 * self.linear, self.high), most)
            yield [*steps(self.low, min(self.linear, self.high), most), *upper]
            return
        else:
            yield _thinned(_decades(self.low, self.high), most)
        powers = _decades(self.low / 10, self.high)
        near = [digit * power for power in powers for digit in (1, 2, 5)]
        yield [tick for tick in near if self.low <= tick <= self.high]
        yield steps(self.low, self.high, most)

    def with_room(self, ticks: Sequence[float], most: int) -> list[float]:
        """Return those of ascending ticks on the axis that have room, the highest in any case."""
        kept: list[float] = []
        for tick in reversed([tick for tick in ticks if self.low <= tick <= self.high]):
            if not kept or self(kept[-1]) - self(tick) >= 0.8 / most:
                kept.append(tick)
        return kept[::-1]


SHARES = Scale(0.0, 1.0, 1000.0)  # all of it is close to linear


def scale_of(losses: Sequence[float]) -> Scale:
    """Return the axis for finite losses, one or more.

    It is logarithmic unless one is negative or all are 0; then it is symmetric, and as good as
    linear among the negative ones. A loss that is 0, or too small to be more than rounding noise,
    lies at the low end of a logarithmic axis.
    """
    low, high = min(losses), max(losses)
    if low < 0 or high == 0:
        return Scale(low, high, max(-low, high / 10.0**DECADES) or 1.0)
    positive = min(loss for loss in losses if loss > 0)
    return Scale(max(positive, high / 10.0**DECADES), high)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Return ticks in few letters, but in as many digits as tell them apart."""
    for digits in range(6, 18):
        labels = [tick_label(tick, digits) for tick in ticks]
        if len(set(labels)) == len(set(ticks)):
            break
    return labels


def tick_label(tick: float, digits: int = 6) -> str:
    """Return a tick in few letters: 0.2, 1000, 1e-5."""
    mantissa, power, exponent = f"{tick:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if power else mantissa


def rate_ticks(rates: Iterable[float], most: int) -> list[float]:
    """Return the ticks of a logarithmic axis of positive rates: the rates, or powers of ten.

    Of rates that are too close to each other for their names the lower ones are left out.
    """
    own = sorted(set(rates))
    if len(own) > most:
        return Scale(own[0], own[-1]).ticks(most)
    return Scale(own[0], own[-1]).with_room(own, 2 * most) if own else []


def steps(low: float, high: float, most: int) -> list[float]:
    """Return about `most` multiples of a round step from low to high; none if they are equal."""
    rough = (high - low) / most
    if not 0 < rough < inf:
        return []
    power = 10.0 ** floor(log10(rough))
    if power == 0.0:  # below the least that a number can be a multiple of
        return []
    step = next((digit * power for digit in (1, 2, 5) if digit * power >= rough), 10 * power)
    return [count * step for count in range(ceil(low / step), floor(high / step) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Return the powers of ten from low to high; none where low is not positive."""
    if low <= 0 or high < low:
        return []
    return [float(f"1e{power}") for power in range(ceil(log10(low)), floor(log10(high)) + 1)]


def _thinned(ticks: list[float], most: int) -> list[float]:
    return ticks[:: max(1, ceil(len(ticks) / most))]


LANE = 0.125  # of the height: from 0 to the lowest value, and from the highest to what is lost
GROWTH = 0.3  # of the height: of what grows above the highest of the others
ROOM = 0.035  # of the height, between two ticks
GROWN = 1e10  # times that highest: what grew so far is off; a trial ends, by default, at 1e9
WIDE = 100.0  # highest over lowest from which on any axis is logarithmic
STRAIGHT = 1e4  # a symmetric scale is as good as linear up to so many times its range
CLUSTERED = 5.0  # largest error of a share over the smallest from which the axis is a close-up
FINEST = 1e-4  # error of a share up to which a close-up is linear, at least


class Axis(NamedTuple):
    """A scale from `bottom` to `knee` of the height, and lanes above and below it."""

    scale: Scale
    top: float  # the highest value that has a place of its own: the scale's, or one that grew
    zero: bool = False  # 0 has a place below the scale
    sunk: bool = False  # negative values have a row below a logarithmic scale
    lost: str = ""  # what the row of values says that have no place; none: there is no such row

    def __call__(self, value: float) -> float:
        """Return where a value lies between 0, the low end, and 1; lost ones are at 1."""
        if self.beyond(value):
            return 1.0
        if value < 0 and self.sunk:
            return 0.0
        if value == 0 and self.zero:
            return self.bottom - LANE
        if value > self.scale.high:
            return self.knee + (self.ceiling - self.knee) * self._growth(value)
        return self.bottom + (self.knee - self.bottom) * self.scale(value)

    @property
    def bottom(self) -> float:
        """Where the scale begins."""
        return LANE * (self.zero + self.sunk)

    @property
    def ceiling(self) -> float:
        """Where the highest value lies."""
        return 1.0 - LANE if self.lost else 1.0

    @property
    def knee(self) -> float:
        """Where the scale ends, and the axis is compressed from there on."""
        return self.ceiling - GROWTH if self.bent else self.ceiling

    @property
    def bent(self) -> bool:
        """Whether values that grew lie above the scale, on a coarser one."""
        return self.top > self.scale.high

    @property
    def _growth(self) -> Scale:
        return Scale(self.scale.high, self.top, self.scale.linear)

    def beyond(self, value: float) -> bool:
        """Return whether a value is above all places of the axis, or not finite."""
        return not (isfinite(value) and value <= self.top)

    def below(self, value: float) -> bool:
        """Return whether a value lies at the low end of the scale only because it is beyond it."""
        placed = (value == 0 and self.zero) or (value < 0 and self.sunk)
        return -inf < value < self.scale.low and not placed

    def labels(self, most: int) -> list[tuple[float, str]]:
        """Return ticks, about `most` of them on the scale: where they lie, and what they say."""
        share = self.knee - self.bottom
        held = [(self.bottom + share * at, label) for at, label in self.scale.labels(most)]
        if self.bent:
            held += [(self(tick), label) for tick, label in self._grown(max(3, most // 2))]
        sunk = [(0.0, "below 0")] if self.sunk else []
        zero = [(self.bottom - LANE, "0")] if self.zero else []
        lost = [(1.0, self.lost)] if self.lost else []
        return [*sunk, *zero, *_with_room(held), *lost]

    def _grown(self, most: int) -> list[tuple[float, str]]:
        """Return the ticks above the knee: values, and what they say."""
        own = self._growth
        ticks = zip(own.ticks(most), own.labels(most), strict=True)
        return [(tick, label) for tick, (at, label) in ticks if at > 0.5 / most]

    def notes(self, values: Iterable[float]) -> list[str]:
        """Return what has to be said of values that are drawn on this axis."""
        notes = []
        if self.bent:
            high = tick_label(float(f"{self.scale.high:.3g}"))
            notes.append(f"the axis is compressed above {high}")
        if below := sum(map(self.below, values)):
            low = tick_label(float(f"{self.scale.low:.2g}"))
            points = "1 point" if below == 1 else f"{below} points"
            notes.append(f"{points} below {low}, drawn at {low}")
        return notes


def axis_of(chart: Chart) -> Axis:
    """Return the axis of a chart: its scale is that of the lines that did not diverge, if any.

    Their quartiles count up to ten times the largest median: a seed or two may be near divergence.
    """
    lines = [line for panel in chart.panels for line in panel.lines]
    held = [values for line in lines if not line.diverged for _, values in line.points]
    leaving = [v.median for line in lines if line.diverged for _, v in line.points]
    medians = [values.median for values in held]
    most = 10 * max((abs(value) for value in medians if isfinite(value)), default=1.0)
    quartiles = [end for values in held for end in (values.low, values.high)]
    near = [end for end in quartiles if abs(end) <= most]
    lost = chart.lost
    return axis_for([*medians, *near], leaving, log=chart.log_y, share=chart.share, lost=lost)


def axis_for(
    values: Iterable[float],
    leaving: Iterable[float] = (),
    *,
    log: bool = True,
    share: bool = False,
    lost: str = DIVERGED,
) -> Axis:
    """Return the axis for the values that set its scale, and for those that `leaving` lines have.

    It is logarithmic, or symmetric about 0 where some are negative; unless `log` it is linear
    where they differ by a factor of less than 100, and a close-up below 1 for shares near it.
    """
    values, leaving = list(values), list(leaving)
    grown = [value for value in leaving if isfinite(value)]
    finite = [value for value in values if isfinite(value)] or grown
    if not finite:
        return Axis(Scale(1.0, 1.0), 1.0, lost=lost if values or leaving else "")
    if share:
        finite += grown
    scale = _scale(finite, log=log, share=share)
    top = max([scale.high, *(min(value, GROWN * max(1.0, scale.high)) for value in grown)])
    if _is_short(scale, top):
        scale = scale._replace(high=top)
    log = not scale.linear
    zero, sunk = log and 0.0 in (*finite, *grown), log and min([0.0, *grown]) < 0
    off = any(not isfinite(value) or value > top for value in (*values, *leaving))
    return Axis(scale, top, zero, sunk, lost if off else "")


def _with_room(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return those of ascending ticks that do not lie upon the one before."""
    kept: list[tuple[float, str]] = []
    for at, label in sorted(ticks):
        if not kept or at - kept[-1][0] >= ROOM:
            kept.append((at, label))
    return kept


def _scale(finite: Sequence[float], *, log: bool, share: bool) -> Scale:
    sizes = [abs(value) for value in finite if value]
    if share and min(finite) >= 0 and max(finite) <= 1:
        errors = [1 - value for value in finite]
        closest = max(min((error for error in errors if error), default=1.0), FINEST)
        if max(errors) >= CLUSTERED * closest:
            return Scale(min(finite), max(finite), closest, best=1.0)
    elif log or (sizes and max(sizes) >= WIDE * min(sizes)):
        return scale_of(finite)
    return Scale(min(finite), max(finite), STRAIGHT * max([*sizes, 1.0]))


def _is_short(scale: Scale, top: float) -> bool:
    """Return whether what grew spans no more decades than the rest: one scale serves both."""
    if scale.linear or not top > scale.high:
        return False
    return log10(top) - log10(scale.high) <= log10(scale.high) - log10(scale.low)
