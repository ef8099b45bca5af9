"""Trials as lines of curves.csv and summary.csv.

A float is the shortest text that reads back as the same float of its precision.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from gdcli.engine.recorder import CONVERGED, DIVERGED
from gdcli.engine.watcher import facts
from gdcli.errors import UserError
from gdcli.experiment.axis import text
from gdcli.experiment.grid import Trial, setting
from gdcli.measure import CAUSES, LOSSES, PLACES
from gdcli.numbers import harmless, quoted
from gdcli.runs.table import End, curves_table, settings_of, summary_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.engine.plan import Plan
    from gdcli.engine.recorder import BatchHistory
    from gdcli.engine.watcher import Trajectory
    from gdcli.measure import Column
    from gdcli.runs.table import RunTable

# Sizes, from and to, that orjson may write without an exponent and NumPy and `repr` with one.
OTHERWISE = {
    "float64": ((1e-5, 1e-4),),
    "float32": ((9e-7, 1e-4), (1e6, math.inf)),
}


def shortest(values: NDArray[np.floating]) -> list[str]:
    """Return one float or more as text: float64 as `repr` writes it, float32 as NumPy does.

    orjson finds the digits in an eighth of repr's time, and in a fortieth of NumPy's. Where it
    writes them otherwise, 1e-7 for 1e-07 and 0.00001 for 1e-05 and null for nan, they are written
    anew.
    """
    import numpy as np
    import orjson

    line = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    cells = line.decode()[1:-1] + ","
    for digit in "6789":
        cells = cells.replace(f"e-{digit},", f"e-0{digit},")
    texts = cells.split(",")[:-1]
    size = abs(values)
    odd = ~np.isfinite(size)
    for low, high in OTHERWISE[values.dtype.name]:
        odd |= (size >= low) & (size <= high)
    for i in np.flatnonzero(odd).tolist():
        texts[i] = number(values[i])
    return texts


def number(value: np.floating) -> str:
    """Return one float as text."""
    return repr(value.item()) if value.dtype == "float64" else str(value)


def _of_kind(column: Column, texts: list[str]) -> list[str]:
    """Return cells of a column of whole numbers without a point, nan as empty ones.

    Raises UserError for a measure that says whole and gives another number.
    """
    return texts if column.kind != "whole" else [_whole(column.name, text) for text in texts]


def _whole(name: str, text: str) -> str:
    if text == "nan":
        return ""
    if not float(text).is_integer():
        fix = 'change the measure, or the kind of its column to "number"'
        raise UserError("--measure", f"{name} is {text}, and its column has whole numbers", fix)
    return str(int(float(text)))


class Rows:
    """Writes the trials of one batch, which share their plan, as lines of the two tables."""

    def __init__(self, varied: Sequence[str], metrics: Sequence[str], plan: Plan) -> None:
        """Take the varied settings and the metrics by name."""
        self.varied, self.metrics, self.plan = tuple(varied), tuple(metrics), plan
        self.table = curves_table(self.varied, self.metrics)
        self.measures = self.table.measures[len(PLACES) :]
        self.places: list[str] = []
        self.diverged = 0  # trials so far

    def check(self, curves: BatchHistory) -> None:
        """Raise UserError for a column that every run has and that was not computed."""
        tested = "test_loss" in curves.values  # else the problem has no test examples
        wanted = (c.name for c in LOSSES if tested or not c.name.startswith("test_"))
        for name in wanted:
            if name not in curves.values:
                what = f"no value of its column {name} was computed ({curves.path or 'no engine'})"
                fix = (
                    "compute it where the program and the reference engine compute train_loss, in"
                    " gdcli/engine, or remove it from LOSSES in gdcli/measure.py"
                )
                raise UserError("curves.csv", what, fix)

    def curve(self, trial: Trial, curves: BatchHistory, i: int) -> str:
        """Return the lines of the i-th trial of the batch, one a recorded point; one at least."""
        first = f"{self.prefix(trial)},"
        columns = self._columns(curves, i)
        rows = map(",".join, zip(self._places(curves, i), *columns, strict=False))
        return first + f"\n{first}".join(rows) + "\n"

    def _places(self, curves: BatchHistory, i: int) -> list[str]:
        """Return "epoch,step,examples" of every recorded point; most trials share them.

        A trial whose steps take several gradients has places of its own: passes over the data.
        """
        plan = self.plan
        seen = [] if curves.seen is None else curves.seen[:, i].tolist()
        if seen and seen != list(map(plan.examples_at, curves.steps)):
            whole = plan.examples_per_epoch
            passes = (n // whole if n % whole == 0 else n / whole for n in seen)
            places = zip(passes, curves.steps, seen, strict=True)
            return [f"{epoch},{step},{seen}" for epoch, step, seen in places]
        if len(self.places) != len(curves.steps):
            self.places = [f"{plan.epoch_at(s)},{s},{plan.examples_at(s)}" for s in curves.steps]
        return self.places

    def _columns(self, curves: BatchHistory, i: int) -> list[list[str]]:
        """Return the cells of every measure, "" where it was not measured."""
        import numpy as np

        length = int(curves.length[i])
        known = [column for column in self.measures if column.name in curves.values]
        texts = shortest(np.concatenate([curves.values[c.name][:length, i] for c in known]))
        cells = {
            column.name: _of_kind(column, texts[k * length : (k + 1) * length])
            for k, column in enumerate(known)
        }
        return [cells.get(column.name) or [""] * length for column in self.measures]

    def summaries(self, trials: Sequence[Trial], curves: BatchHistory) -> list[str]:
        """Return the lines of the trials of a batch, in their order."""
        self.diverged += int((curves.ended == DIVERGED).sum())
        ends = _Ends(trials, curves)
        columns = [ends.column(end) for end in self.summary_table(trials[0]).measures]
        return [
            f"{self.prefix(trial)},{','.join(cells)}\n"
            for trial, *cells in zip(trials, *columns, strict=True)
        ]

    def failed(self, trial: Trial, message: str) -> str:
        """Return the summary line of a trial that raised an exception."""
        known = {"status": "failed", "message": quoted(harmless(message))}
        cells = (known.get(end.name, "") for end in self.summary_table(trial).measures)
        return ",".join([self.prefix(trial), *cells]) + "\n"

    def summary_table(self, trial: Trial) -> RunTable:
        """Return the columns of the summary line of a trial."""
        return summary_table(self.varied, self.metrics, trial.training.columns)

    def prefix(self, trial: Trial) -> str:
        """Return what every line of a trial begins with: its settings, without the comma."""
        settings = settings_of(trial) | {"batch_size": self.plan.batch_size}
        cells = list(map(str, settings.values()))
        cells += ["" if (v := setting(trial, name)) is None else text(v) for name in self.varied]
        return ",".join(quoted(harmless(cell)) for cell in cells)


class _Ends:
    """The columns of summary.csv after the settings, as text, a cell for each trial of a batch."""

    def __init__(self, trials: Sequence[Trial], curves: BatchHistory) -> None:
        import numpy as np

        self.trials, self.curves = trials, curves
        self.lengths: list[int] = curves.length.tolist()
        self.blank = [""] * len(trials)
        trajectory = cast("Trajectory", curves.trajectory)
        self.precision = trajectory.values["train_loss"].dtype
        with np.errstate(all="ignore"):  # the losses of a diverging trial overflow
            self.facts = facts(trajectory)

    def column(self, end: Column) -> list[str]:
        """Return the cells of a column."""
        if not isinstance(end, End) or end.take == "own":
            return [OWN[end.name](trial, self, i) for i, trial in enumerate(self.trials)]
        if end.take == "fact":
            return self._fact(end)
        if end.of not in self.curves.values:
            return self.blank
        values = self.curves.values[end.of]
        if end.take == "lowest":
            return [_lowest(values[:length, i]) for i, length in enumerate(self.lengths)]
        points = [0 if end.take == "first" else length - 1 for length in self.lengths]
        return _of_kind(end, shortest(values[points, range(len(points))]))

    def _fact(self, end: End) -> list[str]:
        import numpy as np

        if end.name not in self.facts:
            return self.blank
        values = self.facts[end.name]
        if end.kind == "text":
            return [CAUSES[int(value)] for value in values]
        if end.kind == "whole":
            return ["" if np.isnan(value) else str(int(value)) for value in values.tolist()]
        return ["" if cell == "nan" else cell for cell in shortest(values.astype(self.precision))]

    def losses(self, i: int) -> NDArray[np.floating]:
        """Return the recorded training losses of a trial."""
        recorded: NDArray[np.floating] = self.curves.values["train_loss"][: self.lengths[i], i]
        return recorded

    def step(self, i: int) -> int:
        """Return the last step of a trial."""
        return self.curves.steps[self.lengths[i] - 1]


def _status(_trial: Trial, ends: _Ends, i: int) -> str:
    return "diverged" if ends.curves.ended[i] == DIVERGED else "finished"


def _stopped_by(trial: Trial, ends: _Ends, i: int) -> str:
    """Return which goal ended a trial before its budget, "" where none did."""
    if ends.curves.ended[i] != CONVERGED:
        return ""
    target = trial.training.target_loss
    return "target" if target is not None and ends.losses(i)[-1] <= target else "tol"


def _steps(_trial: Trial, ends: _Ends, i: int) -> str:
    return str(ends.step(i))


def _steps_to_target(trial: Trial, ends: _Ends, i: int) -> str:
    """Return the first recorded step at which the loss was at most the target, or "".

    Compared in the losses' own precision, as the engine does that ends a trial there.
    """
    target = trial.training.target_loss
    if target is None:
        return ""
    (reached,) = (ends.losses(i) <= target).nonzero()
    return str(ends.curves.steps[reached[0]]) if reached.size else ""


# The columns that are taken in no common way.
OWN: dict[str, Callable[[Trial, _Ends, int], str]] = {
    "status": _status,
    "stopped_by": _stopped_by,
    "steps": _steps,
    "steps_to_target": _steps_to_target,
    "message": lambda *_: "",  # of trials that failed alone
}


def _lowest(values: NDArray[np.floating]) -> str:
    """Return the least number, nan if there is none."""
    import numpy as np

    finite = values[~np.isnan(values)]
    return number(finite[finite.argmin()]) if finite.size else "nan"
