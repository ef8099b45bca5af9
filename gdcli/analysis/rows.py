"""A run's CSV files, row by row, with every mistake named by file and line."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from math import nan
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias

from gdcli import door
from gdcli.csv_cell import as_given
from gdcli.errors import RunError, UserError
from gdcli.fields import NUMBER, WHOLE, show

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
