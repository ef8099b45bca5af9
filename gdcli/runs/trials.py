"""The trials of a run: settings, how each ended, its recorded points and its seconds."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from math import inf, isfinite, isnan
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from gdcli.experiment.grid import MOST_TRIALS
from gdcli.fields import show
from gdcli.measure import LOSS_NAMES, MEASURED, SETTINGS, Column
from gdcli.numbers import as_given
from gdcli.runs.csv_read import Block, CsvFile, Value, place_of, read_rows, table_of, value_of

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.runs.table import RunTable

NEEDED = ("steps", "initial_train_loss", "final_train_loss", "final_test_loss", "message")
STATUSES = ("finished", "diverged", "failed")
Fact: TypeAlias = float | str | None


class TrialResult(NamedTuple):
    """One row of summary.csv."""

    id: str
    setting: tuple[Value, ...]  # all but the learning rate and the seed, in the order of `names`
    lr: float
    seed: Value
    status: str  # finished, diverged or failed
    facts: Mapping[str, Fact]  # all columns from the status on
    final: Mapping[str, float | None]  # train_loss, test_loss and the metrics
    message: str

    @property
    def loss(self) -> float:
        """The final training loss: inf where it diverged, is NaN or is missing."""
        return self.final_or_inf("train_loss")

    @property
    def falls(self) -> bool:
        """Whether the training loss ends no higher than it starts; True where nothing tells."""
        start = self.fact("initial_train_loss")
        return start is None or self.loss <= start

    def final_or_inf(self, name: str) -> float:
        """Return a final loss: inf where the trial diverged, or where it is NaN or missing."""
        loss = self.final[name]
        return inf if self.status != "finished" or loss is None or isnan(loss) else loss

    def fact(self, name: str) -> float | None:
        """Return a fact that is a number; None where it is not known or has no column."""
        value = self.facts.get(name)
        return None if isinstance(value, str) else value


class Trials(NamedTuple):
    """The rows of summary.csv, and what its columns are named."""

    names: tuple[str, ...]  # of the settings but the learning rate and the seed
    metrics: tuple[str, ...]
    trials: tuple[TrialResult, ...]


class _Numbers:
    """A column of numbers, some of which may be missing."""

    __slots__ = "given", "values"

    def __init__(self) -> None:
        self.values, self.given = array("d"), bytearray()

    def extend(self, values: Sequence[float], cells: Sequence[str]) -> None:
        """Add numbers; an empty cell has none."""
        self.values.extend(values)
        self.given.extend(map(bool, cells))

    def __getitem__(self, row: int) -> float | None:
        return self.values[row] if self.given[row] else None


class _Facts(Mapping[str, Fact]):
    """One row of some columns.

    It takes a tenth of a dictionary's memory, and runs have many trials.
    """

    __slots__ = "_columns", "_row"

    def __init__(self, columns: Mapping[str, _Numbers | list[str]], row: int) -> None:
        """Take the columns, and which of their rows it is."""
        self._columns, self._row = columns, row

    def __getitem__(self, name: str) -> Fact:
        """Return a fact, None for an empty cell of a number; raises KeyError."""
        return self._columns[name][self._row]

    def __iter__(self) -> Iterator[str]:
        """Yield the columns' names."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._columns)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a fact, without the KeyError that a Mapping would catch."""
        column = self._columns.get(name)
        return default if column is None else column[self._row]


def read_trials(folder: Path) -> Trials:
    """Read a run's summary.csv; raises UserError naming the line that is wrong."""
    return trials_of(CsvFile(folder / "summary.csv"))


def trials_of(file: CsvFile) -> Trials:
    """Return the trials of a summary.csv; raises UserError naming the line that is wrong."""
    blocks = file.blocks()
    header = next(blocks).row(0)
    table = table_of("summary.csv", header)
    for name in NEEDED:
        place_of(table, name, header)
    reader = _Reader(table)
    trials = tuple(trial for block in blocks for trial in reader.trials(block))
    return Trials(reader.names, reader.metrics, trials)


class _Reader:
    """Reads the trials of summary.csv block by block."""

    def __init__(self, table: RunTable) -> None:
        self.table, self.count = table, 0
        own = [column.name for column in SETTINGS]
        kept = [at for at, name in enumerate(own) if name not in ("trial", "lr", "seed")]
        self.settings = [*kept, *range(len(own), len(table.settings))]
        self.names = tuple(table.names[at] for at in self.settings)
        self.lr, self.seed = own.index("lr"), own.index("seed")
        self.columns: dict[str, _Numbers | list[str]] = {
            column.name: [] if column.kind == "text" else _Numbers() for column in table.measures
        }
        finals = [name.removeprefix("final_") for name in self.columns if name[:6] == "final_"]
        self.metrics = tuple(name for name in finals if name not in MEASURED)
        self.finals = {name: self.columns[f"final_{name}"] for name in (*LOSS_NAMES, *self.metrics)}
        # Without facts, in tables of format 2 and before, divergence has the step that recorded it.
        unknown = () if "watched" in self.columns else ("diverged_at", "diverged_by")
        self.facts = {name: of for name, of in self.columns.items() if name not in unknown}
        self.values: dict[tuple[str, ...], tuple[Value, ...]] = {}

    def trials(self, block: Block) -> Iterator[TrialResult]:
        """Yield the trials of a block."""
        self._add(block)
        rates = self._rates(block)
        messages = cast("list[str]", self.columns["message"])
        first, self.count = self.count, self.count + len(block.lines)
        rows = zip(
            range(first, self.count),
            block.column(0),
            zip(*map(block.column, self.settings), strict=True),
            rates,
            map(value_of, block.column(self.seed)),
            cast("list[str]", self.columns["status"])[first:],
            strict=True,
        )
        for row, trial, cells, lr, seed, status in rows:
            facts = _Facts(self.facts, row)
            final = cast("Mapping[str, float | None]", _Facts(self.finals, row))
            setting, message = self._setting(cells), as_given(messages[row])
            yield TrialResult(trial, setting, lr, seed, status, facts, final, message)

    def _add(self, block: Block) -> None:
        """Add a block's cells to the columns."""
        for place, column in enumerate(self.table.measures, len(self.table.settings)):
            cells, held = block.column(place), self.columns[column.name]
            if isinstance(held, list):
                held.extend(map(intern, cells))
                continue
            values = block.numbers(place, column.name)
            held.extend(values, cells)
            if column.kind == "whole" and not all(map(float.is_integer, values)):
                _check_whole(block, column, cells, values)
        place = self.table.place("status")
        for at, status in enumerate(block.column(place)):
            if status not in STATUSES:
                what = f"status is {show(status)}, not one of {', '.join(STATUSES)}"
                block.row(at).refuse(what)

    def _rates(self, block: Block) -> list[float]:
        rates = block.numbers(self.lr, "lr")
        for at, rate in enumerate(rates):
            if not isfinite(rate):
                row = block.row(at)
                row.refuse(f"lr is {row.number(self.lr, 'lr')}, not a finite number")
        return rates

    def _setting(self, cells: tuple[str, ...]) -> tuple[Value, ...]:
        """Return the values of cells, the same ones for the same cells."""
        if cells not in self.values:
            self.values[cells] = tuple(map(value_of, cells))
        return self.values[cells]


def _check_whole(
    block: Block, column: Column, cells: Sequence[str], values: Sequence[float]
) -> None:
    """Raise UserError for the first number of a column that is not whole."""
    for at, (cell, value) in enumerate(zip(cells, values, strict=True)):
        if cell and not value.is_integer():
            block.row(at).refuse(f"{column.name} is {show(cell)}, not a whole number")


class Curve(NamedTuple):
    """One trial's recorded points, the oldest first; a value that was not measured is nan."""

    trial: str
    steps: Sequence[int]
    values: dict[str, Sequence[float]]  # by column


def read_curves(
    folder: Path, columns: Iterable[str], wanted: Collection[str] | None = None
) -> Iterator[Curve]:
    """Yield the points of every trial that has some and is wanted, in the order of curves.csv.

    Raises UserError naming the line that is wrong, or a column that is not there.
    """
    return curves_of(CsvFile(folder / "curves.csv"), columns, wanted)


def curves_of(
    file: CsvFile, columns: Iterable[str], wanted: Collection[str] | None = None
) -> Iterator[Curve]:
    """Yield the points of a curves.csv as `read_curves` does."""
    blocks = file.blocks(None if wanted is None else {trial.encode() for trial in wanted})
    header = next(blocks).row(0)
    table = table_of("curves.csv", header)
    at = {name: place_of(table, name, header) for name in ("step", *columns)}
    held: Curve | None = None  # whose rows the next block may continue
    seen: set[str] = set()
    for block in blocks:
        values = {name: block.numbers(place, name) for name, place in at.items()}
        _check_epochs(block, values.get("epoch", ()))
        steps = _steps(block, values.pop("step"))
        for first, last in trials_in(block):
            trial = block.cells[first * block.width]
            found = Curve(trial, steps[first:last], {n: of[first:last] for n, of in values.items()})
            if held and held.trial == trial:
                held = _joined(held, found)
                continue
            if held:
                yield held
            if trial in seen:
                block.row(first).refuse("the rows of its trial do not follow one another")
            seen.add(trial)
            held = found
    if held:
        yield held


def trials_in(block: Block) -> Iterator[tuple[int, int]]:
    """Yield where the rows of each trial begin and end in a block."""
    edges = [k for k, (one, other) in enumerate(pairwise(block.column(0)), 1) if one != other]
    return pairwise((0, *edges, len(block.lines)))


def _steps(block: Block, numbers: Sequence[float]) -> list[int]:
    for at, number in enumerate(numbers):
        if not number.is_integer():
            block.row(at).refuse("it has no step")
    return list(map(int, numbers))


def _check_epochs(block: Block, epochs: Sequence[float]) -> None:
    for at, epoch in enumerate(epochs):
        if isnan(epoch):
            block.row(at).refuse("it has no epoch")


def _joined(one: Curve, other: Curve) -> Curve:
    values = {name: [*of, *other.values[name]] for name, of in one.values.items()}
    return Curve(one.trial, [*one.steps, *other.steps], dict(values))


def seconds_of(folder: Path, run: Trials) -> dict[str, float]:
    """Return the seconds of each trial, by id; of none where timings.csv does not tell.

    The trials of a batch are computed together: each has an equal share. A batch that was copied
    from another run took no time here, and nothing is said of it.
    """
    path = folder / "timings.csv"
    if not path.is_file():
        return {}
    rows = read_rows(path)
    header = next(rows)
    if not {"trials", "seconds"} <= set(header.cells):
        header.refuse("the columns trials and seconds are not there")
    places = [header.cells.index(name) for name in ("trials", "seconds")]
    trials, found = iter(run.trials), {}
    for row in rows:
        count, seconds = (row.number(place, header.cells[place]) or 0.0 for place in places)
        if not (isfinite(count) and isfinite(seconds) and 0 <= count <= MOST_TRIALS):
            row.refuse("its trials and seconds cannot be those of a batch")
        for trial in islice(trials, int(count)):
            if seconds > 0:
                found[trial.id] = seconds / count
    return found
