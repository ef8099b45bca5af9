"""Matrices that are mostly 0, of which only the other numbers are stored, row by row (CSR).

A matrix is kept sparse where that pays: where it has at least 2^20 numbers and at most 2^26
columns, and at most one number in ten is not 0. Smaller or fuller ones are ordinary arrays, for
which more is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.datasets.contents import free, human
from gdcli.errors import UserError
from gdcli.problem import Array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_array


LARGE = 2**20  # numbers of a matrix, zeros included
WIDEST = 2**26  # columns: each takes memory, whether it has entries or not
SHARE = 0.1  # of them that are not 0, at most
MOST = 2**30  # bytes of such a matrix with its zeros


def pays(entries: int, shape: tuple[int, int]) -> bool:
    """Return whether a matrix with so many numbers other than 0 is kept sparse."""
    large = math.prod(shape) >= LARGE and shape[1] <= WIDEST
    return large and entries <= SHARE * math.prod(shape)


@dataclass(frozen=True, eq=False)
class Sparse:
    """A sparse matrix with the shape, and the indexing by rows, of an array.

    The entries of row i are those from starts[i] to starts[i + 1].
    """

    values: Array  # (entries,)
    columns: Array  # (entries,) int32, ascending within a row, each once
    starts: Array  # (rows + 1,) int64
    width: int

    ndim = 2

    @staticmethod
    def of(array: NDArray[Any]) -> Sparse:
        """Return the entries of an array, (rows, columns), as float64."""
        import numpy as np

        rows, columns = np.nonzero(array)
        values = array[rows, columns].astype(np.float64)
        return Sparse(values, columns.astype(np.int32), _starts(rows, len(array)), array.shape[1])

    @staticmethod
    def from_entries(
        rows: NDArray[Any], columns: NDArray[Any], values: NDArray[Any], shape: tuple[int, int]
    ) -> Sparse:
        """Return the matrix of entries in any order; those of one place are added up."""
        import numpy as np

        order = np.lexsort((columns, rows))
        rows, columns = rows[order].astype(np.int64), columns[order].astype(np.int32)
        values = values[order].astype(np.float64)
        again = (rows[1:] == rows[:-1]) & (columns[1:] == columns[:-1])
        if again.any():
            first = np.concatenate([[0], np.flatnonzero(~again) + 1])
            rows, columns, values = rows[first], columns[first], np.add.reduceat(values, first)
        return Sparse(values, columns, _starts(rows, shape[0]), shape[1])

    @staticmethod
    def side_by_side(parts: Sequence[Sparse]) -> Sparse:
        """Return matrices with equally many rows as one."""
        import numpy as np

        if len(parts) == 1:
            return parts[0]
        rows = np.concatenate([part.rows for part in parts])
        before = np.cumsum([0, *(part.width for part in parts)])
        columns = [part.columns + first for part, first in zip(parts, before[:-1], strict=True)]
        values = np.concatenate([part.values for part in parts])
        shape = len(parts[0]), int(before[-1])
        return Sparse.from_entries(rows, np.concatenate(columns), values, shape)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """The rows and the columns."""
        return len(self), self.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        found: np.dtype[Any] = self.values.dtype
        return found

    @property
    def size(self) -> int:
        """The number of stored numbers."""
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """The bytes that it takes."""
        return int(self.values.nbytes + self.columns.nbytes + self.starts.nbytes)

    @property
    def rows(self) -> NDArray[np.int32]:
        """The row of each entry."""
        import numpy as np

        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.starts))

    def __getitem__(self, key: Any) -> Sparse:
        """Return rows by a slice, a mask or a list of indices."""
        import numpy as np

        if isinstance(key, slice):
            first, last, step = key.indices(len(self))
            if step == 1:
                last = max(first, last)
                low, high = int(self.starts[first]), int(self.starts[last])
                starts = self.starts[first : last + 1] - low
                return Sparse(self.values[low:high], self.columns[low:high], starts, self.width)
            key = np.arange(first, last, step)
        rows = np.asarray(key)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        first = self.starts[rows]
        counts = self.starts[rows + 1] - first
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(counts, out=starts[1:])
        places = np.arange(starts[-1])
        places += np.repeat(first - starts[:-1], counts)
        return Sparse(self.values[places], self.columns[places], starts, self.width)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 -- NumPy's protocol
        """Return the matrix with its zeros; raises UserError for a large one.

        What needs the zeros is what torch computes: the reference engine, its optimizers, a GPU.
        """
        size, room = 8 * math.prod(self.shape), min(MOST, free() // 2)
        if size > room:
            what = f"its {self.shape[0]} x {self.shape[1]} features take {human(size)} with zeros"
            fix = "train with --engine auto on the CPU, by an optimizer that needs no torch"
            raise UserError("--data", f"{what}, which torch needs", fix)
        found = self.full()
        return found if dtype is None else found.astype(dtype)

    def full(self) -> NDArray[Any]:
        """Return the matrix with its zeros, however large it is."""
        import numpy as np

        found = np.zeros(self.shape, self.dtype)
        found[self.rows, self.columns] = self.values
        return found

    def without_zeros(self) -> Sparse:
        """Return the matrix without entries that are 0."""
        import numpy as np

        kept = np.flatnonzero(self.values)
        starts = _starts(self.rows[kept], len(self))
        return replace(self, values=self.values[kept], columns=self.columns[kept], starts=starts)

    def as_type(self, dtype: str) -> Sparse:
        """Return the matrix with numbers of another precision."""
        return replace(self, values=self.values.astype(dtype, copy=False))

    def parts(self, numbers: int) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield all rows with their zeros, at most so many numbers at a time, and their places."""
        size = max(1, numbers // max(1, self.width))
        for first in range(0, len(self), size):
            here = slice(first, min(first + size, len(self)))
            yield here, self[here].full()

    def chosen(self, columns: NDArray[np.int64]) -> Sparse:
        """Return some of the columns, given by ascending indices."""
        import numpy as np

        place = np.full(self.width, -1, np.int32)
        place[columns] = np.arange(len(columns))
        kept = place[self.columns] >= 0
        rows, moved = self.rows[kept], place[self.columns[kept]]
        return Sparse(self.values[kept], moved, _starts(rows, len(self)), len(columns))

    def column(self, place: int) -> NDArray[Any]:
        """Return a column with its zeros."""
        import numpy as np

        found = np.zeros(len(self), self.dtype)
        kept = self.columns == place
        found[self.rows[kept]] = self.values[kept]
        return found

    def moved(self, first: int, width: int) -> Sparse:
        """Return the columns as those from `first` on of a matrix of `width` columns."""
        return replace(self, columns=self.columns + self.columns.dtype.type(first), width=width)

    def divided(self, by: Array) -> Sparse:
        """Return the matrix with each column divided by a number."""
        return replace(self, values=self.values / by[self.columns])

    def largest(self) -> NDArray[np.float64]:
        """Return the largest absolute value of each column."""
        import numpy as np

        found = np.zeros(self.width)
        np.maximum.at(found, self.columns, np.abs(self.values))
        return found

    def _summed(self, values: Array) -> NDArray[np.float64]:
        """Return the sum over each column of one number for each entry."""
        import numpy as np

        found: Any = np.bincount(self.columns, values, self.width)
        return np.asarray(found, np.float64)

    def means(self) -> NDArray[np.float64]:
        """Return the mean of each column, zeros included."""
        sums = self._summed(self.values)
        return sums / len(self)

    def sizes(self) -> NDArray[np.float64]:
        """Return the root of the mean square of each column, zeros included."""
        import numpy as np

        squares = self._summed(self.values**2)
        found: NDArray[np.float64] = np.sqrt(squares / len(self))
        return found

    def deviations(self) -> NDArray[np.float64]:
        """Return the standard deviation of each column, zeros included."""
        import numpy as np

        means = self.means()
        squares = self._summed((self.values - means[self.columns]) ** 2)
        zeros = len(self) - np.bincount(self.columns, minlength=self.width)
        found: NDArray[np.float64] = np.sqrt((squares + zeros * means**2) / len(self))
        return found

    def times(self, dense: NDArray[Any]) -> NDArray[Any]:
        """Return the product with an array, (columns, any), of the same precision.

        Each column of the product has the same bits beside any other columns.
        """
        found: NDArray[Any] = self.csr() @ dense
        return found

    def csr(self) -> csr_array:
        """Return the matrix as SciPy has it, of the same numbers in memory."""
        from scipy.sparse import csr_array

        return csr_array((self.values, self.columns, self.starts), self.shape)

    def block(self) -> SparseBlock:
        """Return the rows, and what they are of the columns that occur."""
        import numpy as np

        features, places = np.unique(self.columns, return_inverse=True)
        within = replace(self, columns=places.astype(np.int32), width=len(features))
        return SparseBlock(self.csr(), features, within.csr())


class SparseBlock(NamedTuple):
    """Some examples, with all features and with those that occur."""

    rows: csr_array  # (examples, features)
    features: NDArray[np.int32]  # those that occur, ascending
    within: csr_array  # (examples, features that occur)


def _starts(rows: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return where each row begins, given the row of each entry."""
    import numpy as np

    starts = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=count), out=starts[1:])
    return starts
