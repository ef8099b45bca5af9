"""The source of tabular examples: a named set, or a file with a target column.

Decides whether examples stay on disk: if the file is larger than the memory limit.

Examples with a number to predict: a named set, a synthetic set, or a file.

Examples with two classes: a named set, or a file.

Examples with classes, from a named table, a named set of images, or a file.

How a user knows the training examples: rows in the file, names of classes and features.
"""

from __future__ import annotations

import gzip
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from annotated_types import Ge, Lt

from gdcli.datasets.bundled import class_names, read_named
from gdcli.datasets.cells import Classes, Style, is_name, number_classes
from gdcli.datasets.contents import opened
from gdcli.datasets.delimited import CELLS, read_parts
from gdcli.datasets.features import classified, feature_names, measured, used_rows
from gdcli.datasets.images import SETS, read_images
from gdcli.datasets.matrices import matrix_classified, matrix_measured
from gdcli.datasets.npy import read_header
from gdcli.datasets.reading import (
    NPY,
    TEST_FRACTION,
    Reading,
    guessed,
    in_parts,
    own_target,
    read_both,
    read_file,
)
from gdcli.datasets.split import Scale, Stratified, keeps_test_part, prepare, scaled
from gdcli.errors import UserError
from gdcli.fields import LATER, show
from gdcli.problem import Array, Batch, Data, OfClasses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Source(Reading):
    """The options of a problem with tabular data, and the reading of the data."""

    dataset: Annotated[str, "data set to train on"]
    data: Annotated[
        Path | None,
        "file of examples to use instead of --dataset: CSV, .npy, .npz, .svm, .parquet, .xlsx "
        "or IDX",
    ] = None
    target: Annotated[
        str | None,
        "column of --data to predict from the others: its name, or in a .npy file its number, "
        "from 0",
    ] = None
    scale: Annotated[
        Scale,
        "scale each feature, by its values in the training part: standard, to mean 0 and "
        "variance 1; minmax, to 0 to 1; or none",
    ] = "standard"
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
        return measured(read_both(self.data, self), self.predicted, self)

    def classified(self) -> tuple[Array, Classes]:
        """Return the features (matrix, Columns or Apart) and the classes."""
        if self.data is None or self.predicted is None:
            x, y = read_named(self.dataset)
            places = y.astype("int64")
            own = tuple(map(str, range(1 + places.max())))
            return x, Classes(places, class_names(self.dataset) or own)
        return classified(read_both(self.data, self, self.predicted), self.predicted, self)


TEXT = 20  # bytes in memory for a byte of a CSV file that is read as text
COPIES = 3  # copies of the numbers: read, scaled, and in a program
PART = 2**20


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
        if self.data is None or not self.streams:
            return 0
        return sum(self._whole(file) for file in (self.data, self.test_data) if file is not None)

    def _whole(self, file: Path) -> int:
        with opened(file, "--data") as stream:
            if guessed(file, self) == NPY:
                header = read_header(stream, file, stream.seek(0, 2))
                return 8 * COPIES * math.prod(header.shape)
            if isinstance(stream.raw, io.FileIO):  # it is not compressed
                return TEXT * stream.seek(0, io.SEEK_END)
            size = 0
            while part := stream.read(PART):
                size += len(part)
        return TEXT * size

    def measured(self) -> tuple[Array, Array]:
        """Return the features, which may stay on disk, and the numbers to predict, (examples,)."""
        if self.stream and self.data and self.predicted:
            return matrix_measured(self.data, self.predicted, self)
        return super().measured()

    def classified(self) -> tuple[Array, Classes]:
        """Return the features, which may stay on disk, and the classes."""
        if self.stream and self.data and self.predicted:
            return matrix_classified(self.data, self.predicted, self)
        return super().classified()


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


Name: TypeAlias = Literal[
    "digits", "iris", "wine", "breast-cancer", "fashion-mnist", "mnist", "cifar10"
]


@dataclass(frozen=True)
class Classified(Source, Stratified, OfClasses):
    """The options of a problem with classes: --dataset may name a set of images, too.

    A named set of images has its own test part, and each pixel is a feature.
    """

    dataset: Annotated[Name, "data set to train on"] = "digits"
    data_dir: Annotated[
        Path | None, LATER, "folder with the files of mnist, fashion-mnist or cifar10"
    ] = None

    def __post_init__(self) -> None:
        """Raise UserError for options that exclude each other."""
        super().__post_init__()
        if self.data_dir is not None and (self.data is not None or self.dataset not in SETS):
            own = "the file of --data" if self.data else f"{self.dataset}, which is part of gdcli"
            what = f"{show(str(self.data_dir))} is not used for {own}"
            raise UserError("--data-dir", what, "leave it out, or add --dataset mnist")
        whole = self.dataset if self.data is None and self.dataset in SETS else None
        self.check_stratified(whole, self.test_fraction)

    def load_classes(self, rng: np.random.Generator) -> Data:
        """Return the split set: scaled features, and classes, (examples,) int64."""
        if self.data is None and self.dataset in SETS:
            train, test = map(_as_rows, read_images(self.dataset, self.data_dir))
            tests = keeps_test_part(self.test_fraction, self.dataset, "")
            return scaled(train, test if tests else {}, self.scale)
        x, classes = self.classified()
        return self.split(x, classes.places, classes, (self.test_fraction, self.scale), rng)


def _as_rows(part: Batch) -> Batch:
    """Return images as rows of numbers."""
    return {**part, "x": part["x"].reshape(len(part["x"]), -1).astype(float)}


HERE = Path(__file__).parent
OURS = "gdcli."  # modules whose problems keep the order of the split


@dataclass(frozen=True)
class Described:
    """The known names of the training examples; empty if unknown."""

    counted: str = ""  # unit of `rows`: "line", "row_from_0", or "sheet_row" of Excel
    rows: tuple[int, ...] = ()  # position of each example in the file
    classes: tuple[str, ...] = ()  # names, by their places
    features: tuple[str, ...] = ()  # names


@dataclass(frozen=True)
class _Read:
    """The rows of a source, in the order of the source."""

    counted: str
    rows: Array
    y: Array  # classes or targets, (rows,)
    classes: tuple[str, ...]
    features: tuple[str, ...]


def described(problem: object, data: Data, targets: Array) -> Described:
    """Return the names of the training examples of a problem.

    `targets` are their classes, (examples,) of integers, or their numbers. They show whether
    examples that the user's own code has loaded are still in the order of the split. If they are
    not, the rows are unknown, and the names of the classes come from the data.
    """
    classifies = targets.dtype.kind in "iu"
    named = Described(classes=data.classes if classifies else ())
    if not isinstance(problem, Reading):
        return named
    file: Path | None = getattr(problem, "data", None)
    ours = type(problem).load.__module__.startswith(OURS)  # type: ignore[attr-defined]
    if file is None:
        name: str = getattr(problem, "dataset", "")
        return _of_set(name, classifies=classifies) if ours else named
    order = data.order
    if order is None or len(order) != len(targets):
        return named
    try:
        read = _read(problem, file, order, classifies=classifies)
    except UserError:  # the user's own code may read the file in another way
        if ours:
            raise
        return named
    known = order.max(initial=-1) < len(read.y) == len(read.rows)
    if not known or not (ours or (read.y[order] == targets.ravel()).all()):
        return named
    x = data.train["x"]
    features = read.features if x.ndim == 2 and x.shape[1] == len(read.features) else ()
    # The split may have more classes: those of a test part of the user's own.
    classes = (data.classes or read.classes) if classifies else ()
    return Described(read.counted, tuple(read.rows[order].tolist()), classes, features)


def _of_set(name: str, *, classifies: bool) -> Described:
    """Return the names of a named set; its rows are not in a file of the user."""
    classes = class_names(name) if classifies else ()
    file = HERE / f"{name}.csv.gz"
    if not file.exists():
        return Described(classes=classes)
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        features = stream.readline().strip().split(",")[:-1]
    return Described(classes=classes, features=tuple(features))


def _read(problem: Reading, file: Path, order: Array, *, classifies: bool) -> _Read:
    """Return the rows of a file that are used."""
    if isinstance(problem, Streamable) and problem.stream:
        return _streamed(problem, file, classifies=classifies)
    target = _target(problem)
    table = read_file(file, problem, target if classifies else None)
    names = table.others(target, problem.dropped)
    kept = used_rows(table, (target, *names), problem)
    rows = table.row_numbers()[kept]
    used = table.take(kept)
    features = tuple(feature_names(used, names, problem, order))
    if classifies:
        found = number_classes(used.labels(target), target)
        return _Read(table.counted, rows, found.places, found.names, features)
    return _Read(table.counted, rows, used.numbers([target])[:, 0], (), features)


def _streamed(problem: Streamable, file: Path, *, classifies: bool) -> _Read:
    """Return the rows and names of a file that is read in parts."""
    import numpy as np

    x, found = problem.classified() if classifies else problem.measured()
    y, classes = (found.places, found.names) if isinstance(found, Classes) else (found, ())
    if guessed(file, problem) == NPY:
        return _Read("row_from_0", np.arange(len(x)), y, classes, tuple(map(str, x.columns)))
    numbers, names = _lines(problem, file, named=is_name(classes, Style()))
    return _Read("line", numbers, y, classes, tuple(names))


def _lines(problem: Reading, file: Path, *, named: bool) -> tuple[NDArray[np.int64], list[str]]:
    """Return the lines of the used rows, and the names of the features."""
    import numpy as np

    target = _target(problem)
    numbers = []
    for part in read_parts(file, problem, CELLS):
        names = part.others(target, problem.dropped)
        text = target if named else None
        kept = used_rows(part, (target, *names), problem, text=text)
        numbers.append(part.row_numbers()[kept])
    return np.concatenate(numbers), names


def _target(problem: Reading) -> str:
    """Return the target column."""
    # Some formats define the target's name, so --target is missing.
    return str(getattr(problem, "predicted", None) or getattr(problem, "target", None))
