"""The tables of a run's folder: rows, columns, and the lines of each trial.

Every mistake is named by file and line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, islice
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn, TypeAlias

from gdcli import door
from gdcli.csv_cell import as_given
from gdcli.door import LONGEST_LINE
from gdcli.engine.watched import COUNTS
from gdcli.errors import RunError, UserError
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.fields import NUMBER, WHOLE, show

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

Value: TypeAlias = int | float | str | None

ROWS = 4096  # of a block
LONGEST_INTEGER = 4000  # digits; Python refuses to read a few more
# What a shard or a resumed run cannot repair, the finished file's next writing does.
REPAIR = "run the same experiment again: it writes the file anew"


class Row(NamedTuple):
    """One line of a file, each cell as text.

    A tuple is made in a third of a dataclass's time, and files have millions of lines.
    """

    path: Path
    line: int  # in the file, counted from 1
    cells: list[str]

    def number(self, column: int, name: str) -> float | None:
        """Return a cell as a number, which may be nan or inf; None for an empty one."""
        text = self.cells[column]
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            self.refuse(f"{name} is {show(text)}, not a number")

    def number_or_nan(self, column: int, name: str) -> float:
        """Return a cell as a number, nan for an empty one."""
        value = self.number(column, name)
        return nan if value is None else value

    def refuse(self, what: str) -> NoReturn:
        """Raise UserError for this line."""
        raise UserError(f"{self.path}:{self.line}", what, REPAIR)


class Block(NamedTuple):
    """Some rows of a file one after another: what is done to many cells at once is done soon."""

    path: Path
    lines: Sequence[int]  # of the rows, in the file
    width: int  # cells of a row
    cells: list[str]  # of all rows

    def column(self, place: int) -> list[str]:
        """Return the cells of a column."""
        return self.cells[place :: self.width]

    def row(self, at: int) -> Row:
        """Return one of the rows."""
        return Row(self.path, self.lines[at], self.cells[at * self.width : (at + 1) * self.width])

    def numbers(self, place: int, name: str) -> list[float]:
        """Return the cells of a column as numbers, nan for empty ones."""
        try:
            return [float(cell) if cell else nan for cell in self.column(place)]
        except ValueError:
            return [self.row(at).number_or_nan(place, name) for at in range(len(self.lines))]


def read_blocks(path: Path) -> Iterator[Block]:
    """Return the rows of a CSV file in blocks, its header alone in the first; raises as read_rows.

    Where nothing is quoted, which `csv` would have to look for cell by cell, it takes a third of
    the time of `read_rows`.
    """
    done = 0
    try:
        for block in _plain_blocks(path):
            yield block
            done += len(block.lines)
    except (_NotPlainError, OSError):
        rows = islice(read_rows(path), done, None)
        while held := list(islice(rows, ROWS if done else 1)):
            cells = [cell for row in held for cell in row.cells]
            yield Block(path, [row.line for row in held], len(held[0].cells), cells)
            done += len(held)


class _NotPlainError(Exception):
    """Lines that csv has to read."""


def _plain_blocks(path: Path) -> Iterator[Block]:
    """Return the rows up to those that csv has to read, as `read_blocks` does."""
    line, width = 1, 0
    for part in door.parts(path):
        rest = part
        if not width:
            header, _, rest = part.partition(b"\n")
            width = header.count(b",") + 1
            yield Block(path, (1,), width, _cells(header, width))
        if rest:
            cells = _cells(rest, width)
            first, line = line + 1, line + len(cells) // width
            yield Block(path, range(first, line + 1), width, cells)
    if not width:
        raise _NotPlainError


def _cells(lines: bytes, width: int) -> list[str]:
    """Return the cells of lines without a quote, all of a width."""
    import numpy as np

    if width < 2 or any(char in lines for char in (b'"', b"\r", b"\0")):
        raise _NotPlainError
    if not lines.endswith(b"\n"):
        lines += b"\n"
    characters = np.frombuffer(lines, np.uint8)
    is_end = characters == ord("\n")
    ends, all_ends = np.flatnonzero(is_end), np.flatnonzero(is_end | (characters == ord(",")))
    even = np.array_equal(all_ends[width - 1 :: width], ends)
    if not even or np.diff(ends, prepend=-1).max() > door.LONGEST_LINE:
        raise _NotPlainError
    try:
        return lines[:-1].decode().replace("\n", ",").split(",")
    except UnicodeDecodeError:
        raise _NotPlainError from None


def read_rows(path: Path, wanted: Container[bytes] | None = None) -> Iterator[Row]:
    """Return the rows of a CSV file, its header first, all of its header's length.

    Of the rows whose first cell is not wanted, nothing is read. Raises UserError where the file is
    missing, is no CSV, or has a row of another length, and RunError where it cannot be read.
    """
    lines: Iterable[bytes] = door.lines(path)
    counted = None if wanted is None else _Lines(lines, wanted)
    try:
        yield from rows_of(path, map(bytes.decode, counted or lines), counted)
    except FileNotFoundError:
        raise UserError(str(path), "there is no such file", "name a run's folder") from None
    except OSError as error:
        raise RunError(f"{path}: it cannot be read: {error.strerror}; {REPAIR}") from None
    except UnicodeDecodeError as error:
        raise UserError(str(path), f"byte {error.start} is not UTF-8", REPAIR) from None


class _Lines:
    """The lines of a file, of which those of rows that are not wanted are passed over."""

    def __init__(self, lines: Iterable[bytes], wanted: Container[bytes]) -> None:
        self.line_num = 0  # of the last line, in the file
        self._lines, self._wanted = lines, wanted

    def __iter__(self) -> Iterator[bytes]:
        wanted, number = self._wanted, 0
        kept, quoted = True, False  # the header is wanted; quoted: the next line goes on with a row
        for number, line in enumerate(self._lines, 1):
            if number > 1 and not quoted:
                kept = line.partition(b",")[0] in wanted
            if b'"' in line:
                quoted ^= line.count(b'"') % 2 == 1
            if kept:
                self.line_num = number
                yield line
        if quoted and not kept:
            self.line_num = number
            raise csv.Error("unexpected end of data")  # as csv says it of a row that is wanted


def rows_of(path: Path, lines: Iterable[str], counted: _Lines | None = None) -> Iterator[Row]:
    """Return the rows of lines of CSV, their header first; an error names `path`.

    `counted` knows the number of a line where lines are passed over.
    """
    reader = csv.reader(lines, strict=True)
    number = counted or reader
    width = None
    try:
        for cells in reader:
            row = Row(path, number.line_num, cells)
            width = width or len(cells)
            if not cells:
                row.refuse("the line is empty")
            if len(cells) != width:
                row.refuse(f"it has {len(cells)} cells, the header {width}")
            yield row
    except csv.Error as error:
        Row(path, number.line_num, []).refuse(f"it is no CSV: {error}")
    if width is None:
        Row(path, 1, []).refuse("it is empty")


def value_of(text: str) -> Value:
    """Return a setting as it was before it was written: a number, text, or None for no value."""
    if WHOLE.fullmatch(text) and len(text) <= LONGEST_INTEGER:
        return int(text)
    if NUMBER.fullmatch(text):
        return float(text)
    return as_given(text) or None


Kind: TypeAlias = Literal["whole", "number", "text"]
TEXT = {
    *("trial", "method", "optimizer", "schedule"),
    *("status", "stopped_by", "diverged_by", "message"),
    "verdict",  # in tables of format 2 and before
}
WHOLE_COLUMNS = {"batch_size", "seed", "step", "examples", "steps", "steps_to_target", *COUNTS}
OWN = 7  # settings that every run has: the trial's id to its seed


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    place: int
    kind: Kind | None  # None: a varied setting's, which its cells tell

    def read(self, row: Row) -> Value:
        """Return a row's value, None for an empty cell; raises UserError for one of no sense."""
        cell = row.cells[self.place]
        if self.kind == "number":
            return row.number(self.place, self.name)
        if not cell or self.kind == "text":
            return as_given(cell) or None
        value = value_of(cell)
        if self.kind == "whole" and not isinstance(value, int):
            row.refuse(f"{self.name} is {cell!r}, not a whole number")
        return value


def columns_of(header: Row, first: str) -> tuple[list[Column], list[Column]]:
    """Return the columns of the settings, and those of the measures, `first` of which is given.

    A varied setting may be named as a measure is: it is then "steps (varied)".
    """
    cells = header.cells
    if first not in cells:
        header.refuse(f"there is no column {first}")
    begin = len(cells) - 1 - cells[::-1].index(first)
    own, measured = cells[:OWN], cells[begin:]
    varied = [f"{n} (varied)" if n in (*own, *measured) else n for n in cells[OWN:begin]]
    settings = [Column(name, place, _kind(name)) for place, name in enumerate(own)]
    settings += [Column(name, place, None) for place, name in enumerate(varied, start=OWN)]
    measures = [Column(name, place, _kind(name)) for place, name in enumerate(measured, begin)]
    return settings, measures


def _kind(name: str) -> Kind:
    if name in TEXT:
        return "text"
    return "whole" if name in WHOLE_COLUMNS else "number"


def kind_of(values: Iterable[Value]) -> Kind:
    """Return what a varied setting's values are, all of them."""
    types = {type(value) for value in values if value is not None}
    if types <= {int}:
        return "whole" if types else "text"
    return "number" if types <= {int, float} else "text"


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
class ByteTable:
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


def read_table(path: Path) -> ByteTable:
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
    return ByteTable(path, columns, places)


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
