"""The recorded points of a run, trial by trial, as curves.csv has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from gdcli.analysis.rows import Row, read_rows


class Points(NamedTuple):
    """One trial's points, the oldest first; a value that was not measured is nan."""

    trial: str
    steps: Sequence[int]
    values: dict[str, Sequence[float]]  # by column


def read_points(
    folder: Path, columns: Sequence[str], wanted: Iterable[str] | None = None
) -> Iterator[Points]:
    """Yield the points of every trial that has some and is wanted, in the order of the file.

    Raises UserError naming the line that is wrong, or a column that is not there.
    """
    trials = None if wanted is None else {trial.encode() for trial in wanted}
    rows = read_rows(folder / "curves.csv", trials)
    header = next(rows)
    at = {name: place_of(header, name) for name in ("step", *columns)}
    for trial, lines in groupby(rows, key=lambda row: row.cells[0]):
        held = list(lines)
        cells = {name: _numbers(held, place, name) for name, place in at.items()}
        steps = [_step(row, value) for row, value in zip(held, cells.pop("step"), strict=True)]
        yield Points(trial, steps, dict(cells))


def place_of(header: Row, name: str) -> int:
    """Return a measure's place in the header; raises UserError if it is not there."""
    if name not in header.cells:
        header.refuse(f"there is no column {name}")
    # The last one named so: a varied setting, to the left, may have that name too.
    return len(header.cells) - 1 - header.cells[::-1].index(name)


def _numbers(rows: Sequence[Row], place: int, name: str) -> list[float]:
    try:
        return [float(row.cells[place]) for row in rows]
    except ValueError:  # one is empty, or wrong
        return [row.number_or_nan(place, name) for row in rows]


def _step(row: Row, value: float) -> int:
    if not value.is_integer():
        row.refuse("it has no step")
    return int(value)
