"""Examples from files whose cells have types: Parquet (extra `parquet`), Excel (extra `excel`).

Of a workbook the first visible sheet with a table is read, or else the first hidden one, like a
text file: a row of names, and below it a row for each example, including hidden rows. A formula has
the value that Excel last computed.
"""

from __future__ import annotations

import importlib
import zipfile
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Self

from gdcli.datasets.cells import EXACT, Style, instead, is_missing, note
from gdcli.datasets.contents import check_ratio, check_room, seekable
from gdcli.datasets.delimited import CELL, named
from gdcli.datasets.dialect import check_names
from gdcli.datasets.tables import FILL, UNNAMED, Table, TextTable, tell_words, without
from gdcli.errors import UserError
from gdcli.fields import show, typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.reading import Reading
    from gdcli.problem import Array

TEXT = ("string", "large_string", "string_view")
FLOATS = ("halffloat", "float", "double")
NUMBERS = (*FLOATS, "int", "uint", "bool", "decimal")


@dataclass(frozen=True)
class ParquetTable(Table):
    """The columns of an Arrow table."""

    held: Any  # a pyarrow.Table
    categories: frozenset[str] = frozenset()  # columns of numbers that pandas stored as categories

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.held.num_rows)

    def numbers(
        self, names: Sequence[str], *, holes: bool = False, predicted: bool = False
    ) -> Array:
        """Return columns as float64 of shape (rows, columns)."""
        import numpy as np

        values = np.empty((len(self), len(names)))
        for i, name in enumerate(names):
            values[:, i] = self._numbers(name, holes=holes, predicted=predicted)
        return values

    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return the values of a column of numbers or text."""
        import numpy as np

        column = self._whole(name)
        kind = str(column.type)
        if kind.startswith("dictionary") or kind in TEXT:
            texts = self._texts(name)
            tell_words({text for text in set(texts) if is_missing(text)}, self.file, name)
            return texts
        if kind == "bool" or kind.startswith("decimal"):  # decimals may not fit float64
            return list(map(str, column.to_pylist()))
        if kind.startswith(("int", "uint")):  # unchanged: they may not fit float64
            integers: NDArray[np.generic] = np.asarray(column.to_numpy())
            return integers
        if not kind.startswith(NUMBERS):
            return self._as_text(column, name)
        values = self._numbers(name, predicted=True)
        return values.astype(np.float32) if kind == "float" else values

    def is_text(self, name: str) -> bool:
        """Return whether a column holds text or categories."""
        kind = str(self.held.column(self.place(name)).type)
        return kind.startswith("dictionary") or kind in TEXT or name in self.categories

    def missing(self, name: str, *, text: bool = False) -> NDArray[np.bool_]:
        """Return a mask of the rows that are null or nan."""
        import numpy as np

        column = self.held.column(self.place(name))
        absent = column.is_null(nan_is_null=str(column.type) in FLOATS)
        return np.asarray(absent.to_numpy(), bool)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the rows."""
        return replace(self, held=self.held.filter(rows), kept=self.row_numbers()[rows])

    def _as_text(self, column: Any, name: str) -> list[str]:
        """Return dates, times and bytes as text; raises UserError for other types."""
        try:
            texts: list[str] = column.cast("string").to_pylist()
        except (
            TypeError,
            ValueError,
            NotImplementedError,
        ):  # pyarrow's errors are subclasses of these
            what = f"column {show(name)} holds {column.type}, not text or numbers"
            raise UserError(str(self.file), what, "save it as text or numbers") from None
        return texts

    def _texts(self, name: str) -> list[str]:
        """Return the texts of a column; equal texts share memory."""
        column = self._whole(name)
        if str(column.type) in TEXT:
            column = column.dictionary_encode()
        found: list[str] = []
        for chunk in column.chunks:
            known = [str(value) for value in chunk.dictionary.to_pylist()]
            found += [known[i] for i in chunk.indices.to_pylist()]
        return found

    def _whole(self, name: str, *, feature: bool = False) -> Any:
        """Return a column; raises UserError if a value is missing."""
        column = self.held.column(self.place(name))
        if column.null_count:
            row = self.row_numbers()[column.is_null().to_pylist().index(True)]
            what = f"row {row}, counted from 0, has no value in column {show(name)}"
            empty = feature and column.null_count == len(column)
            raise UserError(str(self.file), what, without(name) if empty else FILL)
        return column

    def _numbers(
        self, name: str, *, holes: bool = False, predicted: bool = False
    ) -> NDArray[np.float64]:
        import numpy as np

        column = (
            self.held.column(self.place(name))
            if holes
            else self._whole(name, feature=not predicted)
        )
        kind = str(column.type)
        text = self.is_text(name) and not (predicted and name in self.categories)
        if text or not kind.startswith(NUMBERS):
            holds = "categories" if name in self.categories else _said(kind)
            what = f"column {show(name)} holds {holds}, not numbers"
            if kind == "null":
                what = f"column {show(name)} has no value in any row"
            fix = instead(name, predicted=predicted, words=text)
            fix = f"give --drop {typed(name)}" if kind == "null" and not predicted else fix
            raise UserError(str(self.file), what, fix)
        if kind == "bool":
            column = column.cast("uint8")
        try:
            plain = column.cast("float64", safe=False).to_numpy()
        except (
            TypeError,
            ValueError,
            NotImplementedError,
        ):  # pyarrow's errors are subclasses of these
            what = f"column {show(name)} holds {kind}, which gdcli does not read"
            raise UserError(str(self.file), what, "save it as float64, or drop it") from None
        values: NDArray[np.float64] = np.asarray(plain, np.float64)
        if kind in ("int64", "uint64") or kind.startswith("decimal"):
            _tell_lost(column, values, name, self.file)
        fine = np.isfinite(values) | (np.isnan(values) if holes else False)
        if not fine.all():
            row = int(fine.argmin())
            place = self.row_numbers()[row]
            what = f"row {place}, counted from 0, holds {values[row]} in column {show(name)}"
            fix = FILL if np.isnan(values[row]) else "correct it, or take out the row"
            raise UserError(str(self.file), what, fix)
        return values


def _said(kind: str) -> str:
    return "text" if kind in TEXT or kind.startswith("dictionary") else kind


def _tell_lost(column: Any, values: NDArray[np.float64], name: str, file: Path) -> None:
    """Note integers that are too large for the precision of float64."""
    if len(values) and abs(values[values == values]).max(initial=0.0) >= EXACT:  # noqa: PLR0124 -- not nan
        held = (v for v in column.to_pylist() if v is not None and abs(v) >= EXACT)
        lost = (v for v in held if int(float(v)) != int(v))
        if (one := next(lost, None)) is not None:
            what = f"{file}: column {show(name)} holds integers beyond 2^53, such as {one}"
            note(f"{what}, which float64 rounds")


def read_parquet(file: Path) -> ParquetTable:
    """Return the columns of a Parquet file; raises UserError if pyarrow cannot read it.

    An index that pandas stored is not a feature.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        what = f"{show(str(file))} is a Parquet file, and pyarrow is not installed"
        raise UserError("--data", what, "install gdcli[parquet]") from None
    try:
        with seekable(file, "--data") as stream:
            schema = parquet.read_schema(stream)
            index, categories = _said_by_pandas(schema)
            names = schema.names
            if len({*names}) < len(names):
                twice = next(name for i, name in enumerate(names) if name in names[:i])
                raise UserError(str(file), f"two columns are named {show(twice)}", "rename one")
            text = [f.name for f in schema if str(f.type) in TEXT]  # equal texts share memory
            with parquet.ParquetFile(stream, read_dictionary=text) as opened:
                check_room(16 * opened.metadata.num_rows * opened.metadata.num_columns, file)
                held = opened.read()
    except (
        OSError,
        ValueError,
        NotImplementedError,
    ) as error:  # pyarrow's errors are subclasses of these
        what = f"pyarrow cannot read it as Parquet: {_first_line(error)}"
        raise UserError(str(file), what, "write it again") from None
    if not held.num_rows:
        raise UserError(str(file), "it holds no row", "add the examples")
    return ParquetTable(file, tuple(held.column_names), held, categories, index=index)


def _first_line(error: Exception) -> str:
    return show(next(iter(str(error).splitlines()), type(error).__name__))


def _said_by_pandas(schema: Any) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the columns in which pandas stored an index, and those with categories."""
    try:
        said = schema.pandas_metadata or {}
        index = [name for name in said.get("index_columns", []) if isinstance(name, str)]
        categories = [
            column["field_name"]
            for column in said.get("columns", [])
            if column["pandas_type"] == "categorical"
        ]
        stored = {*schema.names}
        unnamed = takewhile(UNNAMED.fullmatch, (n for n in schema.names if n not in index))
        first = tuple(unnamed) if len(stored) > 2 else ()
        return tuple(n for n in index if n in stored) + first, frozenset(categories)
    except (ValueError, AttributeError, TypeError, KeyError):  # not the metadata of pandas
        return (), frozenset()


LOOK = 2**10  # rows after which the free memory is checked again


def read_workbook(file: Path, reading: Reading) -> TextTable:
    """Return the cells of a workbook; raises UserError if openpyxl cannot read it."""
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError:
        what = f"{show(str(file))} is an Excel workbook, and openpyxl is not installed"
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
        except Exception:  # noqa: BLE001 -- openpyxl raises any exception for a damaged workbook
            what = "it begins like an Excel workbook, but openpyxl cannot read it"
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
        """Return a list of the columns, or a suggestion for a mistyped one."""
        listed = Table.listed(self, name)
        listed += "; --no-header numbers them" if name.isdecimal() else ""
        return f"{listed}; to read another sheet, move it to the first place"


def _squared(rows: list[tuple[int, tuple[str, ...]]]) -> list[tuple[int, tuple[str, ...]]]:
    """Return rows of equal width, without empty columns at the start."""
    width = max(len(row) for _, row in rows)
    first = min(next(i for i, cell in enumerate(row) if cell) for _, row in rows)
    return [(line, (row + ("",) * (width - len(row)))[first:]) for line, row in rows]


def _rows(book: Any, file: Path, reading: Reading) -> tuple[str, list[tuple[int, tuple[str, ...]]]]:
    """Return the name of the sheet to read, and its non-empty rows.

    Each row has its number in the sheet, and no empty cells at its end.
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
        note(f"{file} is read as follows: its sheet {show(best[0])}")
    return best


def _check_formulas(sheet: Any, rows: Mapping[int, tuple[str, ...]], file: Path) -> None:
    """Raise UserError for a formula without a stored value."""
    for line, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        known = rows.get(line, ())
        for place, value in enumerate(row):
            absent = line in rows and not (place < len(known) and known[place])
            if absent and isinstance(value, str) and value.startswith("="):
                what = f"{show(value)} in cell {place + 1} is a formula without a value"
                fix = "open the file in a spreadsheet and save it, or save it as CSV"
                raise UserError(f"{file}:{line}", what, fix)


def _text(value: object, decimal: str) -> str:
    """Return the content of a cell as text; a number gets the decimal sign of the text cells."""
    if value is None:
        return ""
    if isinstance(value, float):
        # Whole numbers as Excel shows them; Excel stores every number as a float.
        whole = value.is_integer() and abs(value) < 1e15
        return (f"{value:.0f}" if whole else repr(value)).replace(".", decimal)
    text = str(value)
    return text if text.strip() else ""
