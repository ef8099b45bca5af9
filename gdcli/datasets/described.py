"""What a file says of its examples: the names that a user knows them by, and what is predicted.

The names are the rows in the file, and the names of classes and features. What is predicted is a
number or a class.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.datasets.cells import Classes, Style, is_name, number_classes
from gdcli.datasets.delimited import CELLS, read_parts
from gdcli.datasets.features import feature_names, used_rows
from gdcli.datasets.reading import CSV, NPY, Reading, guessed, read_file
from gdcli.datasets.tabular import Streamable, class_names
from gdcli.errors import UserError
from gdcli.problem import Array, Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.tables import Table

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


LOOKED_AT = 2**17  # rows of a text file to look at
FEW = 20  # so many different numbers or fewer may always be classes
EACH = 5  # rows of a class, on average; with fewer, whole numbers are not classes


def is_measured(file: Path, target: str, reading: Reading) -> bool:
    """Return whether a target column is a number; of a text file, only the first part is read.

    It is a number if it has more than 20 different numbers, and they are not all whole or fewer
    than 5 rows on average share one. False for a file that cannot be read.
    """
    try:
        table = _first(file, reading)
        table.place(target)
        if table.is_text(target):
            return False
        return _vary(table.numbers([target], holes=True)[:, 0])
    except UserError:
        return False


def _first(file: Path, reading: Reading) -> Table:
    if guessed(file, reading) != CSV:
        return read_file(file, reading)
    return next(read_parts(file, reading, LOOKED_AT))


def _vary(values: NDArray[np.float64]) -> bool:
    import numpy as np

    there = values[np.isfinite(values)]
    different = np.unique(there)
    if len(different) <= FEW:
        return False
    return bool((different % 1).any()) or EACH * len(different) > len(there)
