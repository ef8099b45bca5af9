"""A run's curves, thinned to what a page can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from gdcli.analysis.median_curve import column_of
from gdcli.analysis.rows import Row, read_rows

MOST_VALUES = 500_000  # of all curves together: five megabytes of text
MOST_POINTS = 2_000  # of one: a screen is not wider


@dataclass
class Thinned:
    """The curves of the trials that have one, by id."""

    most: int  # points of a curve
    epochs: dict[str, list[float]] = field(default_factory=dict)
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # by trial, by metric
    longest: int = 0  # points recorded of a trial
    step: int = 1  # every which of them is kept, of the longest


def thinned_curves(folder: Path, metrics: Sequence[str], trials: int) -> Thinned:
    """Read a run's curves.csv and keep as many points of each trial as fit.

    Of a trial are kept its first and last point and every 2nd, 4th or 8th ..., so that those of a
    trial that ended early are among those of the others. Raises UserError naming a wrong line.
    """
    rows = read_rows(folder / "curves.csv")
    header = next(rows)
    places = {name: column_of(header, name) for name in ("epoch", *metrics)}
    curves = Thinned(min(MOST_POINTS, max(2, MOST_VALUES // (trials * len(metrics)))))
    for trial, group in groupby(rows, key=lambda row: row.cells[0]):
        points = list(group)
        if trial in curves.epochs:
            points[0].refuse("the rows of its trial do not follow one another")
        kept = _kept(points, curves)
        table = {name: [row.number_or_nan(at, name) for row in kept] for name, at in places.items()}
        curves.epochs[trial] = table.pop("epoch")
        curves.values[trial] = table
    return curves


def _kept(points: list[Row], curves: Thinned) -> list[Row]:
    step = 1
    while -(-len(points) // step) > curves.most:
        step *= 2
    curves.step, curves.longest = max(curves.step, step), max(curves.longest, len(points))
    kept = points[::step]
    return kept if (len(points) - 1) % step == 0 else [*kept, points[-1]]
