"""A run's folder for every reader: what the run is, how far it is, and its tables.

Of a folder of runs: an entry for each, as `gdcli runs` lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gdcli.catalog.user_code import name_in
from gdcli.door import GO_ON, REPAIR
from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.measure import PLACES, Kind
from gdcli.runs import manifest
from gdcli.runs.atomic import at_work
from gdcli.runs.csv_read import (
    Block,
    CsvFile,
    Row,
    TrialLines,
    Value,
    find_lines,
    lines_of,
    table_of,
)
from gdcli.runs.lookup import is_run
from gdcli.runs.spec import SHOWN, experiment_of, read_spec, spec_file
from gdcli.runs.store import Store
from gdcli.runs.table import RunTable, TableName, header, tables_of
from gdcli.runs.trials import Curve, Trials, curves_of, trials_in, trials_of

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.experiment.experiment import Experiment

Columns: TypeAlias = dict[str, list[Value]]  # of equal length, by name
WIDEST = 2**63  # a signed integer of 64 bits is less


@dataclass(frozen=True)
class State:
    """A word for a run, and how many of its batches are there."""

    word: Literal["complete", "in progress", "damaged", "partial"]
    done: int
    total: int  # 0 where it cannot be told
    # Trials of the batches that are there: they follow from those. None: all, or unknown.
    trials: int | None = field(default=None, compare=False)

    @property
    def unfinished(self) -> str:
        """What there is of a run that is not finished, in words."""
        return f"the run is not finished: {self.done} of {self.total or 'its'} batches are there"


@dataclass(frozen=True)
class TrialRecord:
    """All that the tables say of a trial: values by column, and of the curve a value a point."""

    id: str
    settings: Mapping[str, Value]
    ends: Mapping[str, Value]
    curve: Mapping[str, list[Value]]

    def points(self) -> Iterator[tuple[str, float, int]]:
        """Yield name, value and step of whatever was measured at a recorded point."""
        places = {place.name for place in PLACES}
        for name in (name for name in self.curve if name not in places):
            for step, value in zip(self.curve["step"], self.curve[name], strict=True):
                if isinstance(value, int | float):
                    yield name, float(value), int(step or 0)


class RunFolder:
    """The folder of a run, finished or not; each part is read when it is first asked for.

    The trials of a run that is not finished are those of the batches that are stored.
    """

    def __init__(self, path: Path, *, trust: bool = False) -> None:
        """Take the folder; code that it names is run for `experiment` alone, and if `trust` is."""
        self.path, self.name, self._trust = path, path.resolve().name, trust

    @cached_property
    def finished(self) -> bool:
        """Whether the run says that it is finished."""
        return (self.path / "manifest.json").exists()

    @property
    def state(self) -> Literal["complete", "partial"]:
        """Whether all of the run's trials are there."""
        return "complete" if self.finished else "partial"

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """What manifest.json says; raises UserError where it is not that of a finished run."""
        return manifest.read(self.path)

    def about(self) -> dict[str, Any]:
        """Return what an export says of the run: name, state and manifest; None: not finished."""
        known = self.manifest if self.finished else None
        return {"run": self.name, "state": self.state, "manifest": known}

    @cached_property
    def store(self) -> Store:
        """The batches that are stored; raises UserError where none can be read."""
        try:
            return Store(self.path, read_spec(self.path))
        except FileNotFoundError:
            raise UserError(show(str(self.path)), "the run has not begun", GO_ON) from None

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the run is of; raises UserError where the files do not say it."""
        if self.finished:
            return manifest.experiment_of(self.path, self.manifest, trust=self._trust)
        return experiment_of(self.store.spec, str(spec_file(self.path)), trust=self._trust)

    @property
    def hash(self) -> str:
        """The experiment's hash."""
        if self.finished:
            return str(self.manifest["experiment"]["hash"])
        return str(self.store.spec["experiment"])

    @cached_property
    def engine(self) -> str:
        """The engine that a finished run asked for; raises UserError where it does not say."""
        if "engine" not in self.manifest:
            where = str(self.path / "manifest.json")
            raise UserError(where, "it does not say which engine ran", REPAIR)
        return str(self.manifest["engine"]["asked"])

    @property
    def time(self) -> datetime:
        """When the run was finished; of one that is not, when it was begun."""
        file = self.path / "manifest.json" if self.finished else spec_file(self.path)
        try:
            finished = self.manifest["finished"] if self.finished else ""
            return datetime.strptime(finished, "%Y-%m-%dT%H:%M:%S%z")
        except (KeyError, TypeError, ValueError):
            return datetime.fromtimestamp(int(file.stat().st_mtime), UTC)

    def check(self) -> None:
        """Raise UserError unless the files are what a run wrote, or batches are stored."""
        if self.finished:
            manifest.check_files(self.path)
        else:
            _ = self.store

    def file(self, name: TableName) -> CsvFile:
        """Return curves.csv or summary.csv; of a run that is not finished, what is known of it.

        Of a copy without manifest and batches, it is the file that is there.
        """
        if self.finished or not spec_file(self.path).parent.exists():
            return CsvFile(self.path / name)
        return CsvFile(self.store.shards, partial(self._parts, name))

    def _parts(self, name: TableName) -> Iterator[bytes]:
        yield self._headers[name].encode()
        for index in self.store.there(self.store.spec["batches"]):
            if shard := self.store.load(index):
                yield shard.curves if name == "curves.csv" else shard.summary

    @cached_property
    def _headers(self) -> dict[TableName, str]:
        """The headers that an unfinished run will write."""
        names = self.store.spec.get("columns")
        if names is None:  # as of runs of format 3 that were begun early
            curves, summary = (table.names for table in tables_of(self.experiment))
        else:
            curves, summary = names["curves"], names["summary"]
        return {"curves.csv": header(curves), "summary.csv": header(summary)}

    def table(self, name: TableName) -> RunTable:
        """Return the columns of curves.csv or summary.csv."""
        return table_of(name, next(self.file(name).rows()))

    @cached_property
    def trials(self) -> Trials:
        """The rows of summary.csv; raises UserError naming the line that is wrong."""
        return trials_of(self.file("summary.csv"))

    def curves(
        self, columns: Collection[str], wanted: Collection[str] | None = None
    ) -> Iterator[Curve]:
        """Yield the recorded points of every trial, or of those that are wanted."""
        return curves_of(self.file("curves.csv"), columns, wanted)

    @cached_property
    def curve_lines(self) -> TrialLines:
        """Where each trial's lines are in curves.csv of a finished run."""
        return find_lines(self.path / "curves.csv")

    @cached_property
    def summary_lines(self) -> TrialLines:
        """Where each trial's line is in summary.csv of a finished run."""
        return find_lines(self.path / "summary.csv")

    @property
    def lines(self) -> tuple[TrialLines, TrialLines]:
        """Both."""
        return self.curve_lines, self.summary_lines

    def ids(self) -> Iterator[str]:
        """Yield the id of every trial."""
        blocks = self.file("summary.csv").blocks()
        next(blocks)
        for block in blocks:
            yield from block.column(0)

    def check_trials(self, wanted: Collection[str], where: str) -> None:
        """Raise UserError, naming `where`, unless the run holds all of these trials."""
        held = set(self.ids()) if wanted else set()
        for trial in wanted:
            if trial not in held:
                hint = suggestion(trial, held) or "give ids of summary.csv's first column"
                raise UserError(where, f"the run holds no trial {show(trial)}", hint)

    def kinds(self, name: TableName) -> dict[str, Kind]:
        """Return what each column of a table holds, by name and in order.

        What a varied setting holds, its cells tell. A whole number that 64 bits do not hold, as a
        seed may be, makes its column one of text.
        """
        kinds = {label: column.kind for label, column in self.table(name).columns.items()}
        told = [label for label, kind in kinds.items() if kind == "any" or label == "seed"]
        seen: dict[str, set[Value]] = {label: set() for label in told}
        for _, columns in self._blocks("summary.csv", (), told):
            for label in told:
                seen[label].update(columns[label])
        for label, values in seen.items():
            wide = any(isinstance(v, int) and not -WIDEST <= v < WIDEST for v in values)
            kinds[label] = "text" if wide else _kind_of(values)
        return kinds

    def blocks(self, name: TableName, trials: Collection[str], most: int) -> Iterator[Columns]:
        """Yield columns of a table, of those trials or of all, `most` rows at a time."""
        kinds = self.kinds(name)
        held: Columns = {label: [] for label in kinds}
        count = 0
        for _, columns in self._blocks(name, trials):
            for label, values in columns.items():
                held[label] += _as(kinds[label], values)
            while len(held["trial"]) >= most:
                yield {label: values[:most] for label, values in held.items()}
                held = {label: values[most:] for label, values in held.items()}
                count += 1
        if held["trial"] or not count:
            yield held

    def _blocks(
        self, name: TableName, trials: Collection[str], only: Collection[str] | None = None
    ) -> Iterator[tuple[Block, Columns]]:
        """Yield a table's rows of those trials, or of all, and its columns or some, as values."""
        blocks = self.file(name).blocks({t.encode() for t in trials} if trials else None)
        columns = table_of(name, next(blocks).row(0)).columns
        places = {label: at for at, label in enumerate(columns) if only is None or label in only}
        for block in blocks:
            yield block, {label: block.values(at, columns[label]) for label, at in places.items()}

    def records(self, trials: Collection[str] = ()) -> Iterator[TrialRecord]:
        """Yield all that is known of the trials, or of those given, in the grid's order.

        Raises UserError naming the line that is wrong.
        """
        count = len(self.table("summary.csv").settings)
        curves = groupby(self._points(trials), key=lambda part: part[0])
        upcoming = next(curves, None)
        for block, columns in self._blocks("summary.csv", trials):
            for at, trial in enumerate(block.column(0)):
                pairs = [(label, values[at]) for label, values in columns.items()]
                points: Columns = {label: [] for label in self._point_columns}
                if upcoming and upcoming[0] == trial:  # a trial that failed has none
                    for _, _, part in upcoming[1]:
                        for label, values in part.items():
                            points[label] += values
                    upcoming = next(curves, None)
                yield TrialRecord(trial, dict(pairs[:count]), dict(pairs[count:]), points)
        if upcoming:
            row = next(upcoming[1])[1]
            row.refuse(f"trial {show(upcoming[0])} has no such place in summary.csv")

    @cached_property
    def _point_columns(self) -> list[str]:
        table = self.table("curves.csv")
        return list(table.columns)[len(table.settings) :]

    def _points(self, trials: Collection[str]) -> Iterator[tuple[str, Row, Columns]]:
        """Yield the points of trials, those of one trial perhaps in several parts."""
        for block, columns in self._blocks("curves.csv", trials, self._point_columns):
            for first, last in trials_in(block):
                part = {label: values[first:last] for label, values in columns.items()}
                yield block.cells[first * block.width], block.row(first), part


def _kind_of(values: Collection[Value]) -> Kind:
    """Return what a varied setting's values are, all of them."""
    types = {type(value) for value in values if value is not None}
    if types <= {int}:
        return "whole" if types else "text"
    return "number" if types <= {int, float} else "text"


def _as(kind: Kind, values: list[Value]) -> list[Value]:
    """Return values as a column of a kind has them."""
    if kind == "number":
        return [None if value is None else float(value) for value in values]
    if kind == "text":
        return [None if value is None else str(value) for value in values]
    return values


def state_of(folder: Path) -> State:
    """Return the state of a run's folder, from its files and locks alone.

    complete: the results are there and are what was written. in progress: a process holds a lock
    in it. damaged: a file is not what was written; the same command makes it anew. partial: the
    same command continues it. Raises OSError where a file cannot be read.
    """
    try:
        spec = read_spec(folder, SHOWN)
    except FileNotFoundError:  # killed before it began, or copied without its hidden folder
        return _without_spec(folder, "partial")
    except UserError:
        return _without_spec(folder, "damaged")
    store, total = Store(folder, spec), spec["batches"]
    if manifest.counts(folder, store.id):
        return State("complete", total, total)
    there = store.there(total)
    # One at a time: together they may be larger than the memory.
    held = [len(lines_of(shard.summary)) for i in there if (shard := store.load(i)) is not None]
    done, trials = len(held), sum(held)
    if at_work(folder):
        return State("in progress", done, total, trials)
    sound = done == len(there) and not (folder / "manifest.json").exists()
    return State("partial" if sound else "damaged", done, total, trials)


def _without_spec(folder: Path, unfinished: Literal["damaged", "partial"]) -> State:
    """Return the state of a run that its tables alone can vouch for."""
    if at_work(folder):
        return State("in progress", 0, 0)
    if not (folder / "manifest.json").exists():
        return State(unfinished, 0, 0)
    try:
        manifest.check_files(folder)
    except UserError:
        return State("damaged", 0, 0)
    return State("complete", 0, 0)


@dataclass(frozen=True)
class RunEntry:
    """One run as a listing shows it; a field is empty where the files do not tell it."""

    name: str
    problem: str
    trials: str  # "30/80": those that are stored, of all
    state: str
    batches: str  # as the trials
    finished: str


def overview(folder: Path) -> list[RunEntry]:
    """Return the runs in a folder, by name, or the folder itself if it is a run; raises OSError."""
    if is_run(folder):
        return [_entry(folder)]
    return [_entry(run) for run in sorted(folder.iterdir()) if _seen_as_run(run)]


def _seen_as_run(folder: Path) -> bool:
    try:
        return is_run(folder)
    except PermissionError:  # another user's, which cannot be read
        return False


def _entry(folder: Path) -> RunEntry:
    try:
        state = state_of(folder)
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        return RunEntry(folder.name, "", "", f"unreadable: {reason}", "", "")
    spec = _read(partial(read_spec, folder, SHOWN))
    recorded = _read(partial(manifest.read, folder))
    settings = _at(recorded, "experiment", "settings") or _at(spec, "settings")
    batches = f"{state.done}/{state.total}" if state.total else ""
    return RunEntry(
        folder.name,
        name_in(_text_of(_at(settings, "problem", "name"))),
        _trials(state, spec, _at(recorded, "trials", "all")),
        state.word,
        batches,
        _text_of(_at(recorded, "finished")),
    )


def _trials(state: State, spec: Mapping[str, Any], recorded: object) -> str:
    """Return "stored/all" trials, "" where it is not known."""
    total = recorded if isinstance(recorded, int) else spec.get("trials")
    if total is None or (state.trials is None and state.word != "complete"):
        return ""
    return f"{total if state.trials is None else state.trials}/{total}"


def _read(reader: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the content of a file, {} where it is damaged or missing."""
    try:
        return reader()
    except (UserError, OSError):
        return {}


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text_of(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
