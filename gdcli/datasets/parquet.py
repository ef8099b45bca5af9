"""Examples from a Parquet file, read by pyarrow, of the extra `parquet`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.datasets.room import check_room
from gdcli.datasets.table import Table
from gdcli.errors import MissingData, UserError
from gdcli.fields import show
from gdcli.problem import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


TEXT = ("string", "large_string")


@dataclass(frozen=True)
class ParquetTable(Table):
    """Columns of Arrow's."""

    held: Any  # a pyarrow.Table

    def numbers(self, names: Sequence[str]) -> Array:
        """Return columns as float64 of shape (rows, columns)."""
        import numpy as np

        values = np.empty((self.held.num_rows, len(names)))
        for i, name in enumerate(names):
            values[:, i] = self._numbers(name)
        return values

    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return the values of a column of numbers or text."""
        column = self._whole(name)
        if not str(column.type).startswith("dictionary"):
            return self._numbers(name)
        found: list[str] = []
        for chunk in column.chunks:  # each text once in memory, however many rows have it
            known = [str(value) for value in chunk.dictionary.to_pylist()]
            found += [known[i] for i in chunk.indices.to_pylist()]
        return found

    def _whole(self, name: str) -> Any:
        """Return a column; raises UserError if a value is missing."""
        column = self.held.column(self.place(name))
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            what = f"row {row}, counted from 0, has no value in column {show(name)}"
            raise UserError(str(self.file), what, "fill it in, or take out the row")
        return column

    def _numbers(self, name: str) -> NDArray[np.float64]:
        import numpy as np

        column = self._whole(name)
        try:
            values = np.asarray(column.to_numpy()).astype(np.float64, casting="same_kind")
        except (TypeError, ValueError):
            what = f"column {show(name)} holds {column.type} and no numbers"
            fix = "make them numbers, or take out the column"
            raise UserError(str(self.file), what, fix) from None
        if not (finite := np.isfinite(values)).all():
            row = int(finite.argmin())
            what = f"row {row}, counted from 0, holds {values[row]} in column {show(name)}"
            raise UserError(str(self.file), what, "correct it, or take out the row")
        return values


def read_parquet(file: Path) -> ParquetTable:
    """Return the columns of a Parquet file; raises UserError where pyarrow cannot read it."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        what = f"{show(str(file))} is a Parquet file, which pyarrow reads"
        raise UserError("--data", what, "install gdcli[parquet]") from None
    try:
        text = [f.name for f in parquet.read_schema(file) if str(f.type) in TEXT]
        with parquet.ParquetFile(file, read_dictionary=text) as opened:
            check_room(16 * opened.metadata.num_rows * opened.metadata.num_columns, file)
            held = opened.read()
    except FileNotFoundError:
        what = f"there is no file {show(str(file))}"
        raise MissingData("--data", what, "check the path") from None
    except (OSError, ValueError):  # pyarrow's own errors are kinds of these
        what = "it is no Parquet file, or a damaged one"
        raise UserError(str(file), what, "write it again") from None
    names = tuple(held.column_names)
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise UserError(str(file), f"two columns are named {show(twice)}", "rename one")
    return ParquetTable(file, names, held)
