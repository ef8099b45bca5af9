"""What the ramp of a learning-rate search says: where its loss falls steepest, before any rise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from math import inf, isfinite

from gdcli.analysis.quantiles import median


def ceiling(start: float, minimum: float | None, factor: float) -> float:
    """Return the loss above which a trial has diverged: `factor` times its height at the start.

    The height is over the known minimum, else over 0, whichever sign the loss has.
    """
    height = abs(start) if minimum is None else start - minimum
    return start + (factor - 1) * height


def held_below(losses: Sequence[float], limit: float) -> list[float]:
    """Return the losses before the first that is above the limit, or not finite."""
    return list(takewhile(lambda loss: isfinite(loss) and loss <= limit, losses))


def smoothed(losses: Sequence[float], width: int) -> list[float]:
    """Return the mean of `width` losses around each; of fewer, as many on both sides, at an end.

    Centred: a mean of the past alone would move every feature to a larger learning rate.
    """
    means = []
    for place in range(len(losses)):
        reach = min(width // 2, place, len(losses) - 1 - place)
        around = losses[place - reach : place + reach + 1]
        means.append(sum(around) / len(around))
    return means


def medians(curves: Sequence[Sequence[float]], length: int) -> list[float]:
    """Return the median over curves at each of `length` places, inf where most have ended."""
    padded = [[*curve, *[inf] * (length - len(curve))] for curve in curves]
    return [median(values) for values in zip(*padded, strict=True)]


def steepest(curve: Sequence[float]) -> int | None:
    """Return the place after the first at which a curve falls most; None: it falls nowhere.

    The places lie evenly on the axis, so that differences are slopes: half of that between both
    neighbours, and at the end that to the only one.
    """
    last = len(curve) - 1
    slopes = [(curve[place + 1] - curve[place - 1]) / 2 for place in range(1, last)]
    slopes += [curve[last] - curve[last - 1]] if last > 0 else []
    lowest = min(slopes, default=0.0)
    return slopes.index(lowest) + 1 if lowest < 0 else None
