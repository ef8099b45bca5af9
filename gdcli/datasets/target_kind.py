"""Whether the target of a file is a number to predict, or a class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.datasets.delimited import read_parts
from gdcli.datasets.formats import CSV, guessed, read_file
from gdcli.datasets.reading import Reading
from gdcli.datasets.table import Table
from gdcli.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELLS = 2**17  # of a file of text that are looked at
FEW = 20  # different numbers, which may be classes whatever they are
EACH = 5  # rows of a class on average, of fewer of which it is none


def is_measured(file: Path, target: str, reading: Reading) -> bool:
    """Return whether a column is to be predicted as a number: the first part of a file of text.

    It is where it has more than 20 different numbers, and they are not all whole or fewer than 5
    rows have each on average. False of a file that cannot be read.
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
    return next(read_parts(file, reading, CELLS))


def _vary(values: NDArray[np.float64]) -> bool:
    import numpy as np

    there = values[np.isfinite(values)]
    different = np.unique(there)
    if len(different) <= FEW:
        return False
    return bool((different % 1).any()) or EACH * len(different) > len(there)
