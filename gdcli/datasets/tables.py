"""The table of a data file: columns with names, and the raw cells of a file of text."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gdcli.datasets.cells import EXACT, Style, advice, is_missing, is_name, lost_digits, note
from gdcli.errors import UserError
from gdcli.fields import show, suggestion, typed, written
from gdcli.problem import Array

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.sparse import Sparse

FILL = "fill it in, take out the row, or give --missing drop"
LISTED = 20  # column names that an error lists
UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)?")  # pandas' names for columns without a name


def without(name: str) -> str:
    """Return the fix for a feature without any value."""
    return f"fill it in, or give --drop {typed(name)}"


@dataclass(frozen=True)
class Table(ABC):
    """Named columns of a file."""

    file: Path
    columns: tuple[str, ...]
    index: tuple[str, ...] = field(default=(), kw_only=True)  # columns that number or name the rows
    kept: Array | None = field(default=None, kw_only=True)  # indices of the used rows; None: all

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def numbers(
        self, names: Sequence[str], *, holes: bool = False, predicted: bool = False
    ) -> Array:
        """Return columns as float64 of shape (examples, numbers), side by side.

        Raises UserError, naming the place, for a value that is not a finite number; with `holes` a
        missing value is nan. `predicted`: the columns are the target.
        """

    @abstractmethod
    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return the raw values of a column; raises UserError for a missing value."""

    @abstractmethod
    def is_text(self, name: str) -> bool:
        """Return whether a column holds names, not numbers."""

    @abstractmethod
    def missing(self, name: str, *, text: bool = False) -> NDArray[np.bool_]:
        """Return a mask of the rows without a value in a column; `text`: it holds names."""

    counted = "row_from_0"  # column name for `row_numbers`

    def row_numbers(self) -> NDArray[np.int64]:
        """Return the position of each row in the file, (rows,), as users count."""
        import numpy as np

        found: NDArray[np.int64] = np.arange(len(self)) if self.kept is None else self.kept
        return found

    def expanded(self, name: str) -> list[str]:
        """Return the name of each number of a column, since `numbers` may make several of one."""
        return [name]

    def sparse(self, names: Sequence[str]) -> Sparse | None:
        """Return columns like `numbers`, as a sparse matrix; None where they are not sparse."""
        return None

    @abstractmethod
    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the rows."""

    @property
    def test(self) -> Table | None:
        """The test part in the file itself, if any."""
        return None

    @property
    def said(self) -> str:
        """The note that says that this test part is used."""
        return ""

    def beside(self, test: Table) -> tuple[Table, Table]:
        """Return this table and the table of its test part, with the same columns."""
        return self, test

    def width(self, name: str) -> int:
        """Return the number of values in a row of a column."""
        return 1

    def features(self, target: str) -> Array:
        """Return all columns except one, like `numbers`."""
        return self.numbers(self.others(target))

    def others(self, target: str, dropped: Sequence[str] = ()) -> list[str]:
        """Return the feature columns: all except the target, the index and the dropped columns.

        Raises UserError if a named column does not exist, and if no feature is left.
        """
        self.place(target)
        for name in dropped:
            self.place(name, "--drop")
        if target in dropped:
            what = f"{show(target)} is the column to predict"
            raise UserError("--drop", what, "leave it out, or name another --target")
        index = [name for name in self.index if name not in (target, *dropped)]
        unused = (target, *dropped, *index)
        names = [name for name in self.columns if name not in unused]
        if index:
            note(f"{self.file}: {self.said_of(index)}")
        if not names:
            what = f"{self.file} has no column besides {show(target)}"
            what += " and its index" if index else ""
            what += " and those dropped" if dropped else ""
            raise UserError("--data", what, "give a file with features")
        return names

    def said_of(self, index: Sequence[str]) -> str:
        """Return the note about columns that are an index."""
        listed = ", ".join(map(show, index))
        are = "is read as an index" if len(index) == 1 else "are read as an index"
        return f"{listed} {are}, not as a feature"

    def place(self, name: str, option: str = "--target") -> int:
        """Return the index of a column; raises UserError, naming the option, if there is none."""
        if name not in self._places:
            raise UserError(option, f"{self.file} has no column {show(name)}", self.listed(name))
        return self._places[name]

    def listed(self, name: str) -> str:
        """Return a list of the columns, or a suggestion for a mistyped one."""
        listed = ", ".join(map(written, self.columns[:LISTED]))
        more = ", ..." if len(self.columns) > LISTED else ""
        return suggestion(name, self.columns) or f"its columns are {listed}{more}"

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.columns)}


SIGNS = frozenset("'\",;|\t^~:")  # in names, to which they may not belong
LOOKED_AT = 1000  # rows from which the format of numbers is found


@dataclass(frozen=True)
class TextTable(Table):
    """The cells of a file, as text."""

    style: Style
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]  # the line of the file on which each row begins
    counted: str = "line"

    def said_of(self, index: Sequence[str]) -> str:
        """Return the note about columns at the start without a name."""
        if len(index) > 1:
            what = f"the first {len(index)} columns have no names"
            return f"{what}, and are read as an index, not as features"
        return "the first column has no name, and is read as an index, not as a feature"

    def listed(self, name: str) -> str:
        """Return a list of the columns, or a suggestion for a mistyped one."""
        if len(self.columns) == 1:
            return f"its one column is {show(self.columns[0])}; if it is several, give --separator"
        listed = super().listed(name)
        if suggestion(name, self.columns):
            return listed
        named = (column for column in self.columns if not UNNAMED.fullmatch(column))
        if any(not SIGNS.isdisjoint(column) for column in named):
            listed += "; if it has others, give the --separator"
        if not name.isdecimal():
            return listed
        if self.columns[0] == "0":
            return f"{listed}; they are counted from 0"
        return f"{listed}; --no-header numbers them"

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def row_numbers(self) -> NDArray[np.int64]:
        """Return the lines."""
        import numpy as np

        return np.array(self.lines, np.int64)

    def raw(self, name: str) -> list[str]:
        """Return the raw cells of a column."""
        place = self.place(name)
        return [row[place] for row in self.rows]

    def cells(self, name: str) -> list[str]:
        """Return the cells of a column, without the blanks around them."""
        return list(map(str.strip, self.raw(name)))

    def labels(self, name: str) -> list[str]:
        """Return the cells of a column; raises UserError for a missing one.

        In a column of text only an empty cell is missing, because NA may be a name.
        """
        cells = self.raw(name)
        first = dict(zip(reversed(cells), reversed(self.lines), strict=True))
        known = names_of(first, self.style, self.file, name)
        return [known[cell] for cell in cells]

    def is_text(self, name: str) -> bool:
        """Return whether a cell of a column is neither a number nor missing."""
        return is_name(self.cells(name), self.style)

    def missing(self, name: str, *, text: bool = False) -> NDArray[np.bool_]:
        """Return a mask of the rows without a value in a column; `text`: it holds names."""
        import numpy as np

        cells = self.cells(name)
        words = text or is_name(cells, self.style)
        return np.array([not cell if words else is_missing(cell) for cell in cells], bool)

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the rows."""
        kept = rows.tolist()
        cells, lines = tuple(compress(self.rows, kept)), tuple(compress(self.lines, kept))
        return replace(self, rows=cells, lines=lines)

    def numbers(
        self, names: Sequence[str], *, holes: bool = False, predicted: bool = False
    ) -> Array:
        """Return columns as float64 of shape (rows, columns); `holes`: nan for a missing value.

        Raises UserError, naming line and column, for a cell that is not a finite number.
        """
        import numpy as np

        values = np.empty((len(self.rows), len(names)))
        for place, name in enumerate(names):
            cells = self.cells(name)
            if holes:
                cells = ["nan" if is_missing(cell) else cell for cell in cells]
            found = self.style.numbers(cells)
            if found is None:
                raise self._first_wrong(names, holes=holes, predicted=predicted)
            values[:, place] = found
            size = np.abs(values[:, place]).max(initial=0.0, where=~np.isnan(values[:, place]))
            if size >= EXACT and (lost := lost_digits(cells, self.style)):
                of = f"{self.file}: column {show(name)} holds integers beyond 2^53, such as {lost}"
                note(f"{of}, which float64 rounds")
        if not (np.isfinite(values) | (np.isnan(values) if holes else False)).all():
            raise self._first_wrong(names, holes=holes, predicted=predicted)
        return values

    def _first_wrong(self, names: Sequence[str], *, holes: bool, predicted: bool) -> UserError:
        return next(
            error
            for row, line in zip(self.rows, self.lines, strict=True)
            for name in names
            if (error := self._wrong(row, line, name, holes=holes, predicted=predicted))
        )

    def _wrong(
        self, row: Sequence[str], line: int, name: str, *, holes: bool, predicted: bool
    ) -> UserError | None:
        cell = row[self.place(name)].strip()
        if self.style.number(cell) is not None:
            return None
        where = f"{self.file}:{line}"
        if tuple(map(str.strip, row)) == self.columns:
            what = "the names of the columns are repeated here"
            return UserError(where, what, "take out the row")
        if is_missing(cell):
            if holes:
                return None
            empty = not predicted and all(map(is_missing, self.cells(name)))
            return missing_error(cell, where, name, empty=empty)
        if self.style.numbers([cell]) is not None:
            what = f"{show(cell)} in column {show(name)} is not finite"
            return UserError(where, what, "correct it, or take out the row")
        what = f"{show(cell)} in column {show(name)} is not a number"
        others = {one.strip() for row in self.rows[:LOOKED_AT] for one in row}
        return UserError(where, what, advice(cell, self.style, name, others, predicted=predicted))


def names_of(first: Mapping[str, int], style: Style, file: Path, name: str) -> dict[str, str]:
    """Return the class of each cell of a target column; `first` has the first line of each cell.

    Raises UserError for a missing cell.
    """
    bare = {cell: cell.strip() for cell in first}
    text = is_name(bare.values(), style)
    odd = [cell for cell in first if is_missing(bare[cell])]
    if wrong := [cell for cell in odd if not (text and bare[cell])]:
        cell = min(wrong, key=first.__getitem__)
        raise missing_error(bare[cell], f"{file}:{first[cell]}", name)
    tell_words({bare[cell] for cell in odd}, file, name)
    seen: dict[str, str] = {}
    for cell, label in bare.items():
        if (other := seen.setdefault(label, cell)) != cell:
            both = " and ".join(map(show, sorted((other, cell))))
            are = f"{both} are one class: blanks around a cell do not count"
            note(f"{file}: in column {show(name)} {are}")
    return {cell: label if text else style.bare(label) for cell, label in bare.items()}


def tell_words(words: Collection[str], file: Path, name: str) -> None:
    """Note which classes of a column are also words for a missing value."""
    if words:
        listed = " and ".join(map(show, sorted(words)[:3]))
        are = "are read as names" if len(words) > 1 else "is read as a name"
        note(f"{file}: in column {show(name)} {listed} {are}")


def missing_error(cell: str, where: str, name: str, *, empty: bool = False) -> UserError:
    """Return the error for a missing value; `empty`: the feature has no value at all."""
    what = f"the value of column {show(name)} is missing" + (f" ({show(cell)})" if cell else "")
    return UserError(where, what, without(name) if empty else FILL)
