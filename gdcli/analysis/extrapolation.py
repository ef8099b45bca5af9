"""How long a loss that falls slowly would take to its target."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite, log

from gdcli.analysis.quantiles import median
from gdcli.analysis.series import last_quarters


def steps_to(
    target: float, steps: Sequence[int], losses: Sequence[float], minimum: float | None
) -> float | None:
    """Return the steps still to go until a loss that falls at the end is at the target.

    The gap to the minimum is taken to shrink geometrically, as gradient descent makes it near a
    minimiser, at the rate at which the medians of the last two quarters did; an unknown minimum
    is taken to be 0. inf: the target is at the minimum or below. None: no rate can be told.
    """
    floor = 0.0 if minimum is None else minimum
    before, now = (median(quarter) - floor for quarter in last_quarters(losses))
    goal = target - floor
    if goal <= 0:
        return inf
    if not 0 < now < before < inf or goal >= now:
        return None
    first, last = (median(quarter) for quarter in last_quarters(steps))
    rate = log(before / now) / (last - first) if last > first else 0.0
    to_go = log(now / goal) / rate if rate > 0 else inf
    # Counted from the middle of the last quarter, where its median is.
    return max(0.0, to_go - (steps[-1] - last)) if isfinite(to_go) else None
