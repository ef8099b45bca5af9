"""What the columns of tabular data are called."""

from __future__ import annotations

import gzip
from pathlib import Path

from gdcli.datasets.formats import read_file
from gdcli.datasets.source import Source

HERE = Path(__file__).parent


def feature_names(problem: object) -> list[str] | None:
    """Return the names of a problem's features, in order; None where they have none."""
    if not isinstance(problem, Source):
        return None
    if problem.data is None:
        with gzip.open(HERE / f"{problem.dataset}.csv.gz", "rt", encoding="utf-8") as file:
            return file.readline().strip().split(",")[:-1]
    return read_file(problem.data, problem).others(problem.predicted or "", problem.dropped)
