"""The table of a data file beside that of its test part, where the user has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.datasets.formats import read_file
from gdcli.datasets.notes import note
from gdcli.datasets.reading import Reading
from gdcli.datasets.table import Table
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LISTED = 5  # columns that a line names


@dataclass(frozen=True)
class Both:
    """A table, of whose rows some train and some test, or two tables, of which one tests."""

    table: Table
    test: Table | None = None
    said: str = ""  # what there is to say where the test part is used

    def numbers(self, name: str) -> Array:
        """Return a column of one number a row, float64: the training part's, then the test's."""
        import numpy as np

        found = [table.numbers([name], predicted=True) for table in self.tables]
        for table, values in zip(self.tables, found, strict=True):
            if values.shape[1] != 1:
                what = f"{show(name)} of {table.file} has {values.shape[1]} numbers a row"
                raise UserError("--target", what, "name an array of one number a row")
        return np.concatenate(found)[:, 0]

    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return a column's values as they are: the training part's, then the test part's."""
        import numpy as np

        found: list[Any] = [table.labels(name) for table in self.tables]
        if not any(isinstance(values, Sequence) for values in found):
            joined: NDArray[np.generic] = np.concatenate(found)
            # float64 has not all integers of 64 bits, which signed and unsigned ones would become.
            if joined.dtype.kind != "f" or all(v.dtype.kind == "f" for v in found):
                return joined
        return [str(label) for part in found for label in _listed(part)]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the indices of the rows that train, and of those of the test part."""
        import numpy as np

        order = np.arange(sum(map(len, self.tables)))
        return order[: len(self.table)], order[len(self.table) :]

    @property
    def tables(self) -> tuple[Table, ...]:
        """The table, and that of the test part where there is one."""
        return (self.table,) if self.test is None else (self.table, self.test)


def _listed(labels: Any) -> list[Any]:
    return labels if isinstance(labels, list) else list(getattr(labels, "tolist", labels)())


def read_both(file: Path, reading: Reading, text: str | None = None) -> Both:
    """Return the table of a file, and that of --test-data or of the file's own test part.

    Of a file of text the column `text` is kept as it is written. Raises UserError for a file that
    is no table, and for two test parts.
    """
    table = read_file(file, reading, text, reading.test_data)
    if reading.test_data is None:
        return Both(table, table.test, table.said)
    if table.test is not None:
        fix = f"leave it out, or give --drop {','.join(table.test.columns)}"
        raise UserError("--test-data", f"{show(str(file))} has a test part of its own", fix)
    if reading.test_data.resolve() == file.resolve():
        note(f"{file} is --data and --test-data: what is tested is what was trained on")
    return Both(table, read_file(reading.test_data, reading, text, file))


def matched(both: Both, target: str, reading: Reading) -> tuple[Both, list[str]]:
    """Return tables of which both have the target and the features, and the names of these."""
    names = features_of(both.table, target, reading)
    if both.test is None:
        return both, names
    table, test = both.table.beside(both.test)
    features_of(test, target, reading, names)
    return Both(table, test, both.said), names


def features_of(
    table: Table, target: str, reading: Reading, train: Sequence[str] | None = None
) -> list[str]:
    """Return the names of the features; of a test part those that the training part has.

    Says what else the test part has; raises UserError for what it lacks.
    """
    if train is None:
        return table.others(target, reading.dropped)
    for name in (target, *train):
        table.place(name, "--test-data")
    there = [name for name in reading.dropped if name in table.columns]
    more = [name for name in table.others(target, there) if name not in train]
    if more:
        listed = ", ".join(map(show, more[:LISTED])) + (", ..." if len(more) > LISTED else "")
        note(f"{table.file}: not used, as there is no such feature in --data: {listed}")
    return [*train]
