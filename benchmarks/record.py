"""results.csv: written line by line, and read back for the tables."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.result import Result

COLUMNS = (
    *("section", "workload", "contestant", "unit", "median", "low", "high"),
    *("ratio", "ratio_low", "ratio_high", "goal", "limit", "met"),
    *("dtype", "trials", "steps", "overhead_seconds", "compile_seconds", "note", "where"),
)
Row = dict[str, str]


def write(file: Path, results: Iterable[Result], where: str) -> None:
    """Write the results; `where` says on what machine, when and with which versions."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**_row(result), "where": where} for result in results)


def _row(result: Result) -> Row:
    ratio = result.ratio or (None, None, None)
    values = {
        **{name: getattr(result, name, None) for name in COLUMNS},
        **dict(zip(("median", "low", "high"), result.value, strict=True)),
        **dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True)),
        "met": {True: "yes", False: "no", None: ""}[result.met],
    }
    return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    """Return four digits of a number: no time here has more."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def read(file: Path) -> list[Row]:
    """Return the rows of a file that may not be there."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
