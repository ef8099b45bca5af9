"""Examples from a table: the target, and the other columns as numbers.

Columns that number or identify the rows are recognised and told: they are not useful features.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gdcli.datasets.cells import (
    EXACT,
    Classes,
    note,
    number_classes,
    ranked,
    ranks,
)
from gdcli.datasets.reading import AUTO, Both, Reading, matched, read_both
from gdcli.datasets.split import Apart, Columns
from gdcli.errors import UserError
from gdcli.fields import counted, show, typed
from gdcli.problem import Array, Batch, LinearModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.sparse import Sparse
    from gdcli.datasets.tables import Table

ENOUGH = 10  # rows; so many are not in order by chance
FEW_ROWS = 64
TOLD = 5  # columns
MANY = 50  # rows; so many whole measurements are rarely all different
MOST_TOLD = 2**24  # rows that are compared with each other
NAMED = re.compile(
    r"(.*[\W_])?(ids?|idx|index|uuid|guid|row|rows|key|nr|no|rownames?|row_?num(ber)?)\W*"
    r"|unnamed: \d+(\.\d+)?|.*[a-z]I[dD]",
    re.IGNORECASE,
)


class Indices:
    """Finds which columns may be an index, while the rows pass in parts."""

    def __init__(self, width: int) -> None:
        """Begin with `width` columns, each of which may be an index."""
        import numpy as np

        self.rows = 0
        self.rising, self.falling, self.different = np.ones((3, width), bool)
        self.last: NDArray[np.float64] | None = None

    def add(self, part: Array) -> None:
        """Look at rows, (rows, columns)."""
        import numpy as np

        if not len(part):
            return
        # Most columns are ruled out after a few rows.
        head = np.sort(part[:FEW_ROWS], axis=0)
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
        """Note which columns look like an index; a single feature may look so.

        `column` returns the values of a column.
        """
        places = [(name, i) for name in names for i in range(table.width(name))]
        if len(places) < 2:
            return
        lines = list(self._lines(table, places, column))
        for line in lines[:TOLD]:
            note(line)
        if (rest := len(lines) - TOLD) > 0:
            others = counted(rest, "other column looks", "other columns look")
            note(f"{table.file}: {others} like that, too")

    def _lines(
        self, table: Table, places: Sequence[tuple[str, int]], column: Callable[[int], Array]
    ) -> Iterator[str]:
        """Yield a note for each column that looks like an index."""
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
        """Return how a column resembles an index; with few rows only if its name does, too."""
        import numpy as np

        if self.rows < (2 if named else ENOUGH):
            return ""
        if self.rising[place] or self.falling[place]:
            how = "rises" if self.rising[place] else "falls"
            return f"{how} from row to row, like an index"
        values = np.sort(column(place)) if self.rows <= MOST_TOLD else np.zeros(2)
        if not np.diff(values).all():
            return ""
        if values[-1] - values[0] == len(values) - 1:
            return "has each number of a range once, like an index"
        many = named or self.rows >= MANY
        return "has a different whole number in each row, like an identifier" if many else ""


T = TypeVar("T", bound="Table")


class WholeFile(NamedTuple):
    """A file that is read whole."""

    file: Path
    target: str
    reading: Reading

    def whole(self) -> int:
        """Return 0: it is not read in parts."""
        return 0

    def measured(self) -> tuple[Array, Array]:
        """Return the features (matrix, Columns or Apart) and the target's numbers, (examples,)."""
        file, target, reading = self
        both, names = used(read_both(file, reading), target, reading)
        y = both.numbers(target)
        return features(both, names, reading), y

    def classified(self) -> tuple[Array, Classes]:
        """Return the features, a matrix, Columns or Apart, and the classes."""
        file, target, reading = self
        both, names = used(read_both(file, reading, target), target, reading)
        return features(both, names, reading), classes_of(both, target)


def classes_of(both: Both, target: str) -> Classes:
    """Return the classes of a target, including those without a training example."""
    found = number_classes(both.labels(target), target)
    return replace(found, fixed=both.test is not None)


def used(both: Both, target: str, reading: Reading) -> tuple[Both, list[str]]:
    """Return the used rows, and the names of the features."""
    kept: list[Table] = []
    both, names = matched(both, target, reading)
    for table in both.tables:
        kept.append(whole_rows(table, (target, *names), reading))
        tell_dropped(len(table) - len(kept[-1]), len(table), table.file)
    return both._replace(table=kept[0], test=kept[1] if kept[1:] else None), names


def whole_rows(table: T, names: Sequence[str], reading: Reading, *, text: str | None = None) -> T:
    """Return a table without the rows with a missing value, if --missing is drop.

    `text` is a column known to hold names, even if the cells of this part look like numbers.
    """
    if reading.missing != "drop":
        return table
    kept = used_rows(table, names, reading, text=text)
    return table if kept.all() else table.take(kept)


def used_rows(
    table: Table, names: Sequence[str], reading: Reading, *, text: str | None = None
) -> NDArray[np.bool_]:
    """Return a mask of the used rows; `names` and `text` are as in `whole_rows`."""
    import numpy as np

    absent = np.zeros(len(table), bool)
    for name in names if reading.missing == "drop" else ():
        absent |= table.missing(name, text=name == text)
    return ~absent


def tell_dropped(count: int, rows: int, file: Path) -> None:
    """Note how many rows of a file are dropped; raises UserError if no row is left."""
    if count == rows:
        what = f"every row of {file} has a missing value"
        raise UserError("--missing", what, "give --missing mean, or --drop COLUMN")
    if count:
        which = counted(
            count, "row has a missing value and is", "rows have a missing value and are"
        )
        note(f"{file}: {which} not used, of {rows}")


def features(both: Both, names: Sequence[str], reading: Reading) -> Array:
    """Return columns as numbers, or as Columns if they need statistics of the training part.

    With a test part of the user's own they are Apart, with the statistics applied.
    """
    import numpy as np

    table = both.table
    chosen = _categories(table, names, reading)
    holes = reading.missing == "mean"
    plain = [name for name in names if name not in chosen]
    if not chosen and isinstance(reading, LinearModel):
        kept = [table.sparse(names) for table in both.tables]
        if (first := kept[0]) is not None:
            return _kept_sparse(both, first, kept[1:], reading)
    if not (chosen or holes):
        numbers = table.numbers(names)
        tell_indices(table, names, numbers)
        if both.test is None:
            return numbers
        parts = numbers, both.test.numbers(names)
        _check_widths(both, parts)
    else:
        held = {name: table.numbers([name], holes=holes) for name in plain}
        if held:
            tell_indices(table, plain, np.concatenate(list(held.values()), axis=1))
        columns = _columns(table, names, chosen, held)
        if both.test is None:
            return columns
        others = {name: both.test.numbers([name], holes=holes) for name in plain}
        for name in plain:
            _check_widths(both, (held[name], others[name]))
        columns = columns.followed_by(_columns(both.test, names, chosen, others))
        parts = columns.parts(*both.places())
    return Apart(*parts, str(table.file), both.said)


def _kept_sparse(both: Both, first: Sparse, test: list[Sparse | None], reading: Reading) -> Array:
    """Return sparse features, whose rows no index is found among; notes what is done with them."""
    share = f"{first.size} of its {first.shape[0]} x {first.shape[1]} features are not 0"
    done = {
        "standard": "divided by its standard deviation",
        "minmax": "divided by its largest absolute value",
    }.get(getattr(reading, "scale", ""))
    kept = f", each {done}, not centred" if done else ""
    note(f"{both.table.file}: {share}: they are kept sparse{kept}")
    if both.test is None or test[0] is None:
        return first
    _check_widths(both, (first, test[0]))
    return Apart(first, test[0], str(both.table.file), both.said)


def _columns(
    table: Table, names: Sequence[str], chosen: Sequence[str], numbers: Mapping[str, Array]
) -> Columns:
    """Return Columns from categories and columns of numbers."""
    return Columns(
        str(table.file),
        {n: list(map(str, table.labels(n))) if n in chosen else numbers[n] for n in names},
    )


def _check_widths(both: Both, parts: tuple[Array, Array]) -> None:
    """Raise UserError unless the rows of both parts have equally many numbers."""
    first, second = (part.shape[1] for part in parts)
    if both.test is not None and first != second:
        what = f"its rows have {second} numbers, the training rows {first}"
        raise UserError(
            str(both.test.file), f"test part: {what}", "give both parts the same features"
        )


def feature_names(
    table: Table, names: Sequence[str], reading: Reading, train: NDArray[np.int64]
) -> list[str]:
    """Return the name of each number of `features`, given the rows of the training part.

    A column made from a category has the name column=category.
    """
    chosen = _categories(table, names, reading)
    found: list[str] = []
    for name in names:
        if name in chosen:
            labels = list(map(str, table.labels(name)))
            known = ranks({labels[i] for i in train.tolist()})
            # The first spelling of a category, such as 1 of 1 and 1.0.
            first = {place: label for label, place in reversed(known.items())}
            found += [f"{name}={first[place]}" for place in range(len(first))]
        else:
            found += table.expanded(name)
    return found


def _categories(table: Table, names: Sequence[str], reading: Reading) -> list[str]:
    """Return the columns of categories: the named ones, or with `auto` all columns of text."""
    if reading.categorical == AUTO:
        return [name for name in names if table.is_text(name)]
    for name in reading.categories:
        table.place(name, "--categorical")
        if name not in names:
            what = f"{show(name)} is not a feature: it is the target, or dropped"
            raise UserError("--categorical", what, "leave it out")
        if table.width(name) != 1:
            what = f"{show(name)} of {table.file} is not one column"
            raise UserError("--categorical", what, "name an array with one value in each row")
    return [name for name in names if name in reading.categories]


def tell_indices(table: Table, names: Sequence[str], numbers: Array) -> None:
    """Note which columns of a table look like an index of its rows, or like identifiers."""
    indices = Indices(numbers.shape[1])
    indices.add(numbers)
    indices.tell(table, names, lambda place: numbers[:, place])


def read_ratings(file: Path, target: str, reading: Reading) -> tuple[Batch, Both]:
    """Return ratings with their rows and columns, and the tables that they come from.

    "row" and "column" are int64, "rating" is float64, each (examples,). Raises UserError unless
    the file has exactly two columns besides the target.
    """
    both, others = used(read_both(file, reading), target, reading)
    ratings = both.numbers(target)
    if len(others) != 2:
        has = counted(len(others), "column", "columns")
        what = f"{file} has {has} besides {show(target)}"
        raise UserError("--data", what, "give a file with two: the rated item, and the rater")
    rows, columns = (ranked(both.labels(name))[1].astype("int64") for name in others)
    return {"row": rows, "column": columns, "rating": ratings}, both
