"""What each setting takes to a loss or a metric that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from gdcli.errors import UserError
from gdcli.fields import convert, show, suggestion
from gdcli.measure import MEASURED
from gdcli.report.run_view import Row, TableView, ViewTable, theory_of_run

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.diagnoses import Diagnoses
    from gdcli.analysis.targets import Reached, Target
    from gdcli.runs.trials import Trials

TARGET_NOTES = (
    "each setting is shown at the lr that reaches the target after the fewest examples",
    "steps, epochs, examples, seconds: medians over the seeds at the first recorded point that",
    "  reaches the target; inf: most seeds never do",
    "seconds: a trial's share of the time of the batch that it was computed in",
)


@dataclass(frozen=True)
class TargetView(TableView):
    """How long each setting takes to reach a loss or a metric."""

    order: ClassVar[float] = 50
    target_loss: Annotated[float | None, "training loss to reach (default: the run's own)"] = None
    target_metric: Annotated[
        str | None, "instead of a loss, a column of curves.csv: test_accuracy=0.9"
    ] = None

    def __post_init__(self) -> None:
        """Refuse two targets; raises UserError."""
        if self.target_loss is not None and self.target_metric is not None:
            raise UserError(
                "--target-metric", "--target-loss is given, too", "leave one of them out"
            )

    def table(self, folder: Path, diagnoses: Diagnoses) -> ViewTable:
        """Return one row a setting."""
        from gdcli.analysis.targets import Target, costs, times_to_target

        run, target = diagnoses.run, Target(*self._target(diagnoses))
        found = times_to_target(diagnoses.settings, costs(folder, run, target))
        return ViewTable([_row(run, one, target) for one in found], TARGET_NOTES)

    def _target(self, diagnoses: Diagnoses) -> tuple[str, float, bool]:
        """Return the column, its value, and whether the run's trials ended there."""
        if self.target_metric is not None:
            return *_metric(self.target_metric, diagnoses.run), False
        own = theory_of_run(diagnoses).goals.target_loss
        loss = own if self.target_loss is None else self.target_loss
        if loss is None:
            fix = "give --target-loss or --target-metric"
            raise UserError("--view", "the run has no target of its own", fix)
        return "train_loss", loss, loss == own


def _metric(given: str, run: Trials) -> tuple[str, float]:
    """Return the column and the value of NAME=VALUE."""
    name, _, raw = given.partition("=")
    value = convert(raw, float)
    if value is None:
        fix = "give NAME=VALUE, such as test_accuracy=0.9"
        raise UserError("--target-metric", f"{show(given)} is not a name and a number", fix)
    known = (*(name for name in MEASURED if name != "train_loss"), *run.metrics)
    column = name.strip().replace("-", "_")
    if column not in known:
        hint = suggestion(name, known) or f"give one of {', '.join(known)}"
        raise UserError("--target-metric", f"the run has no metric {show(name)}", hint)
    return column, value


def _row(run: Trials, found: Reached, target: Target) -> Row:
    cell, cost = found.candidate, found.cost
    return {
        **dict(zip(run.names, found.setting.values, strict=True)),
        "target": f"{target.column}={target.value!r}",
        "lr": cell.lr if cell else None,
        "seeds": len(cell.ran) if cell else None,
        "reached": found.reached if cell else None,
        "steps": cost.steps,
        "epochs": cost.epochs,
        "examples": cost.examples,
        "seconds": cost.seconds,
    }
