"""The contract of a data file that has been read: columns with names."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gdcli.comma_list import typed, written
from gdcli.datasets.notes import note
from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.problem import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILL = "fill it in, take out the row, or give --missing drop"
LISTED = 20  # column names that an error lists
UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)?")  # what pandas calls a column without a name


def without(name: str) -> str:
    """Return what to do about a feature that has no value in any row."""
    return f"fill it in, or give --drop {typed(name)}"


@dataclass(frozen=True)
class Table(ABC):
    """Named columns of a file."""

    file: Path
    columns: tuple[str, ...]
    index: tuple[str, ...] = field(default=(), kw_only=True)  # columns that count or name the rows
    kept: Array | None = field(default=None, kw_only=True)  # of the file's rows; None: all of them

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def numbers(
        self, names: Sequence[str], *, holes: bool = False, predicted: bool = False
    ) -> Array:
        """Return columns as float64 of shape (examples, numbers), side by side.

        Raises UserError, naming the place, for a value that is no finite number; with `holes` one
        that is missing is nan. `predicted` says that they are the target.
        """

    @abstractmethod
    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return a column's values as they are; raises UserError where one is missing."""

    @abstractmethod
    def is_text(self, name: str) -> bool:
        """Return whether a column holds names, and no numbers."""

    @abstractmethod
    def missing(self, name: str, *, text: bool = False) -> NDArray[np.bool_]:
        """Return which rows have no value in a column; `text`: it is known to hold names."""

    counted = "row_from_0"  # what `row_numbers` counts, as a column of them is called

    def row_numbers(self) -> NDArray[np.int64]:
        """Return the place of each row in the file, (rows,), as its users count."""
        import numpy as np

        found: NDArray[np.int64] = np.arange(len(self)) if self.kept is None else self.kept
        return found

    def expanded(self, name: str) -> list[str]:
        """Return what each number of a column is called, where `numbers` makes several of it."""
        return [name]

    @abstractmethod
    def take(self, rows: NDArray[np.bool_]) -> Self:
        """Return some of the rows."""

    @property
    def test(self) -> Table | None:
        """The test part that the file itself has."""
        return None

    @property
    def said(self) -> str:
        """What there is to say where that test part is used."""
        return ""

    def beside(self, test: Table) -> tuple[Table, Table]:
        """Return this table and that of its test part, of which one may have to be filled up."""
        return self, test

    def width(self, name: str) -> int:
        """Return how many columns of numbers one of the columns is."""
        return 1

    def features(self, target: str) -> Array:
        """Return all columns but one, as `numbers` does."""
        return self.numbers(self.others(target))

    def others(self, target: str, dropped: Sequence[str] = ()) -> list[str]:
        """Return the columns besides the target, the index and those that are not used.

        Raises UserError where one of them is not there, and where none is left.
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
            raise UserError("--data", what, "give a file with columns to predict it from")
        return names

    def said_of(self, index: Sequence[str]) -> str:
        """Return what to say of the columns that are an index."""
        listed = ", ".join(map(show, index))
        are = "is taken for an index" if len(index) == 1 else "are taken for an index"
        return f"{listed} {are}, and no feature"

    def place(self, name: str, option: str = "--target") -> int:
        """Return the index of a column; raises UserError, naming the option, if there is none."""
        if name not in self._places:
            raise UserError(option, f"{self.file} has no column {show(name)}", self.listed(name))
        return self._places[name]

    def listed(self, name: str) -> str:
        """Return which columns there are, or the one that was meant."""
        listed = ", ".join(map(written, self.columns[:LISTED]))
        more = ", ..." if len(self.columns) > LISTED else ""
        return suggestion(name, self.columns) or f"its columns are {listed}{more}"

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.columns)}
