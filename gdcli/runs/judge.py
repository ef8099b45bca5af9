"""Whether a trial that was computed again is the trial that was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from gdcli.analysis.rows import value_of
from gdcli.runs.difference import first_difference
from gdcli.runs.finding import Difference
from gdcli.runs.lines import cells
from gdcli.runs.recorded import Recorded
from gdcli.runs.tolerance import ELSEWHERE, LOSSES, Tolerance, monotone

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.runs.lines import Table

BYTES = "byte for byte"
PLACE = ("epoch", "step", "examples")
STATUS = "by start and status alone, for their loss does not fall at every point"


@dataclass(frozen=True)
class Judge:
    """Compares trials: by their bytes, and where those need not be the same by tolerance.

    By tolerance, a trial whose recorded loss never rises has its losses compared, to 1e-10 in
    float64 and 1e-4 in float32 of the largest value; any other its losses at the start, and its
    status.
    """

    run: Recorded
    exact: bool  # bytes, and nothing else

    def compare(self, trial: Trial, curves: bytes, summary: bytes) -> str | Difference:
        """Return in what way the trial is the same, or where it first differs."""
        pairs = tuple(zip(self.run.tables, (curves, summary), strict=True))
        if all(table.lines(trial.id) == found for table, found in pairs):
            return BYTES
        if self.exact:
            found = (self._differing(table, trial.id, lines) for table, lines in pairs)
            return next(difference for difference in found if difference)
        begins = (self._settings(table, trial.id, lines) for table, lines in pairs)
        if other := next(filter(None, begins), None):
            return other
        rtol = ELSEWHERE[trial.training.dtype or "float64"]
        if other := self._ends(trial.id, summary) or self._last(trial.id):
            return other
        return self._close(trial.id, curves, rtol)

    def curve(self, trial: Trial, curves: bytes) -> str | Difference:
        """Return in what way the trial's curve is the recorded one, or where it first differs.

        By tolerance, its losses are compared at every point, whether or not they fall.
        """
        table = self.run.curves
        if table.lines(trial.id) == curves:
            return BYTES
        if self.exact:
            return self._differing(table, trial.id, curves) or BYTES
        rtol = ELSEWHERE[trial.training.dtype or "float64"]
        recorded, found = table.measured(table.lines(trial.id)), table.measured(curves)
        return self._losses(trial.id, recorded, found, rtol) or f"within {rtol:g}"

    def _differing(self, table: Table, trial: str, lines: bytes) -> Difference | None:
        recorded = table.lines(trial)
        if recorded == lines:
            return None
        place = table.path.name, trial
        found = first_difference(place, table.columns, cells(recorded), cells(lines), _never)
        # Quotes, say, that need not be there.
        return found or Difference(*place, "", "bytes", "other bytes", "the same values")

    def _settings(self, table: Table, trial: str, lines: bytes) -> Difference | None:
        """Compare what every line of the trial begins with."""
        columns, found = table.columns[: table.settings], cells(lines)[:1]
        recorded = [row[: len(columns)] for row in cells(table.lines(trial))]
        wanted = [row[: len(columns)] for row in found] * len(recorded)

        def same(_column: str, a: str, b: str) -> bool:
            return value_of(a) == value_of(b)

        place = table.path.name, trial
        return first_difference(place, columns, recorded, wanted, same) if found else None

    def _ends(self, trial: str, summary: bytes) -> Difference | None:
        """Compare how the trial ended."""
        table = self.run.summary
        return first_difference(
            (table.path.name, trial),
            table.columns,
            cells(table.lines(trial)),
            cells(summary),
            lambda column, _, __: column != "status",
        )

    def _last(self, trial: str) -> Difference | None:
        """Compare the end that summary.csv tells with the last point of curves.csv: one text."""
        curves, summary = self.run.tables
        points = curves.measured(curves.lines(trial))
        last = dict(zip(curves.measures, points[-1], strict=True)) if points else {}
        names = {name: f"final_{name}" for name in last} | {"step": "steps"}
        known = [name for name in last if names[name] in summary.measures]
        end = dict(zip(summary.measures, *summary.measured(summary.lines(trial)), strict=True))
        told, wanted = [end[names[name]] for name in known], [last[name] for name in known]
        columns = [names[name] for name in known]
        place = summary.path.name, trial
        return first_difference(place, columns, [told], [wanted], _never) if known else None

    def _close(self, trial: str, curves: bytes, rtol: float) -> str | Difference:
        table = self.run.curves
        recorded, found = table.measured(table.lines(trial)), table.measured(curves)
        losses = table.measures.index("train_loss")
        falls = monotone([row[losses] for row in recorded], rtol)
        if not falls:  # where it starts, at least, nothing can have been amplified yet
            if other := self._steps(trial, recorded, found):
                return other
            recorded, found = recorded[:1], found[:1]
        different = self._losses(trial, recorded, found, rtol)
        return different or (f"within {rtol:g}" if falls else STATUS)

    def _losses(
        self, trial: str, recorded: list[list[str]], found: list[list[str]], rtol: float
    ) -> Difference | None:
        """Compare losses at every point."""
        table, tolerance = self.run.curves, Tolerance(rtol)
        scales = dict(zip(table.measures, map(_scale, *recorded[:1]), strict=False))

        def same(column: str, a: str, b: str) -> bool:
            if column not in LOSSES:
                return column not in PLACE
            return tolerance.same(a, b, scales[column])

        return first_difference((table.path.name, trial), table.measures, recorded, found, same)

    def _steps(
        self, trial: str, recorded: Sequence[Sequence[str]], found: Sequence[Sequence[str]]
    ) -> Difference | None:
        """Compare at which steps both have points, but for the last, at which one may diverge."""
        table, least = self.run.curves, min(len(recorded), len(found)) - 1
        at = table.measures.index("step")
        held, again = ([[row[at]] for row in rows[: max(least, 0)]] for rows in (recorded, found))
        return first_difference((table.path.name, trial), ("step",), held, again, _never)


def _scale(cell: str) -> float:
    """Return what a column's differences are relative to: its value at the start."""
    try:
        value = float(cell)
    except ValueError:  # there is no test set
        return 0.0
    return abs(value) if isfinite(value) else 0.0


def _never(_column: str, _recorded: str, _found: str) -> bool:
    return False
