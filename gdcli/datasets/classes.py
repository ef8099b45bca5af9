"""Which classes there are, and which one each example belongs to."""

from __future__ import annotations

from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array, Data

MOST = 1000  # more different values than this are measurements, and would fill the memory


def number_classes(labels: list[str], column: str) -> Array:
    """Return each label's class, (examples,) int64: counted from 0 in the order of the labels.

    Numbers are ordered as numbers, so that 10 follows 9 and not 1. Raises UserError when the
    column, so named, holds one value only or too many.
    """
    import numpy as np

    try:
        values = np.array([float(label) for label in labels])
    except ValueError:
        values = np.array(labels)
    known, classes = np.unique(values, return_inverse=True)
    if len(known) < 2:
        what = f"column {show(column)} has the one value {show(labels[0])}"
        raise UserError("--target", what, "choose a column of two or more classes")
    if len(known) > MOST:
        what = f"column {show(column)} has {len(known)} different values, more than {MOST} classes"
        raise UserError("--target", what, "choose a column of classes, or run linear-regression")
    return classes.astype(np.int64)


def count_classes(data: Data) -> int:
    """Return the number of classes, of which the training part alone may lack some."""
    return 1 + max(int(part["y"].max()) for part in (data.train, data.test) if part)


def one_hot(classes: Array) -> Array:
    """Return float64 of shape (examples, classes): 1 in the column of each example's class."""
    import numpy as np

    return np.eye(int(classes.max()) + 1)[classes]
