"""Examples from a Parquet file, read by pyarrow, of the extra `parquet`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gdcli.comma_list import typed
from gdcli.datasets.cells import EXACT, instead, is_missing
from gdcli.datasets.contents import seekable
from gdcli.datasets.notes import note
from gdcli.datasets.room import check_room
from gdcli.datasets.table import FILL, UNNAMED, Table, without
from gdcli.datasets.text_table import tell_words
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


TEXT = ("string", "large_string", "string_view")
FLOATS = ("halffloat", "float", "double")
NUMBERS = (*FLOATS, "int", "uint", "bool", "decimal")


@dataclass(frozen=True)
class ParquetTable(Table):
    """Columns of Arrow's."""

    held: Any  # a pyarrow.Table
    categories: frozenset[str] = frozenset()  # columns of numbers that pandas calls categories

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
        if kind == "bool" or kind.startswith("decimal"):  # of decimals float64 has not all
            return list(map(str, column.to_pylist()))
        if kind.startswith(("int", "uint")):  # as they are: float64 has not all of them
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
        """Return which rows are null, or not a number."""
        import numpy as np

        column = self.held.column(self.place(name))
        absent = column.is_null(nan_is_null=str(column.type) in FLOATS)
        return np.asarray(absent.to_numpy(), bool)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the rows."""
        return replace(self, held=self.held.filter(rows), kept=self.row_numbers()[rows])

    def _as_text(self, column: Any, name: str) -> list[str]:
        """Return dates, times and bytes as text; raises UserError for other kinds."""
        try:
            texts: list[str] = column.cast("string").to_pylist()
        except (TypeError, ValueError, NotImplementedError):  # pyarrow's own are kinds of these
            what = f"column {show(name)} holds {column.type}, and neither text nor numbers"
            raise UserError(str(self.file), what, "save it as text or numbers") from None
        return texts

    def _texts(self, name: str) -> list[str]:
        """Return the texts of a column, each once in memory, however many rows have it."""
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
            what = f"column {show(name)} holds {holds} and no numbers"
            if kind == "null":
                what = f"column {show(name)} has no value in any row"
            fix = instead(name, predicted=predicted, words=text)
            fix = f"give --drop {typed(name)}" if kind == "null" and not predicted else fix
            raise UserError(str(self.file), what, fix)
        if kind == "bool":
            column = column.cast("uint8")
        try:
            plain = column.cast("float64", safe=False).to_numpy()
        except (TypeError, ValueError, NotImplementedError):  # pyarrow's own are kinds of these
            what = f"column {show(name)} holds {kind}, which is not read"
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
    """Say where integers are too large for float64 to keep their last digits."""
    if len(values) and abs(values[values == values]).max(initial=0.0) >= EXACT:  # noqa: PLR0124 -- not nan
        held = (v for v in column.to_pylist() if v is not None and abs(v) >= EXACT)
        lost = (v for v in held if int(float(v)) != int(v))
        if (one := next(lost, None)) is not None:
            what = f"{file}: column {show(name)} holds integers beyond 2^53, such as {one}"
            note(f"{what}, whose last digits float64 does not keep")


def read_parquet(file: Path) -> ParquetTable:
    """Return the columns of a Parquet file; raises UserError where pyarrow cannot read it.

    The index that pandas says there is, is no feature.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        what = f"{show(str(file))} is a Parquet file, which pyarrow reads"
        raise UserError("--data", what, "install gdcli[parquet]") from None
    try:
        with seekable(file, "--data") as stream:
            schema = parquet.read_schema(stream)
            index, categories = _said_by_pandas(schema)
            names = schema.names
            if len({*names}) < len(names):
                twice = next(name for i, name in enumerate(names) if name in names[:i])
                raise UserError(str(file), f"two columns are named {show(twice)}", "rename one")
            text = [f.name for f in schema if str(f.type) in TEXT]  # each once in memory
            with parquet.ParquetFile(stream, read_dictionary=text) as opened:
                check_room(16 * opened.metadata.num_rows * opened.metadata.num_columns, file)
                held = opened.read()
    except (OSError, ValueError, NotImplementedError) as error:  # pyarrow's own are kinds of these
        what = f"pyarrow cannot read it as Parquet: {_first_line(error)}"
        raise UserError(str(file), what, "write it again") from None
    if not held.num_rows:
        raise UserError(str(file), "it holds no row", "add the examples")
    return ParquetTable(file, tuple(held.column_names), held, categories, index=index)


def _first_line(error: Exception) -> str:
    return show(next(iter(str(error).splitlines()), type(error).__name__))


def _said_by_pandas(schema: Any) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the columns in which pandas stored an index, and those of categories."""
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
    except (ValueError, AttributeError, TypeError, KeyError):  # that is no metadata of pandas
        return (), frozenset()
