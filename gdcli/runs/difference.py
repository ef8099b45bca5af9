"""Where two recordings of a trial first differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TypeAlias

from gdcli.runs.finding import Difference

Cells: TypeAlias = Sequence[str]
Same: TypeAlias = Callable[[str, str, str], bool]  # (column, recorded, found)


def first_difference(
    place: tuple[str, str],
    columns: Cells,
    recorded: Sequence[Cells],
    found: Sequence[Cells],
    same: Same,
) -> Difference | None:
    """Return the first cell at which a trial's rows differ, row by row; None where none does.

    `place` is the table and the trial. Where one side has a row more, it differs in its step.
    """
    counted = columns.index("step") if "step" in columns else None
    for left, right in zip_longest(recorded, found):
        row = left or right
        step = row[counted] if counted is not None and len(row) > counted else ""
        if left is None or right is None:
            ends = (step or "a row", "") if left else ("", step or "a row")
            return Difference(*place, step, "step", *ends)
        for column, a, b in zip_longest(columns, left, right, fillvalue=""):
            if a != b and not same(column, a, b):
                return Difference(*place, step, column, a, b)
    return None
