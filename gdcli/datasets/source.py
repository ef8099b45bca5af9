"""Where the examples come from: a named set, or a column and the rest of a CSV file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Lt

from gdcli.datasets.classes import number_classes
from gdcli.datasets.delimited import Table, read_table
from gdcli.datasets.named import read_named
from gdcli.datasets.split import Scale
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array


@dataclass(frozen=True)
class Source:
    """The options of a problem that learns from tabular data, and the reading of it."""

    dataset: Annotated[str, "named data set"]
    data: Annotated[Path | None, "CSV file with a header, instead of --dataset"] = None
    target: Annotated[str | None, "column of --data to predict from the others"] = None
    scale: Annotated[Scale, "scaling of the features, by the training part"] = "standard"
    test_fraction: Annotated[float, "part of the examples held out", Ge(0), Lt(1)] = 0.2

    def __post_init__(self) -> None:
        """Raise UserError where one of --data and --target lacks the other."""
        if self.data is not None and self.target is None:
            what = f"the column of {show(str(self.data))} to predict is not named"
            raise UserError("--data", what, "add --target COLUMN")
        if self.target is not None and self.data is None:
            what = f"there is no file to find the column {show(self.target)} in"
            raise UserError("--target", what, "add --data FILE.csv")

    def measured(self) -> tuple[Array, Array]:
        """Return the features, (examples, features), and the measurement, (examples,)."""
        if self.data is None or self.target is None:
            return read_named(self.dataset)
        table = read_table(self.data)
        y = table.numbers([self.target])[:, 0]
        return _features(table, self.target), y

    def classified(self) -> tuple[Array, Array]:
        """Return the features, (examples, features), and the classes, (examples,) int64."""
        if self.data is None or self.target is None:
            x, y = read_named(self.dataset)
            return x, y.astype("int64")
        table = read_table(self.data)
        classes = number_classes(table.labels(self.target), self.target)
        return _features(table, self.target), classes


def _features(table: Table, target: str) -> Array:
    names = [name for name in table.columns if name != target]
    if not names:
        what = f"{table.file} has no column besides {show(target)}"
        raise UserError("--data", what, "give a file with columns to predict it from")
    return table.numbers(names)
