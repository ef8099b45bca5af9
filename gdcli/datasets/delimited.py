"""Examples from a CSV file: a header, one row an example, gzip by the suffix .gz."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gdcli.datasets.contents import read_contents
from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.problem import Array

MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none"}


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file, as text."""

    file: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]  # the line of the file on which each row ends

    def labels(self, name: str) -> list[str]:
        """Return the cells of a column; raises UserError for one that is missing."""
        place = self._place(name)
        for row, line in zip(self.rows, self.lines, strict=True):
            if row[place].lower() in MISSING:
                raise self._missing(row[place], line, name)
        return [row[place] for row in self.rows]

    def numbers(self, names: Sequence[str]) -> Array:
        """Return columns as float64 of shape (rows, columns).

        Raises UserError, naming the line and the column, for a cell that is no finite number.
        """
        import numpy as np

        places = [self._place(name) for name in names]
        try:
            values = np.array([[float(row[place]) for place in places] for row in self.rows])
        except ValueError:
            values = np.array(math.nan)
        if not np.isfinite(values).all():
            raise self._first_wrong(names)
        return values

    def _place(self, name: str) -> int:
        if name not in self.columns:
            hint = suggestion(name, self.columns) or "its columns are " + ", ".join(self.columns)
            raise UserError("--target", f"{self.file} has no column {show(name)}", hint)
        return self.columns.index(name)

    def _first_wrong(self, names: Sequence[str]) -> UserError:
        return next(
            error
            for row, line in zip(self.rows, self.lines, strict=True)
            for name in names
            if (error := self._wrong(row[self.columns.index(name)], line, name))
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


def read_table(file: Path) -> Table:
    """Return the cells of a CSV file, without the spaces around them; blank lines are skipped.

    Raises UserError, naming the line, for a file that cannot be read, is empty, or is not a
    table under one row of column names.
    """
    found = list(_rows(file))
    if not found:
        raise UserError(str(file), "the file is empty", "give a header and at least one row")
    (line, columns), *rows = found
    _check_header(file, line, columns)
    if not rows:
        raise UserError(f"{file}:{line}", "there is no row below the header", "add the examples")
    for line, row in rows:
        if len(row) != len(columns):
            what = f"values in the row: {len(row)}, columns in the header: {len(columns)}"
            raise UserError(f"{file}:{line}", what, "give one value a column")
    return Table(file, columns, tuple(row for _, row in rows), tuple(line for line, _ in rows))


def _rows(file: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the rows that are not blank, each with the line on which it ends."""
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, tuple(cell.strip() for cell in row)
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        raise UserError(where, f"this is not CSV: {error}", "check the quotes") from None


def _text(file: Path) -> str:
    raw = read_contents(file, "--data")
    try:
        return raw.decode("utf-8-sig")  # spreadsheets put a byte order mark first
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        what = f"the byte 0x{raw[error.start]:02x} is not UTF-8"
        raise UserError(f"{file}:{line}", what, "save the file as UTF-8") from None


def _check_header(file: Path, line: int, columns: tuple[str, ...]) -> None:
    where = f"{file}:{line}"
    if all(_is_number(name) for name in columns):
        raise UserError(where, "the first row holds numbers, no names", "put a header above it")
    for place, name in enumerate(columns):
        if not name:
            raise UserError(where, f"column {place + 1} has no name", "name it, or take it out")
        if name in columns[:place]:
            raise UserError(where, f"two columns are named {show(name)}", "rename one")


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
