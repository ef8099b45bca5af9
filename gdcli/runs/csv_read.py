"""The reader of a run's tables: rows, columns, and where each trial's lines are.

Every mistake is named by file and line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, groupby, islice
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias, cast

from gdcli import door
from gdcli.errors import RunError, UserError
from gdcli.experiment.grid import MOST_TRIALS
from gdcli.fields import NUMBER, WHOLE, show
from gdcli.numbers import as_given
from gdcli.runs.table import RunTable, TableName, last_place, parsed

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from gdcli.measure import Column

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

    def place(self, name: str) -> int:
        """Return where a column is in this header; raises UserError where there is none."""
        if name not in self.cells:
            self.refuse(f"there is no column {name}")
        return last_place(self.cells, name)

    def refuse(self, what: str) -> NoReturn:
        """Raise UserError for this line."""
        raise UserError(f"{self.path}:{self.line}", what, REPAIR)


class Block(NamedTuple):
    """Rows that follow one another: converting many cells at once takes less time."""

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
            self._refuse_text(place, name)

    def values(self, place: int, column: Column) -> list[Value]:
        """Return the cells of a column as values of its kind, None for empty ones."""
        cells = self.column(place)
        if column.kind == "text":
            return [as_given(cell) or None for cell in cells]
        if column.kind == "any":
            return list(map(value_of, cells))
        try:
            if column.kind == "whole":
                return [int(cell) if cell else None for cell in cells]
            return [float(cell) if cell else None for cell in cells]
        except ValueError:
            self._refuse_text(place, column.name, int if column.kind == "whole" else float)

    def _refuse_text(self, place: int, name: str, kind: type = float) -> NoReturn:
        """Raise UserError for the first cell of a column that is not of a kind."""
        for at, cell in enumerate(self.column(place)):
            try:
                kind(cell or 0)
            except ValueError:
                whole = "whole " if kind is int else ""
                self.row(at).refuse(f"{name} is {show(cell)}, not a {whole}number")
        raise AssertionError(name)


@dataclass(frozen=True)
class CsvFile:
    """Lines of CSV, header first: those of a file, or of what `parts` yields as if it were one."""

    path: Path  # which errors name
    parts: Callable[[], Iterator[bytes]] | None = None  # of whole lines each

    def rows(self, wanted: Container[bytes] | None = None) -> Iterator[Row]:
        """Yield the rows, the header first, all of the header's length.

        A row whose first cell is not wanted is passed over unread. Raises UserError where the file
        is missing, is not CSV, or has a row of another length; RunError where it cannot be read.
        """
        lines = self._lines()
        counted = None if wanted is None else _Lines(lines, wanted)
        try:
            yield from self._rows(map(bytes.decode, counted or lines), counted)
        except FileNotFoundError:
            raise UserError(
                str(self.path), "there is no such file", "name a run's folder"
            ) from None
        except OSError as error:
            what = f"it cannot be read: {error.strerror}"
            raise RunError(f"{self.path}: {what}; {REPAIR}") from None
        except UnicodeDecodeError as error:
            raise UserError(str(self.path), f"byte {error.start} is not UTF-8", REPAIR) from None

    def _lines(self) -> Iterable[bytes]:
        if self.parts is None:
            return door.lines(self.path)
        return chain.from_iterable(map(io.BytesIO, self.parts()))

    def _rows(self, lines: Iterable[str], counted: _Lines | None) -> Iterator[Row]:
        """Yield the rows of lines; `counted` numbers the lines where some are passed over."""
        reader = csv.reader(lines, strict=True)
        number = counted or reader
        width = None
        try:
            for cells in reader:
                row = Row(self.path, number.line_num, cells)
                width = width or len(cells)
                if not cells:
                    row.refuse("the line is empty")
                if len(cells) != width:
                    row.refuse(f"it has {len(cells)} cells, the header {width}")
                yield row
        except csv.Error as error:
            Row(self.path, number.line_num, []).refuse(f"it is not CSV: {error}")
        if width is None:
            Row(self.path, 1, []).refuse("it is empty")

    def blocks(self, wanted: Container[bytes] | None = None) -> Iterator[Block]:
        """Yield the rows in blocks, the header alone in the first; raises as `rows`.

        Where nothing is quoted, which `csv` would have to look for cell by cell, it takes a third
        of the time of `rows`.
        """
        done = 0
        try:
            for block in self._plain_blocks(wanted):
                yield block
                done += len(block.lines)
        except (_NotPlainError, OSError):
            rows = islice(self.rows(wanted), done, None)
            while held := list(islice(rows, ROWS if done else 1)):
                cells = [cell for row in held for cell in row.cells]
                yield Block(self.path, [row.line for row in held], len(held[0].cells), cells)
                done += len(held)

    def _plain_blocks(self, wanted: Container[bytes] | None) -> Iterator[Block]:
        """Yield the rows up to those that csv has to read."""
        line, width = 1, 0
        for part in self.parts() if self.parts else door.parts(self.path):
            rest = part
            if not width:
                header, _, rest = part.partition(b"\n")
                width = header.count(b",") + 1
                yield Block(self.path, (1,), width, _cells(header, width))
            if not rest:
                continue
            first = line + 1
            if wanted is None:
                cells = _cells(rest, width)
                line += len(cells) // width
                yield Block(self.path, range(first, line + 1), width, cells)
                continue
            if b'"' in rest:
                raise _NotPlainError
            every = rest.removesuffix(b"\n").split(b"\n")
            line += len(every)
            kept = [at for at, one in enumerate(every) if one.partition(b",")[0] in wanted]
            if kept:
                cells = _cells(b"\n".join([every[at] for at in kept]), width)
                yield Block(self.path, [first + at for at in kept], width, cells)
        if not width:
            raise _NotPlainError


class _NotPlainError(Exception):
    """Lines that csv has to read."""


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


class _Lines:
    """The lines of a file, of which those of rows that are not wanted are passed over."""

    def __init__(self, lines: Iterable[bytes], wanted: Container[bytes]) -> None:
        self.line_num = 0  # of the last line, in the file
        self._lines, self._wanted = lines, wanted

    def __iter__(self) -> Iterator[bytes]:
        wanted, number = self._wanted, 0
        kept, quoted = True, False  # the header is wanted; quoted: the next line continues a row
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


def read_rows(path: Path) -> Iterator[Row]:
    """Return the rows of a CSV file, the header first; raises as `CsvFile.rows`."""
    return CsvFile(path).rows()


def table_of(file: TableName, header: Row) -> RunTable:
    """Return the columns of a run's table; raises UserError for a header that no run writes."""
    try:
        return parsed(file, header.cells)
    except ValueError as error:
        header.refuse(str(error))


def place_of(table: RunTable, name: str, header: Row) -> int:
    """Return where a measure is in a table; raises UserError, naming the header, if nowhere."""
    try:
        return table.place(name)
    except KeyError:
        header.refuse(f"there is no column {name}")


def value_of(text: str) -> Value:
    """Return a setting as it was before it was written: a number, text, or None for no value."""
    if WHOLE.fullmatch(text) and len(text) <= LONGEST_INTEGER:
        return int(text)
    if NUMBER.fullmatch(text):
        return float(text)
    return as_given(text) or None


# The lines of single trials, as bytes: the first cell of a line is its trial's id.


def lines_of(part: bytes) -> dict[str, bytes]:
    """Return the lines of every trial in a part of a table, by its id."""
    groups = groupby(records(io.BytesIO(part)), key=_trial_of)
    return {trial: b"".join(group) for trial, group in groups}


def records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines, those that a quoted line break splits as one, unless that is not an end."""
    held: list[bytes] = []
    quotes = length = 0
    for line in lines:
        held.append(line)
        quotes += line.count(b'"')
        length += len(line)
        # A longer one is not closed, or no record.
        if quotes % 2 == 0 or length > door.LONGEST_LINE:
            yield b"".join(held)
            held, quotes, length = [], 0, 0
    if held:
        yield b"".join(held)


def _trial_of(record: bytes) -> str:
    return record.partition(b",")[0].decode(errors="replace")


def cells(lines: bytes) -> list[list[str]]:
    """Return the cells of lines; what is not UTF-8 in them is replaced, not refused."""
    text = io.StringIO(lines.decode(errors="replace"), newline="\n")
    try:
        return list(csv.reader(text))
    except csv.Error:  # a line break that is neither quoted nor an end, or a cell without end
        return []


@dataclass(frozen=True)
class TrialLines:
    """Where each trial's lines are in curves.csv or summary.csv, of which one is read at a time."""

    path: Path
    table: RunTable
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

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The names of the columns after the settings."""
        return self.table.names[len(self.table.settings) :]

    def measured(self, lines: bytes) -> list[list[str]]:
        """Return the cells of lines after the settings; those that a row lacks are empty."""
        first, width = len(self.table.settings), len(self.table.names)
        rows = (row + [""] * (width - len(row)) for row in cells(lines))
        return [row[first:width] for row in rows]


def find_lines(path: Path) -> TrialLines:
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
    names = Row(path, 1, next(iter(cells(header)), []))
    return TrialLines(path, table_of(cast("TableName", path.name), names), places)


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
