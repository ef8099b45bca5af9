"""Examples from a CSV file: a header, one row an example, gzip by the suffix .gz.

The header says by what its columns are separated: commas, semicolons, tabs or bars.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

from gdcli.datasets.contents import opened
from gdcli.datasets.room import check_room
from gdcli.datasets.table import Table
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array

MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none"}
SEPARATORS = ",;\t|"
UNDECODED = re.compile("[\udc80-\udcff]")  # as surrogateescape gives them
LONGEST = 2**24  # characters of a line: a file without line ends is no table
CELL = 70  # bytes of a cell as text in memory, or a little more
CELLS = 2**20  # after which the room is looked at again


@dataclass(frozen=True)
class CsvTable(Table):
    """The cells of a CSV file, as text."""

    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]  # the line of the file on which each row ends

    def labels(self, name: str) -> list[str]:
        """Return the cells of a column; raises UserError for one that is missing."""
        place = self.place(name)
        for row, line in zip(self.rows, self.lines, strict=True):
            if row[place].lower() in MISSING:
                raise self._missing(row[place], line, name)
        return [row[place] for row in self.rows]

    def numbers(self, names: Sequence[str]) -> Array:
        """Return columns as float64 of shape (rows, columns).

        Raises UserError, naming the line and the column, for a cell that is no finite number.
        """
        import numpy as np

        places = [self.place(name) for name in names]
        try:
            values = np.array([[float(row[place]) for place in places] for row in self.rows])
        except ValueError:
            values = np.array(math.nan)
        if not np.isfinite(values).all():
            raise self._first_wrong(names)
        return values

    def _first_wrong(self, names: Sequence[str]) -> UserError:
        return next(
            error
            for row, line in zip(self.rows, self.lines, strict=True)
            for name in names
            if (error := self._wrong(row[self.place(name)], line, name))
        )

    def _wrong(self, cell: str, line: int, name: str) -> UserError | None:
        if cell.lower() in MISSING:
            return self._missing(cell, line, name)
        try:
            finite = math.isfinite(float(cell))
        except ValueError:
            what = f"{show(cell)} in column {show(name)} is not a number"
            return UserError(f"{self.file}:{line}", what, "make it one, or take out the column")
        what = f"{show(cell)} in column {show(name)} is not finite"
        return (
            None
            if finite
            else UserError(f"{self.file}:{line}", what, "correct it, or take out the row")
        )

    def _missing(self, cell: str, line: int, name: str) -> UserError:
        what = f"the value of column {show(name)} is missing" + (f" ({show(cell)})" if cell else "")
        return UserError(f"{self.file}:{line}", what, "fill it in, or take out the row")


def read_table(file: Path) -> CsvTable:
    """Return the cells of a CSV file, without the spaces around them; blank lines are skipped.

    Raises UserError, naming the line, for a file that cannot be read, is empty, or is not a
    table under one row of column names.
    """
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    for part in read_parts(file, CELLS):
        rows += part.rows
        lines += part.lines
        check_room(CELL * len(rows) * len(part.columns), file)
    return CsvTable(file, part.columns, tuple(rows), tuple(lines))


def read_parts(file: Path, cells: int) -> Iterator[CsvTable]:
    """Yield the rows of a CSV file as tables of about so many cells; raises like read_table."""
    with opened(file, "--data") as raw:
        stream = io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="")
        found = _rows(file, stream)
        line, columns = next(found, (0, ()))
        if not columns:
            raise UserError(str(file), "the file is empty", "give a header and at least one row")
        _check_header(file, line, columns)
        size = max(1, cells // len(columns))
        rows = list(islice(found, size))
        if not rows:
            raise UserError(
                f"{file}:{line}", "there is no row below the header", "add the examples"
            )
        while rows:
            yield _table(file, columns, rows)
            rows = list(islice(found, size))


def _table(
    file: Path, columns: tuple[str, ...], rows: list[tuple[int, tuple[str, ...]]]
) -> CsvTable:
    for line, row in rows:
        if len(row) != len(columns):
            what = f"values in the row: {len(row)}, columns in the header: {len(columns)}"
            raise UserError(f"{file}:{line}", what, "give one value a column")
    return CsvTable(file, columns, tuple(row for _, row in rows), tuple(line for line, _ in rows))


def _rows(file: Path, stream: io.TextIOWrapper) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the rows that are not blank, each with the line on which it ends."""
    lines = _lines(file, stream)
    seen = []
    for line in lines:
        seen.append(line)
        if line.strip():
            break
    separator = _separator(seen[-1]) if seen else SEPARATORS[0]
    reader = csv.reader(chain(seen, lines), delimiter=separator, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, tuple(cell.strip() for cell in row)
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        raise UserError(where, f"this is not CSV: {error}", "check the quotes") from None


def _separator(header: str) -> str:
    """Return what separates the columns of a header: what it has most of outside quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=bare.count)


def _lines(file: Path, stream: io.TextIOWrapper) -> Iterator[str]:
    for number in count(1):
        line = stream.readline(LONGEST)
        if not line:
            return
        if len(line) == LONGEST and line[-1] not in "\r\n":
            what = f"the line has more than {LONGEST} characters"
            raise UserError(f"{file}:{number}", what, "give a text file of one row a line")
        if not line.isascii() and (wrong := UNDECODED.search(line)):
            # A spreadsheet's own encoding, as a rule.
            what = f"the byte 0x{ord(wrong[0]) - 0xDC00:02x} is not UTF-8"
            raise UserError(f"{file}:{number}", what, "save the file as UTF-8")
        yield line


def _check_header(file: Path, line: int, columns: tuple[str, ...]) -> None:
    where = f"{file}:{line}"
    if all(_is_number(name) for name in columns):
        raise UserError(where, "the first row holds numbers, no names", "put a header above it")
    seen = set[str]()
    for place, name in enumerate(columns):
        if not name:
            raise UserError(where, f"column {place + 1} has no name", "name it, or take it out")
        if name in seen:
            raise UserError(where, f"two columns are named {show(name)}", "rename one")
        seen.add(name)


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
