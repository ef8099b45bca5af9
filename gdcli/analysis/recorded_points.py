"""The recorded points of a run, trial by trial, as curves.csv has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

from gdcli.analysis.rows import Block, Row, read_blocks, read_rows


class Points(NamedTuple):
    """One trial's points, the oldest first; a value that was not measured is nan."""

    trial: str
    steps: Sequence[int]
    values: dict[str, Sequence[float]]  # by column
    line: int  # of the first, in the file


def read_points(
    folder: Path, columns: Iterable[str], wanted: Iterable[str] | None = None
) -> Iterator[Points]:
    """Yield the points of every trial that has some and is wanted, in the order of the file.

    Raises UserError naming the line that is wrong, or a column that is not there.
    """
    file = folder / "curves.csv"
    if wanted is None:
        yield from _all_points(read_blocks(file), columns)
        return
    rows = read_rows(file, {trial.encode() for trial in wanted})
    header = next(rows)
    at = {name: place_of(header, name) for name in ("step", *columns)}
    for trial, lines in groupby(rows, key=lambda row: row.cells[0]):
        held = list(lines)
        cells = {name: _numbers(held, place, name) for name, place in at.items()}
        steps = [_step(row, value) for row, value in zip(held, cells.pop("step"), strict=True)]
        yield Points(trial, steps, dict(cells), held[0].line)


def _all_points(blocks: Iterator[Block], columns: Iterable[str]) -> Iterator[Points]:
    header = next(blocks).row(0)
    at = {name: place_of(header, name) for name in ("step", *columns)}
    held: Points | None = None  # whose rows the next block may go on with
    for block in blocks:
        trials = block.column(0)
        values = {name: block.numbers(place, name) for name, place in at.items()}
        numbers = values.pop("step")
        if not all(map(float.is_integer, numbers)):
            for place, number in enumerate(numbers):
                _step(block.row(place), number)
        steps = list(map(int, numbers))
        edges = [k for k, (one, other) in enumerate(pairwise(trials), 1) if one != other]
        for first, last in pairwise((0, *edges, len(trials))):
            part = {name: of[first:last] for name, of in values.items()}
            found = Points(trials[first], steps[first:last], dict(part), block.lines[first])
            if held and held.trial == found.trial:
                held = _joined(held, found)
            else:
                if held:
                    yield held
                held = found
    if held:
        yield held


def _joined(one: Points, other: Points) -> Points:
    values = {name: [*of, *other.values[name]] for name, of in one.values.items()}
    return Points(one.trial, [*one.steps, *other.steps], dict(values), one.line)


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
