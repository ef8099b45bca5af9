"""Where two recordings of a trial differ, and how far they may lie apart.

On another processor or with other versions, sums are rounded in another order. A loss that falls at
every recorded point forgets such differences; one that rises now and then may amplify them, step by
step, until only how the trial ended can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from math import isfinite
from typing import TYPE_CHECKING, Literal, TypeAlias

from gdcli.fields import counted
from gdcli.runs.csv_read import cells, value_of
from gdcli.runs.folder import RunFolder
from gdcli.runs.table import End

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial
    from gdcli.runs.csv_read import TrialLines

Result: TypeAlias = Literal["ok", "same", "skipped", "not done", "damaged", "missing", "different"]
SOUND = ("ok", "same", "skipped", "not done")
BYTES = "byte for byte"
STATUS = "by start and status alone, for their loss does not fall at every point"
# How far columns that must be close may differ elsewhere, of the largest value, by precision.
ELSEWHERE = {"float64": 1e-10, "float32": 1e-4}
# At a minimum an error of the weights changes the training loss by its square, the test loss by
# itself: at least so far may losses and metrics of the test part differ.
OF_TEST = 1e-8

Cells: TypeAlias = Sequence[str]
Same: TypeAlias = Callable[[str, str, str], bool]  # (column, recorded, found)


@dataclass(frozen=True)
class Difference:
    """The first place at which two runs differ in a trial."""

    table: str  # curves.csv or summary.csv
    trial: str
    step: str  # of the point in curves.csv, else empty
    column: str
    recorded: str
    found: str

    def __str__(self) -> str:
        """Return the place and both values."""
        step = f", step {self.step}" if self.step else ""
        values = f"{self.recorded or 'nothing'} recorded, {self.found or 'nothing'} found"
        return f"{self.table}: trial {self.trial}{step}, {self.column}: {values}"


@dataclass(frozen=True)
class CheckResult:
    """One check of a run, its result and what was seen."""

    check: str
    result: Result
    detail: str
    difference: Difference | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against the run."""
        return self.result in SOUND

    @property
    def done(self) -> bool:
        """Whether what was asked was done."""
        return self.result != "not done"


@dataclass(frozen=True)
class Tolerance:
    """The distance that counts as none: `atol`, plus `rtol` times the larger of both values."""

    rtol: float = 0.0
    atol: float = 0.0

    def same(self, recorded: str, found: str, scale: float = 0.0) -> bool:
        """Return whether two cells hold the same: as text, or as numbers that are close enough.

        `scale` is what `rtol` refers to where both values are smaller: a value that approaches
        zero keeps the rounding errors of the larger ones before it.
        """
        try:
            a, b = float(recorded), float(found)
        except ValueError:
            return recorded == found
        if not (isfinite(a) and isfinite(b)):
            return str(a) == str(b)
        return abs(a - b) <= self.atol + self.rtol * max(abs(a), abs(b), scale)


def monotone(losses: Sequence[str], rtol: float) -> bool:
    """Return whether losses, as their cells say, never rise by more than rounding may raise them.

    Losses that are not finite, or no numbers, are not monotone.
    """
    try:
        values = [float(loss) for loss in losses]
    except ValueError:
        return False
    room = rtol * max(map(abs, values), default=0.0)
    finite = all(map(isfinite, values))
    return finite and all(after <= before + room for before, after in pairwise(values))


def first_difference(
    place: tuple[str, str],
    columns: Cells,
    recorded: Sequence[Cells],
    found: Sequence[Cells],
    same: Same = lambda *_: False,
) -> Difference | None:
    """Return the first cell at which a trial's rows differ, row by row; None where none does.

    `place` is the table and the trial. Cells with other text may be the `same` all the same. Where
    one side has a row more, it differs in its step.
    """
    counted = columns.index("step") if "step" in columns else None
    for left, right in zip_longest(recorded, found):
        row = left or right
        step = row[counted] if counted is not None and len(row) > counted else ""
        if left is None or right is None:
            ends = (step or "a row", "") if left else ("", step or "a row")
            return Difference(*place, step, "step", *ends)
        for column, a, b in zip_longest(columns, left, right, fillvalue=""):
            if a != b and not same(column, a, b):
                return Difference(*place, step, column, a, b)
    return None


@dataclass(frozen=True)
class TrialComparison:
    """Compares trials that were computed again with a run's: by bytes, or else by tolerance.

    By tolerance, a trial whose recorded loss never rises has its losses compared, to 1e-10 in
    float64 (test losses to 1e-8) and 1e-4 in float32 of the largest value; any other its losses at
    the start, and its status. How a column is compared, runs/table.py declares.
    """

    run: RunFolder
    exact: bool  # bytes, and nothing else

    def compare(self, trial: Trial, curves: bytes, summary: bytes) -> str | Difference:
        """Return in what way the trial is the same, or where it first differs."""
        pairs = tuple(zip(self.run.lines, (curves, summary), strict=True))
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
        table = self.run.curve_lines
        if table.lines(trial.id) == curves:
            return BYTES
        if self.exact:
            return self._differing(table, trial.id, curves) or BYTES
        rtol = ELSEWHERE[trial.training.dtype or "float64"]
        recorded, found = table.measured(table.lines(trial.id)), table.measured(curves)
        return self._losses(trial.id, recorded, found, rtol) or f"within {rtol:g}"

    def _differing(self, table: TrialLines, trial: str, lines: bytes) -> Difference | None:
        recorded = table.lines(trial)
        if recorded == lines:
            return None
        place = table.path.name, trial
        found = first_difference(place, table.table.names, cells(recorded), cells(lines))
        # Quotes, say, that need not be there.
        return found or Difference(*place, "", "bytes", "other bytes", "the same values")

    def _settings(self, table: TrialLines, trial: str, lines: bytes) -> Difference | None:
        """Compare what every line of the trial begins with."""
        columns = [column.name for column in table.table.settings]
        found = cells(lines)[:1]
        recorded = [row[: len(columns)] for row in cells(table.lines(trial))]
        wanted = [row[: len(columns)] for row in found] * len(recorded)

        def same(_column: str, a: str, b: str) -> bool:
            return value_of(a) == value_of(b)

        place = table.path.name, trial
        return first_difference(place, columns, recorded, wanted, same) if found else None

    def _ends(self, trial: str, summary: bytes) -> Difference | None:
        """Compare how the trial ended."""
        table = self.run.summary_lines
        equal = {column.name for column in table.table.measures if column.elsewhere == "equal"}
        place, recorded = (table.path.name, trial), table.measured(table.lines(trial))
        return first_difference(
            place,
            table.measures,
            recorded,
            table.measured(summary),
            lambda column, _, __: column not in equal,
        )

    def _last(self, trial: str) -> Difference | None:
        """Compare the end that summary.csv tells with the last point of curves.csv: one text."""
        curves, summary = self.run.lines
        points = curves.measured(curves.lines(trial))
        last = dict(zip(curves.measures, points[-1], strict=True)) if points else {}
        taken = [end for end in summary.table.measures if isinstance(end, End)]
        names = {end.of: end.name for end in taken if end.take == "last"} | {"step": "steps"}
        known = [name for name in last if name in names]
        end = dict(zip(summary.measures, *summary.measured(summary.lines(trial)), strict=True))
        told, wanted = [end[names[name]] for name in known], [last[name] for name in known]
        columns = [names[name] for name in known]
        place = summary.path.name, trial
        return first_difference(place, columns, [told], [wanted]) if known else None

    def _close(self, trial: str, curves: bytes, rtol: float) -> str | Difference:
        table = self.run.curve_lines
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
        """Compare every point: as its columns declare it."""
        table = self.run.curve_lines
        columns = {column.name: column for column in table.table.measures}
        of_test = max(rtol, OF_TEST)
        close = {
            name: Tolerance(usual if column.rtol is None else column.rtol, column.atol)
            for name, column in columns.items()
            for usual in (of_test if name.startswith("test_") else rtol,)
        }
        scales = dict(zip(table.measures, map(_scale, *recorded[:1]), strict=False))

        def same(name: str, a: str, b: str) -> bool:
            how = columns[name].elsewhere
            return how == "any" or (how == "close" and close[name].same(a, b, scales[name]))

        return first_difference((table.path.name, trial), table.measures, recorded, found, same)

    def _steps(
        self, trial: str, recorded: Sequence[Cells], found: Sequence[Cells]
    ) -> Difference | None:
        """Compare at which steps both have points, but for the last, at which one may diverge."""
        table, least = self.run.curve_lines, min(len(recorded), len(found)) - 1
        at = table.measures.index("step")
        held, again = ([[row[at]] for row in rows[: max(least, 0)]] for rows in (recorded, found))
        return first_difference((table.path.name, trial), ("step",), held, again)


def _scale(cell: str) -> float:
    """Return what a column's differences are relative to: its value at the start."""
    try:
        value = float(cell)
    except ValueError:  # there is no test set
        return 0.0
    return abs(value) if isfinite(value) else 0.0


def compare_runs(run: RunFolder, other: RunFolder, tolerance: Tolerance) -> list[CheckResult]:
    """Compare which trials two runs have, and what those of both have measured.

    Trials are matched by their ids, whatever their order and the columns that name their settings.
    Texts, such as a status, must be equal; numbers close enough.
    """
    own, theirs = run.summary_lines.places, other.summary_lines.places
    common = [trial for trial in own if trial in theirs]
    trials = f"{len(common)} of both runs"
    if len(common) == len(own) == len(theirs):
        results = [CheckResult("trials", "ok", trials)]
    else:
        more = f"{len(own) - len(common)} and {len(theirs) - len(common)} of one alone"
        results = [CheckResult("trials", "different", f"{trials}, {more}")]
    if alone := _alone(run, other):
        what = f"{', '.join(alone)}: of one run alone"
        results.append(CheckResult("columns", "different", what))
    return [*results, _RunComparison(run, other, tolerance).values(common)]


@dataclass
class _RunComparison:
    """The comparison of what two runs measured."""

    run: RunFolder
    other: RunFolder
    tolerance: Tolerance
    exact: int = field(default=0, init=False)  # trials with the same text in every cell
    close: int = field(default=0, init=False)

    def values(self, trials: Sequence[str]) -> CheckResult:
        """Compare trials in both tables."""
        differences = [found for trial in trials if (found := self._trial(trial))]
        if differences:
            what = f"{len(differences)} of {len(trials)} trials differ, the first in"
            detail = f"{what} {differences[0]}"
            return CheckResult("values", "different", detail, differences[0])
        within = f"rtol {self.tolerance.rtol:g} and atol {self.tolerance.atol:g}"
        close = f", {self.close} within {within}" if self.close else ""
        equal = counted(self.exact, "trial is equal", "trials are equal")
        return CheckResult("values", "same", f"{equal}{close}")

    def _trial(self, trial: str) -> Difference | None:
        equal = True
        for table, others in zip(self.run.lines, self.other.lines, strict=True):
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


def _columns(table: TrialLines, columns: Sequence[str], trial: str) -> list[list[str]]:
    """Return a trial's cells in these columns."""
    at = [table.measures.index(name) for name in columns]
    return [[row[place] for place in at] for row in table.measured(table.lines(trial))]


def _alone(run: RunFolder, other: RunFolder) -> list[str]:
    """Return the measures that one run alone has."""
    pairs = zip(run.lines, other.lines, strict=True)
    return sorted(name for a, b in pairs for name in {*a.measures} ^ {*b.measures})
