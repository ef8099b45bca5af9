"""What is printed of the time to a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from gdcli.analysis.best import settings_of
from gdcli.analysis.targets import Reached, Target, costs, times_to_target

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.csv_read import Value
    from gdcli.runs.trials import Trials

Row: TypeAlias = "Mapping[str, Value]"

TARGET_NOTES = (
    "each setting at the lr that is at the target after the fewest examples; steps to seconds are",
    "  medians over the seeds up to the first recorded point there, inf where most never are;",
    "  seconds are a trial's share of the batch that it was computed in",
)


def target_rows(folder: Path, run: Trials, target: Target) -> list[Row]:
    """Return one row a setting."""
    found = times_to_target(settings_of(run.trials), costs(folder, run, target))
    return [_row(run, one, target) for one in found]


def _row(run: Trials, found: Reached, target: Target) -> Row:
    cell, cost = found.cell, found.cost
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
