"""Examples from a Parquet file, read by pyarrow, of the extra `parquet`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gdcli.datasets.cells import EXACT
from gdcli.datasets.contents import seekable
from gdcli.datasets.notes import note
from gdcli.datasets.room import check_room
from gdcli.datasets.table import FILL, Table
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

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.held.num_rows)

    def numbers(self, names: Sequence[str], *, holes: bool = False) -> Array:
        """Return columns as float64 of shape (rows, columns)."""
        import numpy as np

        values = np.empty((len(self), len(names)))
        for i, name in enumerate(names):
            values[:, i] = self._numbers(name, holes=holes)
        return values

    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return the values of a column of numbers or text."""
        import numpy as np

        column = self._whole(name)
        kind = str(column.type)
        if self.is_text(name):
            return self._texts(name)
        if kind.startswith(("int", "uint")):  # as they are: float64 has not all of them
            integers: NDArray[np.generic] = np.asarray(column.to_numpy())
            return integers
        return self._numbers(name)

    def is_text(self, name: str) -> bool:
        """Return whether a column holds text or categories."""
        kind = str(self.held.column(self.place(name)).type)
        return kind.startswith("dictionary") or kind in TEXT

    def missing(self, name: str, *, text: bool = False) -> NDArray[np.bool_]:
        """Return which rows are null, or not a number."""
        import numpy as np

        column = self.held.column(self.place(name))
        absent = column.is_null(nan_is_null=str(column.type) in FLOATS)
        return np.asarray(absent.to_numpy(), bool)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the rows."""
        return replace(self, held=self.held.filter(rows), kept=self.row_numbers()[rows])

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

    def _whole(self, name: str) -> Any:
        """Return a column; raises UserError if a value is missing."""
        column = self.held.column(self.place(name))
        if column.null_count:
            row = self.row_numbers()[column.is_null().to_pylist().index(True)]
            what = f"row {row}, counted from 0, has no value in column {show(name)}"
            raise UserError(str(self.file), what, FILL)
        return column

    def _numbers(self, name: str, *, holes: bool = False) -> NDArray[np.float64]:
        import numpy as np

        column = self.held.column(self.place(name)) if holes else self._whole(name)
        kind = str(column.type)
        if self.is_text(name) or not kind.startswith(NUMBERS):
            what = f"column {show(name)} holds {_said(kind)} and no numbers"
            fix = f"make them numbers, or give --drop {show(name)}"
            if self.is_text(name):
                fix = f"give --categorical {show(name)}, or --drop {show(name)}"
            raise UserError(str(self.file), what, fix)
        if kind == "bool":
            column = column.cast("uint8")
        try:
            plain = column.cast("float64", safe=False).to_numpy()
        except (TypeError, ValueError, NotImplementedError):  # pyarrow's own are kinds of these
            what = f"column {show(name)} holds {kind}, which is not read"
            raise UserError(str(self.file), what, "save it as float64, or drop it") from None
        values: NDArray[np.float64] = np.asarray(plain, np.float64)
        if kind in ("int64", "uint64"):
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
    return "words" if kind in TEXT or kind.startswith("dictionary") else kind


def _tell_lost(column: Any, values: NDArray[np.float64], name: str, file: Path) -> None:
    """Say where integers are too large for float64 to keep their last digits."""
    if len(values) and abs(values[values == values]).max(initial=0.0) >= EXACT:  # noqa: PLR0124 -- not nan
        lost = (v for v in column.to_pylist() if v is not None and int(float(v)) != v)
        if (one := next(lost, None)) is not None:
            what = f"{file}: column {show(name)} holds integers beyond 2^53, such as {one}"
            note(f"{what}, whose last digits float64 does not keep")


def read_parquet(file: Path) -> ParquetTable:
    """Return the columns of a Parquet file; raises UserError where pyarrow cannot read it.

    The index that pandas says there is, is no column.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        what = f"{show(str(file))} is a Parquet file, which pyarrow reads"
        raise UserError("--data", what, "install gdcli[parquet]") from None
    try:
        with seekable(file, "--data") as stream:
            schema = parquet.read_schema(stream)
            index = _index(schema, file)
            names = [name for name in schema.names if name not in index]
            if len({*names}) < len(names):
                twice = next(name for i, name in enumerate(names) if name in names[:i])
                raise UserError(str(file), f"two columns are named {show(twice)}", "rename one")
            text = [f.name for f in schema if str(f.type) in TEXT]  # each once in memory
            with parquet.ParquetFile(stream, read_dictionary=text) as opened:
                check_room(16 * opened.metadata.num_rows * opened.metadata.num_columns, file)
                held = opened.read(columns=names)
    except (OSError, ValueError, NotImplementedError):  # pyarrow's own errors are kinds of these
        what = "it is no Parquet file, or a damaged one"
        raise UserError(str(file), what, "write it again") from None
    return ParquetTable(file, tuple(held.column_names), held)


def _index(schema: Any, file: Path) -> set[str]:
    """Return the columns that pandas stored its index in, and say so."""
    try:
        said = (schema.pandas_metadata or {}).get("index_columns", [])
    except (ValueError, AttributeError, TypeError):  # what stands there is no metadata of pandas
        return set()
    index = {name for name in said if isinstance(name, str) and name in schema.names}
    if index:
        listed = ", ".join(map(show, sorted(index)))
        note(f"{file}: {listed} is the index of a data frame, and no feature")
    return index
