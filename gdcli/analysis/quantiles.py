"""Medians and quartiles of numbers that may be infinite, and of curves epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from gdcli.runs.trials import Curve, TrialResult


@dataclass(frozen=True)
class Spread:
    """How numbers are spread: their quartiles and how many there are."""

    low: float  # the first quartile
    median: float
    high: float  # the third quartile
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Return the quartiles of one number or more; none may be NaN."""
    ordered = sorted(values)
    low, middle, high = (quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    return Spread(low, middle, high, len(ordered))


def median(values: Sequence[float]) -> float:
    """Return the median of one number or more; none may be NaN."""
    return quantile(sorted(values), 0.5)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted numbers, interpolated as NumPy does by default.

    Between two infinities it is infinite too, where interpolating them would give NaN.
    """
    whole, part = divmod(share * (len(ordered) - 1), 1)
    low = ordered[int(whole)]
    if part == 0:
        return low
    high = ordered[int(whole) + 1]
    return low if low == high else low + part * (high - low)


Band: TypeAlias = Sequence[tuple[float, Spread]]  # (epoch, the losses of several seeds)


def spread_curve(trials: Iterable[TrialResult], curves: Mapping[str, Curve], measure: str) -> Band:
    """Return how a measure of trials is spread at every epoch that one of them recorded.

    Between its points a trial counts with the last of them; after its end with its last value,
    or with inf where it diverged. NaN counts as inf.
    """
    known = [(curves[trial.id], trial.status) for trial in trials if trial.id in curves]
    epochs = sorted({epoch for curve, _ in known for epoch in curve.values["epoch"]})
    held = [_held(curve, status, measure, epochs) for curve, status in known]
    return [(epoch, spread(values)) for epoch, *values in zip(epochs, *held, strict=True)]


def _held(curve: Curve, status: str, measure: str, epochs: Sequence[float]) -> list[float]:
    """Return a trial's measure at each of the epochs."""
    own = curve.values["epoch"]
    values = [inf if isnan(value) else value for value in curve.values[measure]]
    if own == epochs:
        return values
    after = inf if status == "diverged" else values[-1]
    points = iter(zip(own, values, strict=True))
    held = []
    last, upcoming = values[0], next(points, None)
    for epoch in epochs:
        while upcoming is not None and upcoming[0] <= epoch:
            last, upcoming = upcoming[1], next(points, None)
        held.append(last if upcoming or epoch <= own[-1] else after)
    return held


QUARTER = 4  # values at least, where there are enough: fewer tell no level from noise


def last_quarter(values: Sequence[float]) -> Sequence[float]:
    """Return the last quarter of two values or more.

    It has 4 values where there are fewer than 16, and half of fewer than 8.
    """
    return values[-min(max(len(values) // 4, QUARTER), len(values) // 2) :]
