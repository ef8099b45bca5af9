"""Where a value lies on an axis: logarithmic, symmetric about 0, or close-up below a best value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, copysign, floor, inf, isfinite, log10
from typing import NamedTuple

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
