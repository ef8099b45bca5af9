"""A run's curves, thinned to what a page can hold."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gdcli.runs.csv_read import Row
from gdcli.runs.trials import Points

MOST_VALUES = 500_000  # of all curves together: two megabytes of text
MOST_POINTS = 2_000  # of one: a screen is not wider


@dataclass
class Thinned:
    """The curves of the trials that have one, by id."""

    most: int  # points of a curve
    values: dict[str, array[float]]  # by metric: of all trials, one after another
    epochs: dict[str, tuple[float, ...]] = field(default_factory=dict)  # many share theirs
    starts: dict[str, int] = field(default_factory=dict)  # where a trial's values begin
    longest: int = 0  # points recorded of a trial
    step: int = 1  # every which of them is kept, of the longest

    def of(self, metric: str, trials: Iterable[str]) -> array[float]:
        """Return a metric's values of trials, one after another."""
        values, found = self.values[metric], array("d")
        for trial in trials:
            if trial in self.starts:
                start = self.starts[trial]
                found.extend(values[start : start + len(self.epochs[trial])])
        return found


def thinned_curves(
    folder: Path, curves: Iterable[Points], metrics: Sequence[str], trials: int
) -> Thinned:
    """Keep as many points of each of the curves of a run's curves.csv as fit.

    Of a trial are kept its first and last point and every 2nd, 4th or 8th ..., so that those of a
    trial that ended early are among those of the others. `curves` have the values of "epoch" and
    the metrics. Raises UserError naming a wrong line.
    """
    most = min(MOST_POINTS, max(2, MOST_VALUES // (trials * len(metrics))))
    kept = Thinned(most, {name: array("d") for name in metrics})
    axes: dict[tuple[float, ...], tuple[float, ...]] = {}
    filled = 0
    for points in curves:
        if points.trial in kept.epochs:
            row = Row(folder / "curves.csv", points.line, [])
            row.refuse("the rows of its trial do not follow one another")
        count = len(points.steps)
        step = 1
        while -(-count // step) > most:
            step *= 2
        kept.step, kept.longest = max(kept.step, step), max(kept.longest, count)
        last = (count - 1) % step != 0  # is kept, too
        for name, values in kept.values.items():
            values.extend(_every(points.values[name], step, last=last))
        epochs = tuple(_every(points.values["epoch"], step, last=last))
        kept.epochs[points.trial] = axes.setdefault(epochs, epochs)
        kept.starts[points.trial] = filled
        filled += len(epochs)
    return kept


def _every(values: Sequence[float], step: int, *, last: bool) -> Sequence[float]:
    return [*values[::step], values[-1]] if last else values[::step]
