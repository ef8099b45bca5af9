"""Which learning rates to hold next, and what those that were held say.

The rates are the places of a ladder with four rungs a decade, 1, 2, 3 and 5. Every other rung is
tried first; those between decide at the best rate and at the first unstable one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite, log10
from typing import Literal, NamedTuple, TypeAlias

from gdcli.analysis.quantiles import median

RUNGS = (1, 2, 3, 5)
LOWEST, HIGHEST = -48, 48  # places of 1e-12 and 1e12
GOOD = 0.9  # of the way down from the start's loss to the lowest
SAME = 1e-6  # of that way: losses that differ by less are as low
DECADE = 4

State: TypeAlias = Literal["stable", "unstable", "raised"]


class Level(NamedTuple):
    """What became of the trials that held one rate."""

    state: State
    loss: float = inf  # at the end, median over seeds; inf unless stable


class Reading(NamedTuple):
    """What the held rates say, as places of the ladder."""

    suggested: int | None  # None: the loss falls at no stable rate
    good: tuple[int, int] | None  # ends of the good region, among the places that were held
    edge: int | None  # the smallest that is not stable


def rate_at(place: int) -> float:
    """Return the learning rate of a place: 1, 2, 3 or 5 times a power of ten."""
    decade, rung = divmod(place, DECADE)
    return float(f"{RUNGS[rung]}e{decade}")


def place_of(rate: float) -> int:
    """Return the place, 1 or 3 times a power of ten, that is nearest to a rate."""
    return min(max(2 * round(2 * log10(rate)), LOWEST), HIGHEST)


def level_of(ends: Sequence[float], limits: Sequence[float]) -> Level:
    """Return the level of a rate at which seeds end with these losses: unstable if one of them is.

    A seed is unstable whose loss is not finite, or above its limit.
    """
    stable = all(isfinite(end) and end <= limit for end, limit in zip(ends, limits, strict=True))
    return Level("stable", median(ends)) if stable else Level("unstable")


def reading_of(levels: Mapping[int, Level], start: float) -> Reading:
    """Return what the levels of the places say, given the loss at the start.

    No rate at or above one that is not stable counts, whatever its loss.
    """
    edge = _edge(levels)
    losses = {p: levels[p].loss for p in _below(levels, edge)}
    lowest = min(losses.values(), default=inf)
    if not start - lowest > abs(start) * 1e-9:
        return Reading(None, None, edge)
    best = min(losses, key=lambda place: losses[place])
    same = _around(best, losses, lowest + SAME * (start - lowest))
    good = _around(best, losses, start - GOOD * (start - lowest))
    # The middle one; not far up where a loss cannot rise, and equal rates have no end.
    middle = min((same[0] + same[-1]) / 2, same[0] + DECADE)
    suggested = min(same, key=lambda place: abs(place - middle))
    return Reading(suggested, (good[0], good[-1]), edge)


def upcoming(levels: Mapping[int, Level], start: float, top: int) -> list[int]:
    """Return the places to hold next; none once the good region and the first unstable are known.

    The search goes up to `top`, and on as long as the rates are good or the loss falls nowhere;
    down until a rate is stable, and then until one is not good.
    """
    found = reading_of(levels, start)
    below = _below(levels, found.edge)
    if found.good is None or found.suggested is None:
        if found.edge is None:
            return _coarse(max(levels), top, levels)
        bottom = min(levels)
        further = [bottom - DECADE * decades for decades in (1, 2, 3)]
        between = _coarse(max(below), found.edge, levels) if below else []
        return between or [place for place in further if place >= LOWEST]
    low, high = found.good
    first = max(LOWEST, min(low - 2, found.suggested - DECADE))
    last = max(top, high + 2, found.suggested + DECADE) if found.edge is None else found.edge
    wanted = _coarse(first - 1, min(last, HIGHEST), levels)
    return wanted or _fine(levels, found)


def _fine(levels: Mapping[int, Level], found: Reading) -> list[int]:
    """Return the rungs beside the best rate, and the one below the first that is not stable."""
    places = [found.suggested - 1, found.suggested + 1] if found.suggested is not None else []
    if found.edge is not None and found.edge % 2 == 0:
        places.append(found.edge - 1)
    kept = [p for p in places if LOWEST <= p <= HIGHEST and p not in levels]
    return sorted({p for p in kept if found.edge is None or p < found.edge})


def _coarse(low: int, high: int, levels: Mapping[int, Level]) -> list[int]:
    """Return the places above `low`, up to `high`, of 1 and 3 times a power of ten, not held."""
    return [p for p in range(low + 1, high + 1) if p % 2 == 0 and p not in levels]


def _edge(levels: Mapping[int, Level]) -> int | None:
    return min((p for p, level in levels.items() if level.state != "stable"), default=None)


def _below(levels: Mapping[int, Level], edge: int | None) -> list[int]:
    """Return the places that were held below the first that is not stable, ascending."""
    return sorted(p for p in levels if edge is None or p < edge)


def _around(best: int, losses: Mapping[int, float], most: float) -> list[int]:
    """Return the places around the best, without a gap, whose loss is at most so high."""
    places = sorted(losses)
    low = high = places.index(best)
    while low and losses[places[low - 1]] <= most:
        low -= 1
    while high + 1 < len(places) and losses[places[high + 1]] <= most:
        high += 1
    return places[low : high + 1]
