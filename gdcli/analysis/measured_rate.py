"""The rate at which a trial converged, from its curve alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from math import exp, isfinite, log
from statistics import linear_regression

ROUNDING = 1e-10  # of the gradient norm at the start: below it, rounding may be what is left
FEWEST = 4  # points that a rate is measured from


def measured_rate(steps: Sequence[int], grad_norms: Sequence[float]) -> float | None:
    """Return the factor by which the gradient norm shrinks, or grows, in a step, in the long run.

    It is that of the line through the logarithms of the second half of the curve, in steps, before
    rounding. On a bowl the distance to the minimiser shrinks by it, too. None: there are too few
    points, as of a trial that is recorded ever more rarely.
    """
    known = list(_sound(zip(steps, grad_norms, strict=False)))
    half = [(s, log(norm)) for s, norm in known if 2 * s >= known[-1][0] + known[0][0]]
    if len(half) < FEWEST:
        return None
    return exp(_slope(half))


def _sound(points: Iterable[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    """Return the points before the first at which the norm is as good as 0, or not finite."""
    first: list[float] = []

    def sound(point: tuple[int, float]) -> bool:
        norm = point[1]
        first.append(norm)
        return isfinite(norm) and norm > ROUNDING * first[0]

    return takewhile(sound, points)


def _slope(points: Sequence[tuple[int, float]]) -> float:
    """Return the slope of the line that is closest in least squares."""
    return linear_regression(*zip(*points, strict=True)).slope
