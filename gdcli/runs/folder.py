"""What a run's folder holds, whether the run is finished or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gdcli.door import GO_ON, REPAIR
from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.runs import manifest
from gdcli.runs.csv_read import (
    ByteTable,
    Column,
    Kind,
    Row,
    Value,
    columns_of,
    kind_of,
    read_rows,
    read_table,
    rows_of,
    split,
)
from gdcli.runs.csv_write import curve_columns, header, summary_columns
from gdcli.runs.spec import AGAIN, experiment_of, read_spec, spec_file
from gdcli.runs.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gdcli.experiment.experiment import Experiment


class Stored:
    """The whole shards of a run that is not finished."""

    def __init__(self, folder: Path, *, trust: bool) -> None:
        """Find the shards; raises UserError where there are none to be found.

        `trust` lets code be run that the folder names, where only the experiment tells something.
        """
        self.spec_file = spec_file(folder)
        try:
            spec = read_spec(folder)
        except FileNotFoundError:
            raise UserError(show(str(folder)), "the run has not begun", GO_ON) from None
        self.store, self.trust = Store(folder, spec), trust

    def rows(self, table: str) -> Iterator[Row]:
        """Return the rows of curves.csv or summary.csv as far as they are known."""
        head = self._headers[table]
        lines = chain([head], chain.from_iterable(self._parts(table)))
        return rows_of(self.store.shards, lines)

    @cached_property
    def _headers(self) -> dict[str, str]:
        if columns := self.store.spec.get("columns"):
            return {f"{name}.csv": header(columns[name]) for name in ("curves", "summary")}
        experiment = self.experiment
        metrics = experiment.grid.metrics
        return {
            "curves.csv": header(curve_columns(experiment, metrics)),
            "summary.csv": header(summary_columns(experiment, metrics)),
        }

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the spec says; raises UserError where it does not."""
        return experiment_of(self.store.spec, str(self.spec_file), trust=self.trust)

    def _parts(self, table: str) -> Iterator[Iterable[str]]:
        for index in self.store.there(self.store.spec["batches"]):
            if shard := self.store.load(index):
                part = shard.curves if table == "curves.csv" else shard.summary
                yield split(_text(part, self.store.shards))


def _text(part: bytes, where: Path) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError as error:
        raise UserError(str(where), f"byte {error.start} of a batch is not UTF-8", AGAIN) from None


FIRST = {"summary.csv": "status", "curves.csv": "epoch"}  # the columns after the settings


@dataclass(frozen=True)
class TrialRecord:
    """A trial's settings, how it ended, and its recorded points: a value a point, by measure."""

    id: str
    settings: Mapping[str, Value]
    ends: Mapping[str, Value]
    curve: Mapping[str, Sequence[Value]]


class RunFolder:
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

    def trials(self, wanted: Collection[str] = ()) -> Iterator[TrialRecord]:
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
                yield TrialRecord(
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


TableName: TypeAlias = Literal["curves.csv", "summary.csv"]
Block: TypeAlias = dict[str, list["Value"]]  # columns of equal length, by name
WIDEST = 2**63  # a signed integer of 64 bits is less


def kinds_of(run: RunFolder, table: TableName) -> dict[str, Kind]:
    """Return what each column of a table holds, by name and in order.

    A whole number that 64 bits do not hold, as a seed may be, makes its column one of text.
    """
    settings, measures = run.columns(table)
    seen: dict[str, set[Value]] = {column.name: set() for column in settings}
    for held in run.settings():
        for name, value in held.items():
            seen[name].add(value)
    kinds = {c.name: c.kind or kind_of(seen[c.name]) for c in settings}
    wide = {n for n, kind in kinds.items() if kind == "whole" and any(map(_is_wide, seen[n]))}
    return {
        **{name: "text" if name in wide else kind for name, kind in kinds.items()},
        **{column.name: column.kind or "text" for column in measures},
    }


def _is_wide(value: Value) -> bool:
    return isinstance(value, int) and not -WIDEST <= value < WIDEST


def blocks(run: RunFolder, table: TableName, trials: Collection[str], most: int) -> Iterator[Block]:
    """Yield a table in blocks of about `most` rows, whole trials each; one at least."""
    kinds = kinds_of(run, table)
    block: Block = {name: [] for name in kinds}
    for trial in run.trials(trials):
        measured = trial.curve if table == "curves.csv" else {n: [v] for n, v in trial.ends.items()}
        rows = len(next(iter(measured.values())))
        for name, value in trial.settings.items():
            block[name] += [_as(kinds[name], value)] * rows
        for name, values in measured.items():
            block[name] += values
        if len(block["trial"]) >= most:
            yield block
            block = {name: [] for name in kinds}
    yield block


def _as(kind: Kind, value: Value) -> Value:
    if value is None or kind == "whole":
        return value
    return float(value) if kind == "number" else str(value)


@dataclass(frozen=True)
class Recorded:
    """A run's folder and its manifest; the rest is read when it is asked for."""

    folder: Path
    manifest: Mapping[str, Any]
    engine: str
    trust: bool  # code that the folder names may be run

    @classmethod
    def read(cls, folder: Path, *, trust: bool) -> Recorded:
        """Return the run of a folder; raises UserError where its manifest does not say enough."""
        content = manifest.read(folder)
        if "engine" not in content:
            where = str(folder / "manifest.json")
            raise UserError(where, "it does not say which engine ran", REPAIR)
        return cls(folder, content, content["engine"]["asked"], trust)

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the folder's own file says; raises UserError naming its mistake."""
        return manifest.experiment_of(self.folder, self.manifest, trust=self.trust)

    @cached_property
    def curves(self) -> ByteTable:
        """The recorded points."""
        return read_table(self.folder / "curves.csv")

    @cached_property
    def summary(self) -> ByteTable:
        """How the trials ended."""
        return read_table(self.folder / "summary.csv")

    @property
    def tables(self) -> tuple[ByteTable, ByteTable]:
        """Both tables."""
        return self.curves, self.summary
