"""The lines of a run's tables, trial by trial: the first cell of a line is its trial's id."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from gdcli import door
from gdcli.door import LONGEST_LINE
from gdcli.errors import UserError
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.fields import show

REPAIR = "run the same experiment again: it writes the file anew"


def by_trial(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield every trial's id and its lines, as they stand, in their order."""
    for trial, group in groupby(records(lines), key=_trial_of):
        yield trial, b"".join(group)


def lines_of(part: bytes) -> dict[str, bytes]:
    """Return the lines of every trial in a part of a table, by its id."""
    return dict(by_trial(io.BytesIO(part)))


def records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines, those that a quoted line break splits as one, unless that is no end."""
    held: list[bytes] = []
    quotes = length = 0
    for line in lines:
        held.append(line)
        quotes += line.count(b'"')
        length += len(line)
        if quotes % 2 == 0 or length > LONGEST_LINE:  # such a one is not closed, or no record
            yield b"".join(held)
            held, quotes, length = [], 0, 0
    if held:
        yield b"".join(held)


def _trial_of(record: bytes) -> str:
    return record.partition(b",")[0].decode(errors="replace")


def cells(lines: bytes) -> list[list[str]]:
    """Return the cells of lines; what is no UTF-8 in them is replaced, not refused."""
    try:
        return list(csv.reader(split(lines.decode(errors="replace"))))
    except csv.Error:  # a line break that is neither quoted nor an end, or a cell without end
        return []


def split(text: str) -> Iterable[str]:
    """Return the lines of a text, each with its end: a newline, and no other character."""
    return io.StringIO(text, newline="\n")


@dataclass(frozen=True)
class Table:
    """curves.csv or summary.csv of a run, of which one trial at a time is in memory."""

    path: Path
    columns: tuple[str, ...]
    places: Mapping[str, tuple[int, int]]  # trial -> offset and length of its lines

    def lines(self, trial: str) -> bytes:
        """Return a trial's lines, none for a trial that has none."""
        offset, length = self.places.get(trial, (0, 0))
        with door.opened(self.path) as file:
            file.seek(offset)
            return file.read(length)

    def header(self) -> bytes:
        """Return the first line."""
        return next(door.lines(self.path), b"")

    @property
    def measures(self) -> tuple[str, ...]:
        """The columns after the settings."""
        return self.columns[self.settings :]

    @property
    def settings(self) -> int:
        """How many columns hold settings: the first ones."""
        first = "epoch" if "epoch" in self.columns else "status"
        # The last one named so: a varied setting, to the left, may have that name too.
        return len(self.columns) - 1 - self.columns[::-1].index(first)

    def measured(self, lines: bytes) -> list[list[str]]:
        """Return the cells of lines after the settings; those that a row lacks are empty."""
        width = len(self.columns)
        rows = (row + [""] * (width - len(row)) for row in cells(lines))
        return [row[self.settings : width] for row in rows]


def read_table(path: Path) -> Table:
    """Find every trial's lines in a table.

    Raises UserError for a file that is missing or empty, for columns that no run writes, and for
    a trial whose lines stand apart.
    """
    try:
        with closing(door.lines(path)) as file:
            header = next(file, b"")
            places = _places(path, file, header)
    except OSError as error:
        what = f"it cannot be read: {(error.strerror or 'no reason given').lower()}"
        raise UserError(str(path), what, REPAIR) from None
    columns = tuple(next(iter(cells(header)), ()))
    if columns[:1] != ("trial",) or not {"epoch", "status"} & set(columns):
        raise UserError(f"{path}:1", "these are not the columns of a run's table", REPAIR)
    return Table(path, columns, places)


def _places(path: Path, file: Iterable[bytes], header: bytes) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    offset, commas = len(header), header.count(b",")

    def trial_of(record: bytes) -> str:
        if record.count(b",") < commas:  # at the first of many short lines
            raise UserError(str(path), "a line has fewer cells than the header", REPAIR)
        return _trial_of(record)

    for trial, group in groupby(records(file), key=trial_of):
        length = sum(map(len, group))
        if len(places) == MOST_TRIALS:
            raise UserError(str(path), f"it has more than {MOST_TRIALS:,} trials", REPAIR)
        if trial in places:
            raise UserError(str(path), f"the lines of trial {show(trial)} stand apart", REPAIR)
        places[trial] = (offset, length)
        offset += length
    return places
