"""The upright axis of a picture: its scale, and the places of what no scale has room for.

Zero lies below a logarithmic axis, a loss that grows without end above it, and higher still, in
a row of its own, what is not finite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite, log10
from typing import NamedTuple

from gdcli.report.pictures.picture import DIVERGED, Chart
from gdcli.report.scale import Scale, scale_of, tick_label

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
