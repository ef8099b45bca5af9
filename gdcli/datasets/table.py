"""The contract of a data file that has been read: columns with names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.problem import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LISTED = 20  # column names that an error lists


@dataclass(frozen=True)
class Table(ABC):
    """Named columns of a file."""

    file: Path
    columns: tuple[str, ...]

    @abstractmethod
    def numbers(self, names: Sequence[str]) -> Array:
        """Return columns as float64 of shape (examples, numbers), side by side.

        Raises UserError, naming the place, for a value that is no finite number.
        """

    @abstractmethod
    def labels(self, name: str) -> Sequence[str] | NDArray[np.generic]:
        """Return a column's values as they are; raises UserError where one is missing."""

    def features(self, target: str) -> Array:
        """Return all columns but one, as `numbers` does."""
        self.place(target)
        names = [name for name in self.columns if name != target]
        if not names:
            what = f"{self.file} has no column besides {show(target)}"
            raise UserError("--data", what, "give a file with columns to predict it from")
        return self.numbers(names)

    def place(self, name: str) -> int:
        """Return the index of a column; raises UserError if there is none of that name."""
        if name not in self._places:
            listed = ", ".join(self.columns[:LISTED])
            more = ", ..." if len(self.columns) > LISTED else ""
            hint = suggestion(name, self.columns) or f"its columns are {listed}{more}"
            raise UserError("--target", f"{self.file} has no column {show(name)}", hint)
        return self._places[name]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.columns)}
