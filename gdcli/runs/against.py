"""Two finished runs, compared trial by trial without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gdcli.fields import counted
from gdcli.runs.difference import first_difference
from gdcli.runs.finding import Difference, Finding
from gdcli.runs.recorded import Recorded
from gdcli.runs.tolerance import Tolerance

if TYPE_CHECKING:
    from gdcli.runs.lines import Table


def compare_runs(run: Recorded, other: Recorded, tolerance: Tolerance) -> list[Finding]:
    """Compare which trials two runs have, and what those of both have measured.

    Trials are told by their ids, whatever their order and the columns that name their settings.
    Texts, such as a status, must be equal; numbers close enough.
    """
    own, theirs = run.summary.places, other.summary.places
    common = [trial for trial in own if trial in theirs]
    trials = f"{len(common)} of both runs"
    if len(common) == len(own) == len(theirs):
        findings = [Finding("trials", "ok", trials)]
    else:
        more = f"{len(own) - len(common)} and {len(theirs) - len(common)} of one alone"
        findings = [Finding("trials", "different", f"{trials}, {more}")]
    if alone := _alone(run, other):
        findings.append(Finding("columns", "different", f"{', '.join(alone)}: of one run alone"))
    return [*findings, _Against(run, other, tolerance).values(common)]


@dataclass
class _Against:
    """The comparison of what two runs measured."""

    run: Recorded
    other: Recorded
    tolerance: Tolerance
    exact: int = field(default=0, init=False)  # trials with the same text in every cell
    close: int = field(default=0, init=False)

    def values(self, trials: Sequence[str]) -> Finding:
        """Compare trials in both tables."""
        differences = [found for trial in trials if (found := self._trial(trial))]
        if differences:
            what = f"{len(differences)} of {len(trials)} trials differ, the first in"
            return Finding("values", "different", f"{what} {differences[0]}", differences[0])
        within = f"rtol {self.tolerance.rtol:g} and atol {self.tolerance.atol:g}"
        close = f", {self.close} within {within}" if self.close else ""
        equal = counted(self.exact, "trial is equal", "trials are equal")
        return Finding("values", "same", f"{equal}{close}")

    def _trial(self, trial: str) -> Difference | None:
        equal = True
        for table, others in zip(self.run.tables, self.other.tables, strict=True):
            columns = [name for name in table.measures if name in others.measures]
            recorded, found = (_columns(t, columns, trial) for t in (table, others))
            if recorded == found:
                continue
            equal, place = False, (table.path.name, trial)
            if different := first_difference(place, columns, recorded, found, self._same):
                return different
        self.exact += equal
        self.close += not equal
        return None

    def _same(self, _column: str, recorded: str, found: str) -> bool:
        return self.tolerance.same(recorded, found)


def _columns(table: Table, columns: Sequence[str], trial: str) -> list[list[str]]:
    """Return a trial's cells in these columns."""
    at = [table.measures.index(name) for name in columns]
    return [[row[place] for place in at] for row in table.measured(table.lines(trial))]


def _alone(run: Recorded, other: Recorded) -> list[str]:
    """Return the measures that one run alone has."""
    pairs = zip(run.tables, other.tables, strict=True)
    return sorted(name for a, b in pairs for name in {*a.measures} ^ {*b.measures})
