"""The rate at which a trial converged, from its curve alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from math import exp, isfinite, log
from statistics import linear_regression
from typing import TypeAlias

Point: TypeAlias = tuple[int, float]

ROUNDING = 1e-10  # of the gradient norm at the start: below it, rounding may be what is left
FEWEST = 4  # points that a rate is measured from
PASSES = 3  # the first peaks are above a slope that the swings still bend


def measured_rate(steps: Sequence[int], grad_norms: Sequence[float]) -> float | None:
    """Return the factor by which the gradient norm shrinks, or grows, in a step, in the long run.

    It is that of the line through the logarithms of the second half of the curve, in steps, before
    rounding; of a norm that swings, as momentum's does, of the line through its peaks, which do
    not. On a bowl the distance to the minimiser shrinks by it, too. None: there are too few
    points, as of a trial that is recorded ever more rarely.
    """
    known = _sound(list(zip(steps, grad_norms, strict=False)))
    ends = known[-1][0] + known[0][0] if known else 0
    half = [(step, log(norm)) for step, norm in known if 2 * step >= ends]
    if len(half) < FEWEST:
        return None
    slope = _slope(half)
    for _ in range(PASSES):
        peaks = list(_peaks(half, slope))
        if len(peaks) < FEWEST:
            break
        slope = _slope(peaks)
    return exp(slope)


def _sound(points: Sequence[Point]) -> list[Point]:
    """Return the norms that are finite and above 0, up to the last above rounding."""
    finite = list(takewhile(lambda point: isfinite(point[1]), points))
    # A norm that swings may dip below it on the way.
    while finite and not finite[-1][1] > ROUNDING * finite[0][1]:
        finite.pop()
    return [point for point in finite if point[1] > 0]


def _peaks(points: Sequence[Point], slope: float) -> Iterator[Point]:
    """Yield the points that rise above both neighbours, seen along the slope."""
    heights = [height - slope * step for step, height in points]
    for place in range(1, len(points) - 1):
        if heights[place - 1] < heights[place] >= heights[place + 1]:
            yield points[place]


def _slope(points: Iterable[Point]) -> float:
    """Return the slope of the line that is closest in least squares."""
    return linear_regression(*zip(*points, strict=True)).slope
