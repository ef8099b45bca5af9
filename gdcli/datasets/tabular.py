"""Problems that learn from a table: their options, and what is predicted, numbers or classes.

The examples are a named set or a file with a target column. They stay on disk if the file is larger
than the memory limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from annotated_types import Ge, Lt

from gdcli.datasets.cells import Classes
from gdcli.datasets.reading import (
    TEST_FRACTION,
    Reading,
    in_parts,
    own_target,
)
from gdcli.datasets.split import FeatureScale, Stratified, prepare
from gdcli.errors import UserError
from gdcli.fields import LATER, show
from gdcli.problem import Array, Data, OfClasses

if TYPE_CHECKING:
    import numpy as np

    from gdcli.datasets.features import WholeFile
    from gdcli.datasets.matrices import FileInParts


# Names of the classes, by class number.
CLASSES = {
    "breast-cancer": ("malignant", "benign"),
    "iris": ("setosa", "versicolor", "virginica"),
    "fashion-mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "cifar10": (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
}


def class_names(name: str) -> tuple[str, ...]:
    """Return the names of a set's classes; empty if the numbers are the names."""
    return CLASSES.get(name, ())


def read_named(name: str) -> tuple[Array, Array]:
    """Return a set's raw features, (examples, features), and target, (examples,), float64.

    The last column of `<name>.csv.gz` is the target: a measurement, or a class counted from 0.
    """
    import numpy as np

    table = np.loadtxt(Path(__file__).parent / f"{name}.csv.gz", delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1]


@dataclass(frozen=True)
class Source(Reading):
    """The options of a problem with tabular data, and the reading of the data."""

    dataset: Annotated[str, "data set to train on"]
    data: Annotated[
        Path | None,
        "file of examples to use instead of --dataset: CSV, .npy, .npz, .svm, .mtx, .parquet, "
        ".xlsx or IDX",
    ] = None
    target: Annotated[
        str | None,
        "column of --data to predict from the others: its name, or in a .npy file its number, "
        "from 0",
    ] = None
    scale: FeatureScale = "standard"
    test_fraction: Annotated[
        float, "share of the examples that is held out for testing", Ge(0), Lt(1)
    ] = TEST_FRACTION

    def __post_init__(self) -> None:
        """Raise UserError if only one of --data and --target is given."""
        if self.data is not None and self.predicted is None:
            what = f"the target column of {show(str(self.data))} is not given"
            raise UserError("--data", what, "add --target COLUMN")
        if self.target is not None and self.data is None:
            what = f"there is no file with the column {show(self.target)}"
            raise UserError("--target", what, "add --data FILE.csv")
        self.check_reading(self.data, self.test_fraction)

    @property
    def predicted(self) -> str | None:
        """The target column: --target, or the one that the file's format defines."""
        return self.target or (own_target(self.data, self) if self.data else None)

    def measured(self) -> tuple[Array, Array]:
        """Return the features (matrix, Columns or Apart) and the target numbers, (examples,)."""
        if self.data is None or self.predicted is None:
            return read_named(self.dataset)
        return self._file().measured()

    def classified(self) -> tuple[Array, Classes]:
        """Return the features (matrix, Columns or Apart) and the classes."""
        if self.data is None or self.predicted is None:
            x, y = read_named(self.dataset)
            places = y.astype("int64")
            own = tuple(map(str, range(1 + places.max())))
            return x, Classes(places, class_names(self.dataset) or own)
        return self._file().classified()

    def _file(self, *, parts: bool = False) -> FileInParts | WholeFile:
        """Return the reader of the file, which the named sets do without."""
        from gdcli.datasets.matrices import file_of  # noqa: PLC0415 -- many problems read none

        return file_of(cast("Path", self.data), str(self.predicted), self, parts=parts)


@dataclass(frozen=True)
class Streamable(Source):
    """The options of a linear model, which can read a file in parts."""

    stream: Annotated[
        bool | None,
        LATER,
        "read --data in parts (default: only if it is larger than --memory)",
    ] = None

    def __post_init__(self) -> None:
        """Raise UserError for --stream if the file cannot be read in parts."""
        super().__post_init__()
        if self.stream and not self.streams:
            given = (
                f"{show(str(self.data))} cannot be read in parts"
                if self.data
                else "there is no --data"
            )
            fix = "give a .npy or CSV file, or leave it out"
            if self.data and self.learnt:
                given, fix = (
                    "--stream cannot compute means or categories of the whole file",
                    "leave it out",
                )
            elif self.data and self.test_data and in_parts(self.data, self):
                given = f"{show(str(self.test_data))} of --test-data cannot be read in parts"
            raise UserError("--stream", given, fix)

    @property
    def streams(self) -> bool:
        """Whether the file can be read in parts."""
        files = [file for file in (self.data, self.test_data) if file is not None]
        return bool(files) and not self.learnt and all(in_parts(file, self) for file in files)

    @property
    def learnt(self) -> bool:
        """Whether the features need statistics of the whole training part."""
        return self.categorical is not None or self.missing == "mean"

    def whole(self) -> int:
        """Return roughly the bytes for the whole file; 0 if it cannot be read in parts."""
        return self._file(parts=True).whole() if self.streams else 0

    def measured(self) -> tuple[Array, Array]:
        """Return the features, which may stay on disk, and the numbers to predict, (examples,)."""
        return self._file(parts=True).measured() if self.stream else super().measured()

    def classified(self) -> tuple[Array, Classes]:
        """Return the features, which may stay on disk, and the classes."""
        return self._file(parts=True).classified() if self.stream else super().classified()


@dataclass(frozen=True)
class Measured(Streamable):
    """The options of a problem that predicts a number, and the reading of its examples."""

    dataset: Annotated[Literal["diabetes", "synthetic"], "data set to train on"] = "diabetes"
    examples: Annotated[int, "examples of the synthetic data set", Ge(1)] = 1000
    features: Annotated[int, "features of the synthetic data set", Ge(1)] = 10
    noise: Annotated[float, "standard deviation of the noise of the synthetic targets", Ge(0)] = 0.1

    def load_measurements(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and unscaled targets, (examples, 1)."""
        drawn = self.dataset == "synthetic" and self.data is None
        x, y = self._draw(rng) if drawn else self.measured()
        return prepare(x, y[:, None], self.test_fraction, self.scale, rng)

    def _draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        x = rng.standard_normal((self.examples, self.features))
        weight = rng.standard_normal(self.features)
        return x, x @ weight + self.noise * rng.standard_normal(self.examples)


@dataclass(frozen=True)
class TwoClasses(Streamable, Stratified, OfClasses):
    """The options of a problem with two classes, and the reading of its examples.

    In breast-cancer class 0 is malignant. In a file the larger value is class 1.
    """

    dataset: Annotated[Literal["breast-cancer"], "data set to train on"] = "breast-cancer"

    def __post_init__(self) -> None:
        """Raise UserError for options that exclude each other."""
        super().__post_init__()
        self.check_stratified(None, self.test_fraction)

    def load_classes(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and targets 0 or 1, (examples, 1)."""
        x, classes = self.classified()
        if (count := len(classes.names)) > 2:
            first = ", ".join(map(show, classes.names[:3]))
            which = f"{first}{', ...' if count > 3 else ''}"
            what = f"column {show(self.predicted)} has {count} different values, not two: {which}"
            fix = "choose another, or run softmax-regression"
            if self.test_data is not None:
                what = f"--data and --test-data have {count} classes together, not two: {which}"
                fix = f"write them alike in both, {fix}"
            raise UserError("--target", what, fix)
        y = classes.places[:, None].astype(float)
        return self.split(x, y, classes, (self.test_fraction, self.scale), rng)
