"""Examples from a workbook of Excel's (.xlsx), read by openpyxl, of the extra `excel`.

Its first sheet that holds a table is read, sooner than one that is hidden, as a file of text would
be: a row of names, and below it a row an example, with those that are hidden. Of a formula the
value that Excel last computed is taken.
"""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdcli.datasets.cells import Style
from gdcli.datasets.contents import check_ratio, seekable
from gdcli.datasets.delimited import CELL, named
from gdcli.datasets.dialect import check_names
from gdcli.datasets.notes import note
from gdcli.datasets.reading import Reading
from gdcli.datasets.room import check_room
from gdcli.datasets.table import Table
from gdcli.datasets.text_table import TextTable
from gdcli.errors import UserError
from gdcli.fields import show

LOOK = 2**10  # rows after which the room is looked at again


def read_workbook(file: Path, reading: Reading) -> TextTable:
    """Return the cells of a workbook; raises UserError where openpyxl cannot read it."""
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError:
        what = f"{show(str(file))} is a workbook of Excel's, which openpyxl reads"
        raise UserError("--data", what, "install gdcli[excel], or save it as CSV") from None
    with seekable(file, "--data") as stream:
        size = stream.seek(0, 2)
        try:
            with zipfile.ZipFile(stream) as archive:
                unpacked = sum(info.file_size for info in archive.infolist())
            check_ratio(unpacked, size, file)
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            sheet, rows = _rows(book, file, reading)
            if rows and any("" in row for _, row in _squared(rows)):
                formulas = openpyxl.load_workbook(stream, read_only=True)
                _check_formulas(formulas[sheet], dict(rows), file)
        except UserError:
            raise
        except Exception:  # noqa: BLE001 -- of a damaged workbook openpyxl raises whatever it meets
            what = "it begins as a workbook of Excel's, but openpyxl cannot read it"
            raise UserError(str(file), what, "save it as CSV") from None
    if not rows:
        what, fix = "the workbook is empty", "give a header and at least one row"
        if reading.skip_rows:
            what, fix = "no row is left", "give a smaller --skip-rows"
        raise UserError(str(file), what, fix)
    wide = _squared(rows)
    style = Style(reading.decimal or ".", reading.thousands)
    (first, names), below = wide[0], wide[1:]
    if reading.header is None:
        stripped = [list(map(str.strip, row)) for _, row in wide[:LOOK]]
        check_names(stripped, style, f"{file}:{first}")
    columns: tuple[str, ...] = tuple(map(str, range(len(names))))
    index: tuple[str, ...] = ()
    if reading.header is False:
        below = wide
    else:
        columns, index = named(tuple(map(str.strip, names)), f"{file}:{first}", reading)
    if not below:
        raise UserError(f"{file}:{first}", "there is no row below the header", "add the examples")
    cells, lines = tuple(row for _, row in below), tuple(line for line, _ in below)
    return SheetTable(file, columns, style, cells, lines, "sheet_row", index=index)


class SheetTable(TextTable):
    """The cells of a sheet."""

    def listed(self, name: str) -> str:
        """Return which columns there are, or the one that was meant."""
        listed = Table.listed(self, name)
        listed += "; --no-header numbers them" if name.isdecimal() else ""
        return f"{listed}; another sheet is read where it is the first"


def _squared(rows: list[tuple[int, tuple[str, ...]]]) -> list[tuple[int, tuple[str, ...]]]:
    """Return rows of equal width, without the columns at their start that hold nothing."""
    width = max(len(row) for _, row in rows)
    first = min(next(i for i, cell in enumerate(row) if cell) for _, row in rows)
    return [(line, (row + ("",) * (width - len(row)))[first:]) for line, row in rows]


def _rows(book: Any, file: Path, reading: Reading) -> tuple[str, list[tuple[int, tuple[str, ...]]]]:
    """Return the name of the sheet that is read, and its rows that hold something.

    A row has its number in the sheet, and no empty cells at its end.
    """
    decimal = reading.decimal or "."
    best: tuple[str, list[tuple[int, tuple[str, ...]]]] = "", []
    for sheet in sorted(book.worksheets, key=lambda sheet: sheet.sheet_state != "visible"):
        rows: list[tuple[int, tuple[str, ...]]] = []
        held = 0
        for line, row in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = [_text(value, decimal) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells and line > reading.skip_rows:
                rows.append((line, tuple(cells)))
                held += len(cells)
            if line % LOOK == 0:
                check_room(CELL * held, file)
        is_table = len(rows) > 1 and max(len(row) for _, row in rows) > 1
        if is_table or not best[1]:
            best = sheet.title, rows
        if is_table:
            break
    if len(book.worksheets) > 1 and best[1]:
        note(f"{file} is read so: of its sheets, {show(best[0])}")
    return best


def _check_formulas(sheet: Any, rows: Mapping[int, tuple[str, ...]], file: Path) -> None:
    """Raise UserError for a formula of which the file does not hold the value."""
    for line, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        known = rows.get(line, ())
        for place, value in enumerate(row):
            absent = line in rows and not (place < len(known) and known[place])
            if absent and isinstance(value, str) and value.startswith("="):
                what = f"{show(value)} in cell {place + 1} is a formula without a value"
                fix = "open the file in a spreadsheet and save it, or save it as CSV"
                raise UserError(f"{file}:{line}", what, fix)


def _text(value: object, decimal: str) -> str:
    """Return what a cell holds as text; of a number with the decimal sign that texts have."""
    if value is None:
        return ""
    if isinstance(value, float):
        # Whole numbers as Excel shows them, which knows no integers.
        whole = value.is_integer() and abs(value) < 1e15
        return (f"{value:.0f}" if whole else repr(value)).replace(".", decimal)
    text = str(value)
    return text if text.strip() else ""
