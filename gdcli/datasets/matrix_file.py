"""Opens a matrix that stays on disk: an .npy file as it is, a CSV file as numbers in another."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gdcli.datasets.arrays import ArrayTable, check_columns, check_finite, read_header
from gdcli.datasets.both import features_of
from gdcli.datasets.cells import EXACT, Style
from gdcli.datasets.classes import MOST, Classes, number_classes
from gdcli.datasets.contents import opened
from gdcli.datasets.delimited import read_parts
from gdcli.datasets.features import Apart, tell_dropped, whole_rows
from gdcli.datasets.formats import NPY, check_options, guessed
from gdcli.datasets.header import Header
from gdcli.datasets.indices import Indices
from gdcli.datasets.on_disk import OnDisk
from gdcli.datasets.plain_numbers import NotPlainError, PlainTable, plain_parts
from gdcli.datasets.reading import Reading
from gdcli.datasets.table import Table
from gdcli.datasets.text_table import TextTable, names_of
from gdcli.errors import UserError
from gdcli.problem import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T", "_Values", "_Labels")
CELLS = 2**17  # of a CSV file that are text at a time


@dataclass
class _Values:
    """The numbers of the target in all rows."""

    name: str
    text: None = None
    names: bool = False
    parts: list[Array] = field(default_factory=list)

    def add(self, part: Table) -> None:
        """Take the numbers of a part of a file."""
        self.parts.append(part.numbers([self.name], predicted=True)[:, 0])


@dataclass
class _Labels:
    """The cells of the target in all rows, each once in memory."""

    name: str
    file: Path
    names: bool  # whether it is known to hold names, not numbers
    style: Style = field(default_factory=Style)
    parts: list[Array] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)  # the line that first has a cell
    known: dict[str, int] = field(default_factory=dict)

    def add(self, part: TextTable | PlainTable) -> None:
        """Take the cells of a part of a file."""
        import numpy as np

        self.style, cells = part.style, part.raw(self.name)
        for cell, line in zip(cells, part.lines, strict=True):
            self.first.setdefault(cell, line)
        codes = [self.known.setdefault(cell, len(self.known)) for cell in cells]
        if len(self.known) > 10 * MOST:  # 1 and 1.0 are one class, so that a few more may do
            number_classes(self._names(), self.name)
        self.parts.append(np.array(codes, np.int32))

    @property
    def text(self) -> str:
        """The column that is kept as it is written."""
        return self.name

    def labels(self) -> tuple[Sequence[str], Array]:
        """Return the labels that there are, each once, and the place of each row's among them."""
        import numpy as np

        return self._names(), np.concatenate(self.parts)

    def _names(self) -> list[str]:
        names = names_of(self.first, self.style, self.file, self.name)
        return [names[cell] for cell in self.known]


def matrix_measured(file: Path, target: str, reading: Reading) -> tuple[OnDisk | Apart, Array]:
    """Return the features of a file, which stay on disk, and the target's values.

    Raises UserError as reading the file whole would.
    """
    import numpy as np

    x, y = _measured(file, target, reading)
    if reading.test_data is None:
        return x, y
    test, more = _measured(reading.test_data, target, reading, x.names)
    return Apart(x, test, str(file), ""), np.concatenate([y, more])


def matrix_classified(file: Path, target: str, reading: Reading) -> tuple[OnDisk | Apart, Classes]:
    """Return the features of a file, which stay on disk, and the target's classes.

    Raises UserError as reading the file whole would.
    """
    import numpy as np

    x, known, codes = _classified(file, target, reading)
    if reading.test_data is None:
        found = number_classes(known, target)
        return x, replace(found, places=found.places[codes])
    test, others, more = _classified(reading.test_data, target, reading, x.names)
    if isinstance(known, Sequence) or isinstance(others, Sequence):
        found = number_classes([*map(str, known), *map(str, others)], target)
    else:
        found = number_classes(np.concatenate([known, others]), target)
    places = np.concatenate([codes, len(known) + more])
    classes = replace(found, places=found.places[places], fixed=True)
    return Apart(x, test, str(file), ""), classes


def _measured(
    file: Path, target: str, reading: Reading, wanted: Sequence[str] | None = None
) -> tuple[OnDisk, Array]:
    """Return the features of a file, those that are `wanted` of a test part, and the target."""
    import numpy as np

    if guessed(file, reading) == NPY:
        matrix, y = _of_array(file, target, reading, wanted, exact=True)
        return matrix, y.astype(np.float64)
    matrix, values = _of_text(file, reading, wanted, lambda: _Values(target))
    return matrix, np.concatenate(values.parts)


def _classified(
    file: Path, target: str, reading: Reading, wanted: Sequence[str] | None = None
) -> tuple[OnDisk, Sequence[str] | Array, Array]:
    """Return features as `_measured`, the labels there are, and the place of each row's."""
    import numpy as np

    if guessed(file, reading) == NPY:
        matrix, y = _of_array(file, target, reading, wanted, exact=False)
        return matrix, *np.unique(y, return_inverse=True)
    parts = read_parts(file, reading, CELLS) if reading.missing == "drop" else ()
    names = any(part.is_text(target) for part in parts)
    matrix, labels = _of_text(file, reading, wanted, lambda: _Labels(target, file, names=names))
    return matrix, *labels.labels()


def _of_array(
    file: Path, target: str, reading: Reading, wanted: Sequence[str] | None, *, exact: bool
) -> tuple[OnDisk, NDArray[np.generic]]:
    """Return the features of a matrix, and its target; `exact`: integers are to be float64."""
    import numpy as np

    check_options(file, reading, [NPY])
    if reading.missing == "drop":
        raise UserError(
            "--missing", "rows of an .npy file are not dropped with --stream", "leave it out"
        )
    with opened(file, "--data") as stream:
        header = read_header(stream, file, stream.seek(0, 2))
    check_columns(header, file)
    table = ArrayTable(file, tuple(map(str, range(header.shape[1]))), {})
    names = features_of(table, target, reading, wanted)
    columns = np.array(list(map(int, names)), np.int64)
    matrix = OnDisk(file, file, header, columns, names=tuple(names))
    y = matrix.column(int(target))
    check_finite(y[:, None], lambda: np.arange(len(y)), file)
    lost = {target: y} if exact and _may_be_lost(y) else {}
    indices = Indices(len(names))
    for rows, part in matrix.parts(np.arange(header.shape[0])):
        check_finite(part, lambda: rows, file)  # noqa: B023 -- called at once
        indices.add(part)
        wide = (np.abs(part) >= EXACT).any(axis=0) if _may_be_lost(y) else ()
        lost |= {names[i]: matrix.column(int(names[i])) for i in np.flatnonzero(wide)}
    for name, values in lost.items():
        table.tell_lost(name, values)
    indices.tell(table, names, _reader(matrix))
    return matrix, y


def _may_be_lost(values: NDArray[np.generic]) -> bool:
    """Return whether float64 may not have all numbers of a type."""
    return values.dtype.kind in "iu" and values.dtype.itemsize == 8


def _reader(matrix: OnDisk) -> Callable[[int], Array]:
    """Return what reads a column of a matrix by its place among them."""
    import numpy as np

    return lambda place: matrix.column(int(matrix.columns[place])).astype(np.float64)


def _of_text(
    file: Path, reading: Reading, wanted: Sequence[str] | None, begin: Callable[[], T]
) -> tuple[OnDisk, T]:
    """Return the features of a file of text as a matrix on disk, and its target."""
    values = begin()
    try:
        plain = plain_parts(file, reading, values.text, CELLS)
        return _stored(plain, reading, wanted, values), values
    except NotPlainError:
        values = begin()
        return _stored(read_parts(file, reading, CELLS), reading, wanted, values), values


@contextmanager
def _named_errors() -> Iterator[None]:
    """Let an error of the file without a name, such as a full disk, name the folder it is in."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = tempfile.gettempdir()
        raise


def _stored(
    parts: Iterable[TextTable | PlainTable],
    reading: Reading,
    wanted: Sequence[str] | None,
    values: _Values | _Labels,
) -> OnDisk:
    """Return the features of a table's parts as a matrix on disk; `values` takes the target's."""
    import numpy as np

    rows, width, read = 0, 0, 0
    indices: Indices | None = None
    text = values.name if values.names else None
    with _named_errors(), ExitStack() as until_done:
        held = until_done.enter_context(tempfile.TemporaryFile())
        for part in parts:
            names = features_of(part, values.name, reading, wanted)
            kept = whole_rows(part, (values.name, *names), reading, text=text)
            values.add(kept)
            numbers = kept.numbers(names)
            indices = indices or Indices(len(names))
            indices.add(numbers)
            held.write(numbers.tobytes())
            rows, width, read = rows + len(kept), len(names), read + len(part)
        tell_dropped(read - rows, read, part.file)
        held.flush()
        until_done.pop_all()
    header = Header((rows, width), "C", np.dtype(np.float64), 0)
    matrix = OnDisk(part.file, held, header, np.arange(width), tuple(names))
    weakref.finalize(matrix, held.close)  # and with that it is gone from the disk
    if indices is not None:
        indices.tell(part, names, _reader(matrix))
    return matrix
