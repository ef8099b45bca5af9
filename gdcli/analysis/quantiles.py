"""Medians and quartiles of numbers that may be infinite, and of curves epoch by epoch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf, isnan
from typing import TYPE_CHECKING, TypeAlias

from gdcli.runs.csv_read import Row, read_rows

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.trials import TrialResult


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


@dataclass(frozen=True)
class Recorded:
    """The recorded points of one trial, the oldest first."""

    epochs: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def read_curves(
    folder: Path, wanted: Collection[str], measure: str = "train_loss"
) -> dict[str, Recorded]:
    """Read the curves of the wanted trials, by id, from a run's curves.csv.

    A trial without a row has no entry. Raises UserError naming the line that is wrong, where it is
    one of theirs.
    """
    rows = read_rows(folder / "curves.csv", {trial.encode() for trial in wanted})
    header = next(rows)
    epoch, loss = (column_of(header, name) for name in ("epoch", measure))
    curves: dict[str, Recorded] = {}
    for row in rows:
        curve = curves.setdefault(row.cells[0], Recorded())
        at, value = row.number(epoch, "epoch"), row.number(loss, measure)
        if at is None or isnan(at):
            row.refuse("it has no epoch")
        curve.epochs.append(at)
        curve.losses.append(inf if value is None or isnan(value) else value)
    return curves


def column_of(header: Row, name: str) -> int:
    """Return where a measure is; raises UserError where there is none of that name."""
    if name not in header.cells:
        header.refuse(f"there is no column {name}")
    # The last one named so: a varied setting, to the left, may have that name too.
    return len(header.cells) - 1 - header.cells[::-1].index(name)


def spread_curve(trials: Iterable[TrialResult], curves: dict[str, Recorded]) -> Band:
    """Return how the losses of trials are spread at every epoch that one of them recorded.

    Between its points a trial counts with the last of them; after its end with its last loss,
    or with inf where it diverged. NaN counts as inf.
    """
    known = [(curves[trial.id], trial.status) for trial in trials if trial.id in curves]
    epochs = sorted({epoch for curve, _ in known for epoch in curve.epochs})
    held = [_held(curve, status, epochs) for curve, status in known]
    return [(epoch, spread(losses)) for epoch, *losses in zip(epochs, *held, strict=True)]


def _held(curve: Recorded, status: str, epochs: Sequence[float]) -> list[float]:
    """Return a trial's loss at each of the epochs."""
    if curve.epochs == epochs:
        return curve.losses
    after = inf if status == "diverged" else curve.losses[-1]
    points = iter(zip(curve.epochs, curve.losses, strict=True))
    held = []
    last, upcoming = curve.losses[0], next(points, None)
    for epoch in epochs:
        while upcoming is not None and upcoming[0] <= epoch:
            last, upcoming = upcoming[1], next(points, None)
        held.append(last if upcoming or epoch <= curve.epochs[-1] else after)
    return held


QUARTER = 4  # values at least, where there are enough: fewer tell no level from noise


def last_quarter(values: Sequence[float]) -> Sequence[float]:
    """Return the last quarter of two values or more.

    It has 4 values where there are fewer than 16, and half of fewer than 8.
    """
    return values[-min(max(len(values) // 4, QUARTER), len(values) // 2) :]
