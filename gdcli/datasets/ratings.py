"""Ratings from a data file: what was rated, by whom, and how."""

from __future__ import annotations

from pathlib import Path

from gdcli.datasets.classes import ranked
from gdcli.datasets.features import used
from gdcli.datasets.formats import read_file
from gdcli.datasets.reading import Reading
from gdcli.errors import UserError
from gdcli.fields import counted, show
from gdcli.problem import Array


def read_ratings(file: Path, target: str, reading: Reading) -> tuple[Array, Array, Array]:
    """Return the row and the column of each rating, int64, and the ratings: each (examples,).

    Raises UserError unless the file has two columns besides the target.
    """
    table, others = used(read_file(file, reading), target, reading)
    ratings = table.numbers([target])[:, 0]
    if len(others) != 2:
        has = counted(len(others), "column", "columns")
        what = f"{file} has {has} besides {show(target)}"
        raise UserError("--data", what, "give two: what was rated, and by whom")
    rows, columns = (ranked(table.labels(name))[1].astype("int64") for name in others)
    return rows, columns, ratings
