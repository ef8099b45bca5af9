"""Matrices that stay on disk, and sums over their examples, some rows at a time.

Rows are read with a new memory map each time. Closing the map frees its pages, so only one part of
the file is in memory, however long the run. Functions here take examples in memory as well: these
are one part.
"""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

from gdcli.datasets.sparse import Sparse
from gdcli.errors import RunError
from gdcli.problem import Array, Batch, Data, Params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

PART = 2**19  # numbers in a part, 4 MB: its features, and about 64 more for results of each row
MADE = 64
DENSE = 8  # map all rows if at most so many are in the file for each wanted one


class Header(NamedTuple):
    """The header of an array file."""

    shape: tuple[int, ...]
    order: str  # "C" or "F"
    dtype: Any  # np.dtype
    start: int  # bytes before the values

    @property
    def size(self) -> int:
        """The number of bytes of the values."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


@dataclass(frozen=True, eq=False)
class OnDisk:
    """Some columns of a matrix in a file."""

    name: Path  # the path that the user gave
    file: Path | IO[bytes]
    header: Header
    columns: Array  # indices of the columns
    names: tuple[str, ...] = ()  # number of these columns

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.header.shape[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle for a worker process, which inherits the open file."""
        from multiprocessing.reduction import DupFd  # noqa: PLC0415 -- for workers alone: start-up

        file = self.file if isinstance(self.file, Path) else DupFd(self.file.fileno())
        return _received, (self.name, file, self.header, self.columns)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return rows, (..., columns), by indices of any shape."""
        import numpy as np

        flat = rows.ravel()
        low, high = int(flat.min()), int(flat.max()) + 1
        if self.header.order == "F" or high - low <= DENSE * len(flat):
            held = self._mapped()[low:high][flat - low]
        else:
            held = self._one_by_one(flat)
        chosen: NDArray[np.float64] = held[:, self.columns].astype(np.float64)
        return chosen.reshape(*rows.shape, len(self.columns))

    def column(self, place: int) -> NDArray[np.generic]:
        """Return one column of the file in its own type."""
        import numpy as np

        values = np.empty(len(self), self.header.dtype.newbyteorder("="))
        size = max(1, PART // (self.header.shape[1] + MADE))
        for first in range(0, len(self), size):
            values[first : first + size] = self._mapped()[first : first + size, place]
        return values

    def _mapped(self) -> Any:
        """Return the matrix as a memory map; closing the map frees the pages that were read."""
        import numpy as np

        header = self.header
        where = header.dtype, "r", header.start, header.shape
        return np.memmap(self.file, *where, order=header.order)  # type: ignore[call-overload]

    def _one_by_one(self, rows: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return scattered rows by seeking; a memory map would also read the rows around them."""
        import numpy as np

        held = np.empty((len(rows), self.header.shape[1]), self.header.dtype)
        with self._opened() as stream:
            descriptor = stream.fileno()  # other processes may share the position of the open file
            for row, place in zip(held.view(np.uint8), rows.tolist(), strict=True):
                part = os.pread(descriptor, row.nbytes, self.header.start + place * row.nbytes)
                if len(part) != row.nbytes:
                    raise RunError(f"{self.name}: row {place} is missing; the file has changed")
                row[:] = np.frombuffer(part, np.uint8)
        return held

    def _opened(self) -> AbstractContextManager[IO[bytes]]:
        if isinstance(self.file, Path):
            return self.file.open("rb", buffering=0)
        return nullcontext(self.file)

    def parts(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Array]]:
        """Yield parts of the rows in the order of the file, with their positions in `rows`."""
        import numpy as np

        order = np.argsort(rows)
        size = max(1, PART // (self.header.shape[1] + MADE))
        for first in range(0, len(order), size):
            positions = order[first : first + size]
            yield positions, self.read(rows[positions])


def _received(name: Path, file: Any, header: Header, columns: Array) -> OnDisk:
    """Return a matrix with a file that another process opened."""
    if not isinstance(file, Path):
        file = os.fdopen(file.detach(), "rb")
    return OnDisk(name, file, header, columns)


@dataclass(frozen=True, eq=False)
class Streamed:
    """Examples on disk: rows of a matrix that are scaled when they are read.

    It has the shape and the indexing of an array. `np.asarray` reads it whole.
    """

    matrix: OnDisk
    rows: Array  # row indices in the file, in the order of the examples
    magnitude: Any  # the values are (read / magnitude - origin) / unit
    origin: Any
    unit: Any
    ones: bool = False  # whether a last column of ones, for the bias, is added

    ndim = 2

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """The examples and their features."""
        return len(self.rows), len(self.matrix.columns) + self.ones

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """The type of the numbers."""
        import numpy as np

        return np.dtype(np.float64)

    @property
    def size(self) -> int:
        """The number of values."""
        return self.shape[0] * self.shape[1]

    @property
    def held(self) -> int:
        """The number of values in memory: row indices in two orders, and copies of a part."""
        return 3 * len(self.rows) + 4 * PART

    def with_ones(self) -> Streamed:
        """Return the examples with an additional last feature 1."""
        return replace(self, ones=True)

    def __getitem__(self, key: Any) -> NDArray[np.float64]:
        """Return examples by a slice or by indices of any shape, (..., features)."""
        return self._scaled(self.matrix.read(self.rows[key]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.float64]:  # noqa: FBT001 -- NumPy's protocol
        """Return all examples."""
        return self[:] if dtype is None else self[:].astype(dtype)

    def parts(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Yield all examples in the order of the file: positions and features."""
        for positions, part in self.matrix.parts(self.rows):
            yield positions, self._scaled(part)

    def _scaled(self, part: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        x = (part / self.magnitude - self.origin) / self.unit
        return np.concatenate([x, np.ones_like(x[..., :1])], axis=-1) if self.ones else x


T = TypeVar("T")


@dataclass(frozen=True)
class Subset(Data):
    """Some of the examples of a data set, which may lack a class that the whole has."""

    whole: Data = field(default_factory=Data)


def some_of(data: Data, first: int, last: int) -> Subset:
    """Return some of the training and of the test examples."""
    train, test = (
        {name: array[first:last] for name, array in part.items()}
        for part in (data.train, data.test)
    )
    return Subset(train, test, data.constants, whole_of(data), classes=data.classes)


def whole_of(data: Data) -> Data:
    """Return the data set that some examples are of: it decides how many outputs there are."""
    return data.whole if isinstance(data, Subset) else data


def streamed(data: Data) -> bool:
    """Return whether examples stay on disk."""
    return isinstance(data.train.get("x"), Streamed)


def in_parts(data: Data) -> bool:
    """Return whether examples are looked at in parts: they are on disk, or sparse."""
    return isinstance(data.train.get("x"), Streamed | Sparse)


def parts(part: Batch) -> Iterator[tuple[Array, Array]]:
    """Yield "x" and "y" of all examples."""
    x, y = part["x"], part["y"]
    if isinstance(x, Sparse):
        for here, rows in x.parts(PART):
            yield rows, y[here]
        return
    if not isinstance(x, Streamed):
        yield x, y
        return
    for positions, features in x.parts():
        yield features, y[positions]


def total(part: Batch, function: Callable[[Array, Array], Any]) -> Any:
    """Return the sum over a part of what a function makes of some examples."""
    return reduce(add, (function(x, y) for x, y in parts(part)))


def add_to(sums: Params, part: Params) -> None:
    """Add a part's values to sums by name, in place."""
    for name, value in part.items():
        sums[name] = sums[name] + value if name in sums else value


def mean_of(shares: Iterable[tuple[float, Params]]) -> Params:
    """Return means by name, of parts that are the given shares of all."""
    means: Params = {}
    for share, part in shares:
        add_to(means, scaled(share, part))
    return means


def scaled(share: float, part: Params) -> Params:
    """Return the share that a part's means have in those of all."""
    return part if share == 1.0 else {name: share * value for name, value in part.items()}


def numbers_held(array: Array) -> int:
    """Return how many numbers of an array, with its copies, are in memory."""
    return array.held if isinstance(array, Streamed) else 3 * int(array.size)
