"""Which columns count the rows, or tell them apart: an index or an identifier is no feature."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gdcli.comma_list import typed
from gdcli.datasets.cells import EXACT
from gdcli.datasets.notes import note
from gdcli.datasets.table import Table
from gdcli.fields import counted, show
from gdcli.problem import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENOUGH = 10  # rows, of which it is no chance that they are in order
FEW = 64
TOLD = 5  # columns
MANY = 50  # rows, of which few measurements are all different and whole
MOST = 2**24  # rows that are held against each other
NAMED = re.compile(
    r"(.*[\W_])?(ids?|idx|index|uuid|guid|row|rows|key|nr|no|rownames?|row_?num(ber)?)\W*"
    r"|unnamed: \d+(\.\d+)?|.*[a-z]I[dD]",
    re.IGNORECASE,
)


class Indices:
    """What is known of columns whose rows go by in parts: which of them may be an index."""

    def __init__(self, width: int) -> None:
        """Begin with so many columns, of which each may be one."""
        import numpy as np

        self.rows = 0
        self.rising, self.falling, self.different = np.ones((3, width), bool)
        self.last: NDArray[np.float64] | None = None

    def add(self, part: Array) -> None:
        """Look at rows, (rows, columns)."""
        import numpy as np

        if not len(part):
            return
        # Most columns are known by a few rows, and are not looked at any more.
        head = np.sort(part[:FEW], axis=0)
        self.different &= (head % 1 == 0).all(axis=0) & (np.diff(head, axis=0) != 0).all(axis=0)
        for place in np.flatnonzero(self.different).tolist():
            values = part[:, place]
            whole = bool((np.abs(values) < EXACT).all() and not (values % 1).any())
            self.different[place] = whole and len(np.unique(values)) == len(values)
            before = values[:0] if self.last is None else self.last[place : place + 1]
            steps = np.diff(np.concatenate([before, values]))
            self.rising[place] &= bool((steps > 0).all())
            self.falling[place] &= bool((steps < 0).all())
        self.rows += len(part)
        self.last = np.array(part[-1], np.float64)

    def tell(self, table: Table, names: Sequence[str], column: Callable[[int], Array]) -> None:
        """Say which columns look like an index; the lone feature may be just that.

        `column` returns the values of one of them.
        """
        places = [(name, i) for name in names for i in range(table.width(name))]
        if len(places) < 2:
            return
        lines = list(self._lines(table, places, column))
        for line in lines[:TOLD]:
            note(line)
        if (rest := len(lines) - TOLD) > 0:
            note(f"{table.file}: {counted(rest, 'other column is', 'other columns are')} so, too")

    def _lines(
        self, table: Table, places: Sequence[tuple[str, int]], column: Callable[[int], Array]
    ) -> Iterator[str]:
        """Yield what to say of each column that looks like an index."""
        for place, (name, inner) in enumerate(places):
            if not self.different[place]:
                continue
            single = table.width(name) == 1
            said = self._said(place, column, named=single and bool(NAMED.fullmatch(name[-40:])))
            if said and single:
                what = f"column {show(name)} {said}"
                yield f"{table.file}: {what}; --drop {typed(name)} leaves it out"
            elif said:
                yield f"{table.file}: column {inner} of {show(name)}, counted from 0, {said}"

    def _said(self, place: int, column: Callable[[int], Array], *, named: bool) -> str:
        """Return what a column does as an index does; of few rows, only where it is named so."""
        import numpy as np

        if self.rows < (2 if named else ENOUGH):
            return ""
        if self.rising[place] or self.falling[place]:
            how = "rises" if self.rising[place] else "falls"
            return f"{how} from row to row, as an index does"
        values = np.sort(column(place)) if self.rows <= MOST else np.zeros(2)
        if not np.diff(values).all():
            return ""
        if values[-1] - values[0] == len(values) - 1:
            return "has each number once of a range, as an index"
        many = named or self.rows >= MANY
        return "has another whole number in each row, as an identifier" if many else ""
