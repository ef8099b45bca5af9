"""Which classes there are, and which one each example belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.problem import Array, Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 1000  # more different values than this are measurements, and would fill the memory


def number_classes(labels: Sequence[str] | NDArray[np.generic], column: str) -> Array:
    """Return each label's class, (examples,) int64: counted from 0 in the order of the labels.

    Numbers are ordered as numbers, so that 10 follows 9 and not 1. Raises UserError when the
    column, so named, holds one value only or too many.
    """
    known, classes = ranked(labels)
    if known < 2:
        what = f"column {show(column)} has the one value {show(labels[0])}"
        raise UserError("--target", what, "choose a column of two or more classes")
    if known > MOST:
        what = f"column {show(column)} has {known} different values, more than {MOST} classes"
        raise UserError("--target", what, "choose a column of classes, or run linear-regression")
    return classes.astype("int64")


def ranked(labels: Sequence[str] | NDArray[np.generic]) -> tuple[int, Array]:
    """Return how many labels differ, and the rank of each among them, (examples,)."""
    import numpy as np

    try:
        numbers = labels if not isinstance(labels, Sequence) else [float(x) for x in labels]
        values = np.asarray(numbers, np.float64)
    except ValueError:
        # As texts, each once: in an array of them all would be as wide as the longest.
        texts = [str(label) for label in labels]
        rank = {text: i for i, text in enumerate(sorted(set(texts)))}
        return len(rank), np.array([rank[text] for text in texts])
    known, classes = np.unique(values, return_inverse=True)
    return len(known), classes


def count_classes(data: Data) -> int:
    """Return the number of classes, of which the training part alone may lack some."""
    return 1 + max(int(part["y"].max()) for part in (data.train, data.test) if part)


def with_one_hot(data: Data) -> Data:
    """Return the same examples with their classes in one-hot rows, of equal width in both parts."""
    count = count_classes(data)
    both = ({**p, "y": one_hot(p["y"], count)} if p else p for p in (data.train, data.test))
    return Data(*both)


def one_hot(classes: Array, count: int) -> Array:
    """Return float64 of shape (examples, count): 1 in the column of each example's class."""
    import numpy as np

    return np.eye(count)[classes]
