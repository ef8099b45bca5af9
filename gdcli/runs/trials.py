"""The trials of a run: settings, how each ended, its recorded points and its seconds."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice, pairwise
from math import inf, isfinite, isnan, nan
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from gdcli.csv_cell import as_given
from gdcli.engine.watched import COUNTS
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.fields import show
from gdcli.runs.csv_read import Block, Row, Value, read_blocks, read_rows, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OWN = ("method", "batch_size", "optimizer", "schedule")  # settings that every run has
FIRST = ("trial", "method", "batch_size", "optimizer", "lr", "schedule", "seed")
NEEDED = ("status", "steps", "initial_train_loss", "final_train_loss", "final_test_loss")
TEXTS = ("status", "stopped_by", "verdict", "diverged_by", "message")
WHOLE_FIGURES = {"steps", "steps_to_target", *COUNTS}
Fact: TypeAlias = float | str | None
STATUSES = ("finished", "diverged", "failed")


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


class _Facts(Mapping[str, Fact]):
    """The columns of one row from the status on.

    It takes a fifth of a dictionary's memory, and runs have many trials.
    """

    __slots__ = "_given", "_numbers", "_places", "_texts"

    def __init__(
        self,
        places: Mapping[str, int],
        numbers: array[float],
        given: bytes,
        texts: tuple[str, ...],
    ) -> None:
        """Take where columns are: among the numbers, or, as -1 and less, among the texts.

        `given` is 0 where there is no number.
        """
        self._places, self._numbers, self._given, self._texts = places, numbers, given, texts

    def named(self, places: Mapping[str, int]) -> Mapping[str, float | None]:
        """Return the numbers among the same cells that are at these places, by other names."""
        found = _Facts(places, self._numbers, self._given, self._texts)
        return cast("Mapping[str, float | None]", found)

    def __getitem__(self, name: str) -> Fact:
        """Return a fact, None for an empty cell of a number; raises KeyError."""
        place = self._places[name]
        if place < 0:
            return self._texts[~place]
        return self._numbers[place] if self._given[place] else None

    def __iter__(self) -> Iterator[str]:
        """Yield the columns' names."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._places)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a fact, without the KeyError that a Mapping would catch."""
        place = self._places.get(name)
        if place is None:
            return default
        if place < 0:
            return self._texts[~place]
        return self._numbers[place] if self._given[place] else None


class Trials(NamedTuple):
    """The rows of summary.csv, and what its columns are named."""

    names: tuple[str, ...]  # of the settings but the learning rate and the seed
    metrics: tuple[str, ...]
    trials: tuple[TrialResult, ...]


def read_trials(folder: Path) -> Trials:
    """Read a run's summary.csv; raises UserError naming the line that is wrong."""
    rows = read_rows(folder / "summary.csv")
    columns = _Columns(next(rows))
    return Trials(columns.names, columns.metrics, tuple(columns.trials(rows)))


class _Columns:
    """Where summary.csv keeps what; the columns between seed and status are what varies."""

    def __init__(self, header: Row) -> None:
        cells = header.cells
        missing = [name for name in (*FIRST, *NEEDED, "message") if name not in cells]
        if missing:
            header.refuse(f"there is no column {missing[0]}")
        if tuple(cells[: len(FIRST)]) != FIRST:
            header.refuse(f"the columns do not begin with {', '.join(FIRST)}")
        # The last one named so: a varied setting may have that name too.
        end = len(cells) - 1 - cells[::-1].index("status")
        self.varied = range(len(FIRST), end)
        # Without facts, in tables of format 2 and before, divergence has the step that recorded it.
        unknown = () if "watched" in cells[end:] else ("diverged_at", "diverged_by")
        ending = [(name, end + place) for place, name in enumerate(cells[end:])]
        ending = [(name, place) for name, place in ending if name not in unknown]
        self.numbers = [(name, place) for name, place in ending if name not in TEXTS]
        self.texts = [(name, place) for name, place in ending if name in TEXTS]
        self.whole = [i for i, (name, _) in enumerate(self.numbers) if name in WHOLE_FIGURES]
        at = {name: place for place, (name, _) in enumerate(self.numbers)}
        at |= {name: ~place for place, (name, _) in enumerate(self.texts)}
        self.places = {name: at[name] for name, _ in ending}
        self.given: dict[bytes, bytes] = {}
        self.values: dict[tuple[str, ...], tuple[Value, ...]] = {}
        self.own = [FIRST.index(name) for name in OWN]
        self.names = (*OWN, *(cells[place] for place in self.varied))
        losses = ("train_loss", "test_loss")
        finals = [name[6:] for name in cells[end:] if name.startswith("final_")]
        others = (*losses, "grad_norm")
        self.metrics = tuple(name for name in finals if name not in others)
        self.finals = {name: self.places[f"final_{name}"] for name in (*losses, *self.metrics)}

    def trials(self, rows: Iterator[Row]) -> Iterator[TrialResult]:
        """Return the trials of the rows after the header."""
        for row in rows:
            cells = row.cells
            lr = row.number(FIRST.index("lr"), "lr")
            if lr is None or not isfinite(lr):
                row.refuse(f"lr is {lr}, not a finite number")
            facts = self._facts(row)
            status = str(facts["status"])
            if status not in STATUSES:
                row.refuse(f"status is {show(status)}, not one of {', '.join(STATUSES)}")
            yield TrialResult(
                cells[0],
                self._read([cells[place] for place in (*self.own, *self.varied)]),
                lr,
                value_of(cells[FIRST.index("seed")]),
                status,
                facts,
                facts.named(self.finals),
                as_given(str(facts["message"])),
            )

    def _facts(self, row: Row) -> _Facts:
        cells = [row.cells[place] for _, place in self.numbers]
        try:
            numbers = array("d", [float(cell) if cell else nan for cell in cells])
        except ValueError:
            for name, place in self.numbers:
                row.number(place, name)  # which says what is wrong with the first that is
            raise
        given = bytes(map(bool, cells))
        for i in self.whole:
            if given[i] and not numbers[i].is_integer():
                row.refuse(f"{self.numbers[i][0]} is {show(cells[i])}, not a whole number")
        texts = tuple(intern(row.cells[place]) for _, place in self.texts)
        return _Facts(self.places, numbers, self.given.setdefault(given, given), texts)

    def _read(self, cells: Sequence[str]) -> tuple[Value, ...]:
        """Return the values of cells, the same ones for the same cells."""
        key = tuple(cells)
        if key not in self.values:
            self.values[key] = tuple(map(value_of, key))
        return self.values[key]


class Curve(NamedTuple):
    """One trial's points, the oldest first; a value that was not measured is nan."""

    trial: str
    steps: Sequence[int]
    values: dict[str, Sequence[float]]  # by column
    line: int  # of the first, in the file


def read_curves(
    folder: Path, columns: Iterable[str], wanted: Iterable[str] | None = None
) -> Iterator[Curve]:
    """Yield the points of every trial that has some and is wanted, in the order of the file.

    Raises UserError naming the line that is wrong, or a column that is not there.
    """
    file = folder / "curves.csv"
    if wanted is None:
        yield from _all_points(read_blocks(file), columns)
        return
    rows = read_rows(file, {trial.encode() for trial in wanted})
    header = next(rows)
    at = {name: place_of(header, name) for name in ("step", *columns)}
    for trial, lines in groupby(rows, key=lambda row: row.cells[0]):
        held = list(lines)
        cells = {name: _numbers(held, place, name) for name, place in at.items()}
        steps = [_step(row, value) for row, value in zip(held, cells.pop("step"), strict=True)]
        yield Curve(trial, steps, dict(cells), held[0].line)


def _all_points(blocks: Iterator[Block], columns: Iterable[str]) -> Iterator[Curve]:
    header = next(blocks).row(0)
    at = {name: place_of(header, name) for name in ("step", *columns)}
    held: Curve | None = None  # whose rows the next block may go on with
    for block in blocks:
        trials = block.column(0)
        values = {name: block.numbers(place, name) for name, place in at.items()}
        numbers = values.pop("step")
        if not all(map(float.is_integer, numbers)):
            for place, number in enumerate(numbers):
                _step(block.row(place), number)
        steps = list(map(int, numbers))
        edges = [k for k, (one, other) in enumerate(pairwise(trials), 1) if one != other]
        for first, last in pairwise((0, *edges, len(trials))):
            part = {name: of[first:last] for name, of in values.items()}
            found = Curve(trials[first], steps[first:last], dict(part), block.lines[first])
            if held and held.trial == found.trial:
                held = _joined(held, found)
            else:
                if held:
                    yield held
                held = found
    if held:
        yield held


def _joined(one: Curve, other: Curve) -> Curve:
    values = {name: [*of, *other.values[name]] for name, of in one.values.items()}
    return Curve(one.trial, [*one.steps, *other.steps], dict(values), one.line)


def place_of(header: Row, name: str) -> int:
    """Return a measure's place in the header; raises UserError if it is not there."""
    if name not in header.cells:
        header.refuse(f"there is no column {name}")
    # The last one named so: a varied setting, to the left, may have that name too.
    return len(header.cells) - 1 - header.cells[::-1].index(name)


def _numbers(rows: Sequence[Row], place: int, name: str) -> list[float]:
    try:
        return [float(row.cells[place]) for row in rows]
    except ValueError:  # one is empty, or wrong
        return [row.number_or_nan(place, name) for row in rows]


def _step(row: Row, value: float) -> int:
    if not value.is_integer():
        row.refuse("it has no step")
    return int(value)


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
            row.refuse("its trials and seconds are no numbers that a batch has")
        for trial in islice(trials, int(count)):
            if seconds > 0:
                found[trial.id] = seconds / count
    return found
