"""What a run's files hold of every trial, whether the run is finished or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from gdcli.analysis.rows import Row, Value, read_rows
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment
from gdcli.fields import show, suggestion
from gdcli.runs import manifest
from gdcli.runs.columns import Column, columns_of
from gdcli.runs.stored import Stored

FIRST = {"summary.csv": "status", "curves.csv": "epoch"}  # the columns after the settings


@dataclass(frozen=True)
class TrialContents:
    """A trial's settings, how it ended, and its recorded points: a value a point, by measure."""

    id: str
    settings: Mapping[str, Value]
    ends: Mapping[str, Value]
    curve: Mapping[str, Sequence[Value]]


class Contents:
    """The trials of a run's folder: those of its tables, or of the batches that are stored."""

    def __init__(self, folder: Path, *, trust: bool = False) -> None:
        """Check the folder; raises UserError where its files are damaged or not a run's.

        Code that the folder names is run for `experiment` alone, and only if `trust` is.
        """
        self._trust = trust
        self.folder, self.name = folder, folder.resolve().name
        self.manifest: Mapping[str, Any] | None = None
        self._stored: Stored | None = None
        if (folder / "manifest.json").exists():
            manifest.check_files(folder)
            self.manifest = manifest.read(folder)
        else:
            self._stored = Stored(folder, trust=trust)

    @property
    def state(self) -> Literal["complete", "partial"]:
        """Whether all of the run's trials are there."""
        return "partial" if self._stored else "complete"

    @property
    def experiment(self) -> Experiment:
        """The experiment that the run is of; raises UserError where its file does not say it."""
        if self._stored:
            return self._stored.experiment
        return manifest.experiment_of(self.folder, self.manifest or {}, trust=self._trust)

    @property
    def hash(self) -> str:
        """The experiment's hash."""
        if self._stored:
            return str(self._stored.store.spec["experiment"])
        return str((self.manifest or {})["experiment"]["hash"])

    @property
    def time(self) -> datetime:
        """When the run was finished; of one that is not, when it was begun."""
        try:
            return datetime.strptime((self.manifest or {})["finished"], "%Y-%m-%dT%H:%M:%S%z")
        except (KeyError, TypeError, ValueError):
            file = self._stored.spec_file if self._stored else self.folder / "manifest.json"
            return datetime.fromtimestamp(int(file.stat().st_mtime), UTC)

    def columns(self, table: str) -> tuple[list[Column], list[Column]]:
        """Return the columns of curves.csv or summary.csv: settings, and measures."""
        return columns_of(next(self._rows(table)), FIRST[table])

    def trials(self, wanted: Collection[str] = ()) -> Iterator[TrialContents]:
        """Yield the trials, or those `wanted`, in the grid's order; one at a time is in memory.

        Raises UserError naming the line that is wrong.
        """
        settings, ends = self.columns("summary.csv")
        _, points = self.columns("curves.csv")
        curves = self._curves()
        upcoming = next(curves, None)
        for row in self._summary():
            lines: Iterator[Row] = iter(())
            if upcoming and upcoming[0] == row.cells[0]:  # a trial that failed has none
                lines, upcoming = upcoming[1], None
            if not wanted or row.cells[0] in wanted:
                held = list(lines)
                yield TrialContents(
                    row.cells[0],
                    {column.name: column.read(row) for column in settings},
                    {column.name: column.read(row) for column in ends},
                    {column.name: [column.read(line) for line in held] for column in points},
                )
            upcoming = upcoming or next(curves, None)
        if upcoming:
            next(upcoming[1]).refuse(f"trial {show(upcoming[0])} has no such place in summary.csv")

    def ids(self) -> Iterator[str]:
        """Yield the id of every trial."""
        yield from (row.cells[0] for row in self._summary())

    def count(self) -> int:
        """Return how many trials there are."""
        return sum(1 for _ in self._summary())

    def settings(self) -> Iterator[dict[str, Value]]:
        """Yield every trial's settings."""
        columns, _ = self.columns("summary.csv")
        for row in self._summary():
            yield {column.name: column.read(row) for column in columns}

    def check_trials(self, wanted: Collection[str], where: str) -> None:
        """Raise UserError, naming `where`, unless the run holds all of these trials."""
        held = set(self.ids()) if wanted else set()
        for trial in wanted:
            if trial not in held:
                hint = suggestion(trial, held) or "give ids of summary.csv's first column"
                raise UserError(where, f"the run holds no trial {show(trial)}", hint)

    def _rows(self, table: str) -> Iterator[Row]:
        return self._stored.rows(table) if self._stored else read_rows(self.folder / table)

    def _summary(self) -> Iterator[Row]:
        rows = self._rows("summary.csv")
        next(rows)
        return rows

    def _curves(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Yield every trial's lines of curves.csv."""
        rows = self._rows("curves.csv")
        next(rows)
        return groupby(rows, key=lambda row: row.cells[0])
