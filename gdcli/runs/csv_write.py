"""Trials as lines of curves.csv and summary.csv.

A float is the shortest text that reads back as the same float of its precision.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from gdcli.catalog.catalog import name_of
from gdcli.csv_cell import harmless, quoted
from gdcli.engine.recorder import CONVERGED, DIVERGED
from gdcli.engine.watched import CAUSES, COUNTS, FACTS
from gdcli.engine.watcher import facts
from gdcli.experiment.axis import text
from gdcli.experiment.grid import Trial, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.engine.plan import Plan
    from gdcli.engine.recorder import BatchHistory
    from gdcli.engine.watcher import Trajectory
    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Training

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


SETTINGS = ("trial", "method", "batch_size", "optimizer", "lr", "schedule", "seed")
MEASURES = ("train_loss", "grad_norm", "test_loss")


def curve_columns(experiment: Experiment, metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of curves.csv."""
    varied = (name.replace("-", "_") for name in experiment.varied)
    return (*SETTINGS, *varied, "epoch", "step", "examples", *MEASURES, *metrics)


def summary_columns(experiment: Experiment, metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of summary.csv."""
    varied = (name.replace("-", "_") for name in experiment.varied)
    finals = ("final_train_loss", "best_train_loss", "final_grad_norm", "final_test_loss")
    ends = (
        *("initial_train_loss", *finals, "best_test_loss"),
        *(f"final_{name}" for name in metrics),
        *(f"initial_{name}" for name in experiment.grid.training.columns),
    )
    before = (*SETTINGS, *varied, "status", "stopped_by", "steps", *ends, "steps_to_target")
    return (*before, *FACTS, "message")


class Rows:
    """Writes the trials of one batch, whose plan they share, as lines of CSV."""

    def __init__(
        self,
        varied: Sequence[str],
        metrics: Sequence[str],
        plan: Plan,
    ) -> None:
        """Take the varied settings and the metrics by name."""
        self.varied, self.names, self.plan = varied, (*MEASURES, *metrics), plan
        self.places: list[str] = []
        self.diverged = 0  # trials so far

    def curve(self, trial: Trial, curves: BatchHistory, i: int) -> str:
        """Return the lines of the i-th trial of the batch, one a recorded point; one at least."""
        first = f"{self.prefix(trial)},"
        columns = self._columns(curves, i)
        rows = map(",".join, zip(self._places(curves), *columns, strict=False))
        return first + f"\n{first}".join(rows) + "\n"

    def _places(self, curves: BatchHistory) -> list[str]:
        """Return "epoch,step,examples" of every recorded point; the trials share them.

        A trial whose steps take several gradients has places of its own: passes over the data.
        """
        plan = self.plan
        if curves.seen is not None:
            whole = plan.examples_per_epoch
            passes = (n // whole if n % whole == 0 else n / whole for n in curves.seen)
            places = zip(passes, curves.steps, curves.seen, strict=True)
            return [f"{epoch},{step},{seen}" for epoch, step, seen in places]
        if len(self.places) != len(curves.steps):
            self.places = [f"{plan.epoch_at(s)},{s},{plan.examples_at(s)}" for s in curves.steps]
        return self.places

    def _columns(self, curves: BatchHistory, i: int) -> list[list[str]]:
        """Return the cells of every measure, "" where it was not measured."""
        import numpy as np

        length = int(curves.length[i])
        held = {
            name: curves.values[name][:length, i] for name in self.names if name in curves.values
        }
        texts = shortest(np.concatenate(list(held.values())))
        cells = {name: texts[k * length : (k + 1) * length] for k, name in enumerate(held)}
        return [cells.get(name) or [""] * length for name in self.names]

    def _end(self, curves: BatchHistory, name: str, i: int, *, first: bool = False) -> str:
        """Return a measure at the last recorded point of a trial, or at the first."""
        if name not in curves.values:
            return ""
        point = 0 if first else int(curves.length[i]) - 1
        return number(curves.values[name][point, i])

    def summaries(self, trials: Sequence[Trial], curves: BatchHistory) -> list[str]:
        """Return the lines of the trials of a batch, in their order."""
        own = _facts(curves)
        return [self._summary(trial, curves, i, own[i]) for i, trial in enumerate(trials)]

    def _summary(self, trial: Trial, curves: BatchHistory, i: int, facts: Sequence[str]) -> str:
        length, ended = int(curves.length[i]), int(curves.ended[i])
        last = {name: self._end(curves, name, i) for name in self.names}
        losses = curves.values["train_loss"][:length, i]
        tests = curves.values["test_loss"][:length, i] if "test_loss" in curves.values else None
        self.diverged += ended == DIVERGED
        cells = [
            "diverged" if ended == DIVERGED else "finished",
            _stopped_by(trial.training, ended, losses[-1]),
            str(curves.steps[length - 1]),
            number(losses[0]),
            last["train_loss"],
            _least(losses),
            last["grad_norm"],
            last["test_loss"],
            "" if tests is None else _least(tests),
            *(last[name] for name in self.names[len(MEASURES) :]),
            *(self._end(curves, name, i, first=True) for name in trial.training.columns),
            _steps_to(trial.training.target_loss, curves.steps, losses),
            *facts,
            "",
        ]
        return ",".join([self.prefix(trial), *cells]) + "\n"

    def failed(self, trial: Trial, message: str) -> str:
        """Return the summary line of a trial that raised an exception."""
        measured = len(self.names) + len(trial.training.columns)
        blanks = [""] * (measured + 6 + len(FACTS))
        return ",".join([self.prefix(trial), "failed", *blanks, quoted(harmless(message))]) + "\n"

    def prefix(self, trial: Trial) -> str:
        """Return what every line of a trial begins with: its settings, without the comma."""
        settings = [
            trial.id,
            trial.method,
            str(self.plan.batch_size),
            name_of(trial.optimizer),
            repr(trial.lr),
            name_of(trial.schedule),
            str(trial.seed),
            *("" if (v := setting(trial, name)) is None else text(v) for name in self.varied),
        ]
        return ",".join(quoted(harmless(cell)) for cell in settings)


def _stopped_by(training: Training, ended: int, loss: np.floating) -> str:
    """Return which goal ended a trial before its budget, "" where none did."""
    if ended != CONVERGED:
        return ""
    target = training.target_loss
    return "target" if target is not None and loss <= target else "tol"


def _facts(curves: BatchHistory) -> list[list[str]]:
    """Return the cells of FACTS of every trial."""
    import numpy as np

    trajectory = cast("Trajectory", curves.trajectory)
    precision = trajectory.values["train_loss"].dtype
    with np.errstate(all="ignore"):  # the losses of a diverging trial overflow
        found = facts(trajectory)
    rows = []
    for name in FACTS:
        values = found[name]
        if name == "diverged_by":
            rows.append([CAUSES[int(value)] for value in values])
        elif name in COUNTS:
            rows.append(["" if np.isnan(value) else str(int(value)) for value in values.tolist()])
        else:
            texts = shortest(values.astype(precision))
            rows.append(["" if text == "nan" else text for text in texts])
    return list(map(list, zip(*rows, strict=True)))


def _least(values: NDArray[np.floating]) -> str:
    """Return the least number, nan if there is none."""
    import numpy as np

    finite = values[~np.isnan(values)]
    return number(finite[finite.argmin()]) if finite.size else "nan"


def _steps_to(target: float | None, steps: Sequence[int], losses: NDArray[np.floating]) -> str:
    """Return the first recorded step at which the loss was at most the target, or "".

    Compared in the losses' own precision, as the engine does that ends a trial there.
    """
    if target is None:
        return ""
    (reached,) = (losses <= target).nonzero()
    return str(steps[reached[0]]) if reached.size else ""


def header(columns: Sequence[str]) -> str:
    """Return the first line of a CSV file."""
    return ",".join(map(quoted, columns)) + "\n"
