"""Ratings from a data file: what was rated, by whom, and how."""

from __future__ import annotations

from pathlib import Path

from gdcli.datasets.both import Both, read_both
from gdcli.datasets.classes import ranked
from gdcli.datasets.features import used
from gdcli.datasets.reading import Reading
from gdcli.errors import UserError
from gdcli.fields import counted, show
from gdcli.problem import Batch


def read_ratings(file: Path, target: str, reading: Reading) -> tuple[Batch, Both]:
    """Return the ratings with the row and the column of each, and the tables that they are from.

    "row" and "column" are int64, "rating" is float64, each (examples,). Raises UserError unless
    the file has two columns besides the target.
    """
    both, others = used(read_both(file, reading), target, reading)
    ratings = both.numbers(target)
    if len(others) != 2:
        has = counted(len(others), "column", "columns")
        what = f"{file} has {has} besides {show(target)}"
        raise UserError("--data", what, "give two: what was rated, and by whom")
    rows, columns = (ranked(both.labels(name))[1].astype("int64") for name in others)
    return {"row": rows, "column": columns, "rating": ratings}, both
