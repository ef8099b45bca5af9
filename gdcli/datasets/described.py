"""What people call a problem's training examples: their rows in the file, classes and features."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.datasets.cells import Style, is_name
from gdcli.datasets.classes import Classes, number_classes
from gdcli.datasets.delimited import CELLS, read_parts
from gdcli.datasets.features import feature_names, used_rows
from gdcli.datasets.formats import NPY, guessed, read_file
from gdcli.datasets.named import class_names
from gdcli.datasets.reading import Reading
from gdcli.datasets.streamable import Streamable
from gdcli.errors import UserError
from gdcli.problem import Array, Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HERE = Path(__file__).parent
OURS = "gdcli."  # modules whose problems leave the examples in the order of the split


@dataclass(frozen=True)
class Described:
    """What is known of the training examples; empty where nothing is."""

    counted: str = ""  # what `rows` counts: "line", "row_from_0", "sheet_row" of Excel
    rows: tuple[int, ...] = ()  # each example's place in the file
    classes: tuple[str, ...] = ()  # names, by their places
    features: tuple[str, ...] = ()  # names


@dataclass(frozen=True)
class _Read:
    """The rows of a source, in its own order."""

    counted: str
    rows: Array
    y: Array  # classes or targets, (rows,)
    classes: tuple[str, ...]
    features: tuple[str, ...]


def described(problem: object, data: Data, targets: Array) -> Described:
    """Return what the training examples of a problem are called.

    `targets` are their classes, (examples,) of integers, or else what they should come to. By them
    it is seen whether examples that the user's own code has loaded are still in the order of the
    split; of those that are not, no rows are known, and the classes by what the data call them.
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
    except UserError:  # what the user's own code makes of the file is another thing
        if ours:
            raise
        return named
    known = order.max(initial=-1) < len(read.y) == len(read.rows)
    if not known or not (ours or (read.y[order] == targets.ravel()).all()):
        return named
    x = data.train["x"]
    features = read.features if x.ndim == 2 and x.shape[1] == len(read.features) else ()
    # Those of the split may be more: a test part of the user's own can have others.
    classes = (data.classes or read.classes) if classifies else ()
    return Described(read.counted, tuple(read.rows[order].tolist()), classes, features)


def _of_set(name: str, *, classifies: bool) -> Described:
    """Return what is known of a set that has a name; its rows are in no file of the user's."""
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
    """Return a file of which a part at a time is in memory."""
    import numpy as np

    x, found = problem.classified() if classifies else problem.measured()
    y, classes = (found.places, found.names) if isinstance(found, Classes) else (found, ())
    if guessed(file, problem) == NPY:
        return _Read("row_from_0", np.arange(len(x)), y, classes, tuple(map(str, x.columns)))
    numbers, names = _lines(problem, file, named=is_name(classes, Style()))
    return _Read("line", numbers, y, classes, tuple(names))


def _lines(problem: Reading, file: Path, *, named: bool) -> tuple[NDArray[np.int64], list[str]]:
    """Return the lines of the rows that are used, and the names of the features."""
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
    """Return the column that is predicted."""
    # Of some formats the target has a name of its own, and none is given.
    return str(getattr(problem, "predicted", None) or getattr(problem, "target", None))
