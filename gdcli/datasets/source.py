"""Where the examples come from: a named set, or a column and the rest of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Lt

from gdcli.datasets.both import read_both
from gdcli.datasets.classes import Classes
from gdcli.datasets.features import classified, measured
from gdcli.datasets.formats import own_target
from gdcli.datasets.named import class_names, read_named
from gdcli.datasets.reading import TEST_FRACTION, Reading
from gdcli.datasets.split import Scale
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array


@dataclass(frozen=True)
class Source(Reading):
    """The options of a problem that learns from tabular data, and the reading of it."""

    dataset: Annotated[str, "named data set"]
    data: Annotated[
        Path | None,
        "file of examples, instead of --dataset: CSV, .npy, .npz, .svm, .parquet, .xlsx or IDX",
    ] = None
    target: Annotated[
        str | None, "column of --data to predict from the others: a name, of .npy a number from 0"
    ] = None
    scale: Annotated[Scale, "scaling of the features, by the training part"] = "standard"
    test_fraction: Annotated[float, "part of the examples held out", Ge(0), Lt(1)] = TEST_FRACTION

    def __post_init__(self) -> None:
        """Raise UserError where one of --data and --target lacks the other."""
        if self.data is not None and self.predicted is None:
            what = f"the column of {show(str(self.data))} to predict is not named"
            raise UserError("--data", what, "add --target COLUMN")
        if self.target is not None and self.data is None:
            what = f"there is no file to find the column {show(self.target)} in"
            raise UserError("--target", what, "add --data FILE.csv")
        self.check_reading(self.data, self.test_fraction)

    @property
    def predicted(self) -> str | None:
        """The column that is predicted: --target, unless the file's format has one of its own."""
        return self.target or (own_target(self.data, self) if self.data else None)

    def measured(self) -> tuple[Array, Array]:
        """Return the features, a matrix, Columns or Apart, and the measurement, (examples,)."""
        if self.data is None or self.predicted is None:
            return read_named(self.dataset)
        return measured(read_both(self.data, self), self.predicted, self)

    def classified(self) -> tuple[Array, Classes]:
        """Return the features, a matrix, Columns or Apart, and the classes."""
        if self.data is None or self.predicted is None:
            x, y = read_named(self.dataset)
            places = y.astype("int64")
            own = tuple(map(str, range(1 + places.max())))
            return x, Classes(places, class_names(self.dataset) or own)
        return classified(read_both(self.data, self, self.predicted), self.predicted, self)
