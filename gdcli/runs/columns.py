"""The columns of a run's tables: their names, none of them twice, and what their cells hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gdcli.analysis.rows import Row, Value, value_of
from gdcli.csv_cell import as_given
from gdcli.engine.watched import COUNTS

Kind: TypeAlias = Literal["whole", "number", "text"]
TEXT = {
    *("trial", "method", "optimizer", "schedule"),
    *("status", "stopped_by", "diverged_by", "message"),
    "verdict",  # in tables of format 2 and before
}
WHOLE = {"batch_size", "seed", "step", "examples", "steps", "steps_to_target", *COUNTS}
OWN = 7  # settings that every run has: the trial's id to its seed


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    place: int
    kind: Kind | None  # None: a varied setting's, which its cells tell

    def read(self, row: Row) -> Value:
        """Return a row's value, None for an empty cell; raises UserError for one of no sense."""
        cell = row.cells[self.place]
        if self.kind == "number":
            return row.number(self.place, self.name)
        if not cell or self.kind == "text":
            return as_given(cell) or None
        value = value_of(cell)
        if self.kind == "whole" and not isinstance(value, int):
            row.refuse(f"{self.name} is {cell!r}, not a whole number")
        return value


def columns_of(header: Row, first: str) -> tuple[list[Column], list[Column]]:
    """Return the columns of the settings, and those of the measures, `first` of which is given.

    A varied setting may be named as a measure is: it is then "steps (varied)".
    """
    cells = header.cells
    if first not in cells:
        header.refuse(f"there is no column {first}")
    begin = len(cells) - 1 - cells[::-1].index(first)
    own, measured = cells[:OWN], cells[begin:]
    varied = [f"{n} (varied)" if n in (*own, *measured) else n for n in cells[OWN:begin]]
    settings = [Column(name, place, _kind(name)) for place, name in enumerate(own)]
    settings += [Column(name, place, None) for place, name in enumerate(varied, start=OWN)]
    measures = [Column(name, place, _kind(name)) for place, name in enumerate(measured, begin)]
    return settings, measures


def _kind(name: str) -> Kind:
    if name in TEXT:
        return "text"
    return "whole" if name in WHOLE else "number"


def kind_of(values: Iterable[Value]) -> Kind:
    """Return what a varied setting's values are, all of them."""
    types = {type(value) for value in values if value is not None}
    if types <= {int}:
        return "whole" if types else "text"
    return "number" if types <= {int, float} else "text"
