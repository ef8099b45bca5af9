"""Examples from a workbook of Excel's (.xlsx), read by openpyxl, of the extra `excel`.

Its first sheet that holds something is read, as a file of text would be: a row of names, and below
it a row an example. Of a formula the value that Excel last computed is taken.
"""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from typing import Any

from gdcli.datasets.cells import Style
from gdcli.datasets.contents import check_ratio, seekable
from gdcli.datasets.delimited import CELL, named
from gdcli.datasets.dialect import check_names
from gdcli.datasets.notes import note
from gdcli.datasets.reading import Reading
from gdcli.datasets.room import check_room
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
            rows = _rows(book, file, reading.skip_rows)
        except UserError:
            raise
        except Exception:  # noqa: BLE001 -- of a damaged workbook openpyxl raises whatever it meets
            what = "it begins as a workbook of Excel's, but openpyxl cannot read it"
            raise UserError(str(file), what, "save it as CSV") from None
    if not rows:
        raise UserError(str(file), "the workbook is empty", "give a header and at least one row")
    width = max(len(row) for _, row in rows)
    wide = [(line, row + ("",) * (width - len(row))) for line, row in rows]
    style = Style(reading.decimal or ".", reading.thousands)
    (first, names), below = wide[0], wide[1:]
    if reading.header is None:
        check_names([row for _, row in wide[:LOOK]], style, f"{file}:{first}")
    columns: tuple[str, ...] = tuple(map(str, range(width)))
    index: tuple[str, ...] = ()
    if reading.header is False:
        below = wide
    else:
        columns, index = named(names, f"{file}:{first}", reading)
    if not below:
        raise UserError(f"{file}:{first}", "there is no row below the header", "add the examples")
    cells, lines = tuple(row for _, row in below), tuple(line for line, _ in below)
    return TextTable(file, columns, style, cells, lines, index, counted="sheet_row")


def _rows(book: Any, file: Path, skipped: int) -> list[tuple[int, tuple[str, ...]]]:
    """Return the rows that hold something, without empty cells at their end, and their numbers."""
    for number, sheet in enumerate(book.worksheets):
        rows: list[tuple[int, tuple[str, ...]]] = []
        held = 0
        for line, row in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = [_text(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells and line > skipped:
                rows.append((line, tuple(cells)))
                held += len(cells)
            if line % LOOK == 0:
                check_room(CELL * held, file)
        if rows:
            if len(book.worksheets) > 1 or number:
                note(f"{file} is read so: of its sheets, {show(sheet.title)}")
            return rows
    return []


def _text(value: object) -> str:
    """Return what a cell holds as text."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.0f}"  # as Excel shows it, which knows no integers
    return str(value).strip()
