"""The axis of a metric: what lies on it, and what can only be marked at its ends."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, isnan
from typing import TYPE_CHECKING, NamedTuple

from gdcli.report.pictures.picture import Chart
from gdcli.report.scale import Scale, scale_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 100.0  # highest over lowest from which on any axis is logarithmic
LEAST, LARGEST = 1e-300, 1e300  # sizes beyond which matplotlib overflows: less is drawn as 0
STRAIGHT = 1e4  # a symmetric scale is as good as linear up to so many times its range


class MetricAxis(NamedTuple):
    """An axis from the lowest to the highest value of the lines that converged."""

    scale: Scale
    straight: bool = False  # linear

    def set(self, axes: Axes) -> None:
        """Give the y axis of a panel this scale."""
        if self.straight:
            return
        if self.scale.linear:
            axes.set_yscale("symlog", linthresh=self.scale.linear)
        else:
            axes.set_yscale("log")

    def within(self, value: float) -> float:
        """Return a value, or the end of the axis where it lies beyond it; NaN is at the top."""
        high = self.scale.high
        return high if isnan(value) else min(max(value, self.scale.low), high)

    def beyond(self, value: float) -> bool:
        """Return whether a value is above the axis, infinite or NaN."""
        return not value <= self.scale.high


def metric_axis(values: Iterable[float], *, log: bool) -> MetricAxis:
    """Return the axis for values of which some may be infinite or NaN.

    It is logarithmic, or symmetric about 0 where some are negative; unless `log` it is linear
    where they differ by a factor of less than 100.
    """
    drawn = (value if abs(value) >= LEAST else 0.0 for value in values if isfinite(value))
    finite = [min(max(value, -LARGEST), LARGEST) for value in drawn]
    if not finite:
        return MetricAxis(Scale(1.0, 1.0))
    sizes = [abs(value) for value in finite if value]
    if log or (sizes and max(sizes) >= WIDE * min(sizes)):
        return MetricAxis(scale_of(finite))
    linear = STRAIGHT * max([*sizes, 1.0])
    return MetricAxis(Scale(min(finite), max(finite), linear), straight=True)


def axis_of(chart: Chart) -> MetricAxis:
    """Return the axis on which the lines lie that did not diverge; of all, if all did.

    Their quartiles count up to ten times the largest median: a seed or two may be near divergence.
    """
    lines = [line for panel in chart.panels for line in panel.lines]
    points = [values for line in lines if not line.diverged for _, values in line.points]
    if not any(isfinite(values.median) for values in points):
        points = [values for line in lines for _, values in line.points]
    medians = [values.median for values in points if isfinite(values.median)]
    most = 10 * max(map(abs, medians), default=1.0)
    quartiles = [end for values in points for end in (values.low, values.high)]
    near = [end for end in quartiles if abs(end) <= most]
    return metric_axis([*medians, *near], log=chart.log_y)
