"""Large tables as matrices: files of plain numbers read by pandas, and matrices kept on disk.

For a file of 98 MB, five million numbers, pandas takes 0.5 s and 278 MB; the text reader takes 12 s
and 888 MB. But pandas fills rows that are too short, and cannot say on which line a cell is.
Therefore the text reader reads every file with a cell that is not a finite number or is ambiguous.
Importing pandas takes longer than reading a small file. A matrix that stays on disk is an .npy file
of the user's, or a temporary one made from a CSV file.
"""

from __future__ import annotations

import io
import math
import tempfile
import warnings
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from gdcli.datasets.cells import EXACT, MOST, Classes, Style, is_missing, number_classes
from gdcli.datasets.contents import check_room, opened
from gdcli.datasets.delimited import CELLS, Head, head_of, read_parts, read_table
from gdcli.datasets.dialect import BLANK
from gdcli.datasets.features import Indices, WholeFile, tell_dropped, whole_rows
from gdcli.datasets.npy import ArrayTable, check_columns, check_finite, read_header
from gdcli.datasets.out_of_core import Header, OnDisk
from gdcli.datasets.reading import NPY, check_options, features_of, guessed
from gdcli.datasets.split import Apart
from gdcli.datasets.tables import TextTable, names_of
from gdcli.errors import UserError
from gdcli.problem import Array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gdcli.datasets.reading import Reading
    from gdcli.datasets.tables import Table

QUOTE = '"'
LARGE = 2**20  # bytes of a plain file, and of a compressed one


class NotPlainError(Exception):
    """A file holds more than plain numbers."""


class _Text(io.TextIOWrapper):
    """A stream of text that rejects what pandas reads differently from the module csv.

    These are zero bytes, which end a cell, quotes in odd places, and carriage returns without a
    line feed, after which pandas may skip an empty cell.
    """

    def read(self, size: int | None = -1) -> str:
        text = super().read(size)
        if "\0" in text or QUOTE in text:
            raise NotPlainError
        if "\r" in text and text.count("\r") != text.count("\r\n"):
            raise NotPlainError
        return text


@dataclass(frozen=True, kw_only=True)
class PlainTable(ArrayTable):
    """Columns of finite numbers without missing values; one column may be text."""

    encoding: str
    above: int  # lines before the first row
    counted = "line"

    def row_numbers(self) -> NDArray[np.int64]:
        """Return the line of each row; reads the file again, since pandas does not count lines."""
        import numpy as np

        with (
            opened(self.file, "--data") as raw,
            io.TextIOWrapper(raw, self.encoding, newline="") as stream,
        ):
            held = [line for line, text in enumerate(stream, start=1) if text.strip()]
        return np.array(held[bisect_right(held, self.above) :], np.int64)

    def raw(self, name: str) -> list[str]:
        """Return the texts of the text column."""
        return [str(cell) for cell in self.arrays[name]]

    style: ClassVar[Style] = Style()

    @property
    def lines(self) -> Sequence[int]:
        """Rows with row numbers instead of line numbers, for data without a wrong cell."""
        return range(len(self))

    def labels(self, name: str) -> list[str] | NDArray[np.generic]:
        """Return the texts of the text column."""
        return self.raw(name)


def read_text(file: Path, reading: Reading, text: str | None) -> Table:
    """Return the columns of a text file; the column `text` stays text."""
    return _plain_table(file, reading, text) or read_table(file, reading)


def _plain_table(file: Path, reading: Reading, text: str | None) -> PlainTable | None:
    """Return a file of plain numbers, except for the column `text`; None for other files."""
    import numpy as np

    parts: list[PlainTable] = []
    held = 0
    try:
        for part in plain_parts(file, reading, text, CELLS):
            parts.append(part)
            held += len(part) * len(part.columns)
            check_room(16 * held, file)  # the parts, and all of them joined
    except NotPlainError:
        return None
    first = parts[0]
    columns = first.columns
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in columns}
    return replace(first, arrays=arrays)


def plain_parts(file: Path, reading: Reading, text: str | None, cells: int) -> Iterator[PlainTable]:
    """Yield the rows of a file as tables of about `cells` cells.

    Raises NotPlainError, perhaps after some parts, for a file that needs the text reader.
    """
    head = head_of(file, reading) if _is_large(file) else None
    if head is None or not _may_be_plain(head, reading, text):
        raise NotPlainError
    import pandas as pd

    dialect = head.dialect
    places = list(range(len(head.columns)))
    kinds: dict[Any, Any] = {place: str for place, name in enumerate(head.columns) if name == text}
    with (
        opened(file, "--data") as raw,
        _Text(raw, head.encoding, newline="") as stream,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error", pd.errors.ParserWarning)  # raised for rows that are too long
        above = head.line if dialect.header else head.line - 1
        for _ in range(above):
            stream.readline()
        try:
            for frame in pd.read_csv(
                stream,
                sep=dialect.separator,
                header=None,
                names=places,
                dtype=kinds,
                index_col=False,
                na_filter=False,
                low_memory=False,
                chunksize=max(1, cells // len(places)),
            ):
                arrays = _checked(frame, head.columns, text)
                yield PlainTable(file, head.columns, arrays, encoding=head.encoding, above=above)
        except (ValueError, pd.errors.ParserWarning):  # pandas' errors are subclasses of ValueError
            raise NotPlainError from None


def _is_large(file: Path) -> bool:
    try:
        return file.stat().st_size > LARGE
    except OSError:
        return False


def _may_be_plain(head: Head, reading: Reading, text: str | None) -> bool:
    """Return whether pandas reads the rows like the text reader."""
    dialect = head.dialect
    options = reading.comment, reading.drop, reading.categorical
    return (
        options == (None, None, None)
        and reading.missing == "error"
        and not (head.comment or head.index)
        and dialect.style.plain
        and dialect.separator != BLANK
        and dialect.quote == QUOTE
        and dialect.escape is None
        and not (dialect.trailing or dialect.spaced or dialect.unnamed)
        and (text is None or text in head.columns)
    )


def _checked(frame: Any, columns: Sequence[str], text: str | None) -> dict[str, Any]:
    """Return the columns of a part of a table; raises NotPlainError unless it is plain."""
    import numpy as np

    arrays: dict[str, Any] = {}
    for place, name in enumerate(columns):
        values = frame[place].to_numpy()
        if name == text:
            cells = np.array(list(map(str, values)), object)
            if any(is_missing(cell) or cell != cell.strip() for cell in set(cells)):
                raise NotPlainError
            arrays[name] = cells
            continue
        # The text reader notes integers of 2^53 and more, with their digits.
        if values.dtype.kind not in "iuf" or not (np.abs(values) < EXACT).all():
            raise NotPlainError
        arrays[name] = values.astype(np.float64)
    if not len(frame):
        raise NotPlainError
    return arrays


T = TypeVar("T", "_Values", "_Labels")
CELLS_AT_A_TIME = 2**17  # cells of a CSV file to hold as text at a time


@dataclass
class _Values:
    """The target as numbers, for all rows."""

    name: str
    text: None = None
    names: bool = False
    parts: list[Array] = field(default_factory=list)

    def add(self, part: Table) -> None:
        """Add the numbers of a part of the file."""
        self.parts.append(part.numbers([self.name], predicted=True)[:, 0])


@dataclass
class _Labels:
    """The target as text, for all rows; equal cells share memory."""

    name: str
    file: Path
    names: bool  # whether the column holds names, not numbers
    style: Style = field(default_factory=Style)
    parts: list[Array] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)  # first line with each cell
    known: dict[str, int] = field(default_factory=dict)

    def add(self, part: TextTable | PlainTable) -> None:
        """Add the cells of a part of the file."""
        import numpy as np

        self.style, cells = part.style, part.raw(self.name)
        for cell, line in zip(cells, part.lines, strict=True):
            self.first.setdefault(cell, line)
        codes = [self.known.setdefault(cell, len(self.known)) for cell in cells]
        if len(self.known) > 10 * MOST:  # 1 and 1.0 are one class, so a few more cells may be fine
            number_classes(self._names(), self.name)
        self.parts.append(np.array(codes, np.int32))

    @property
    def text(self) -> str:
        """The column that stays text."""
        return self.name

    def labels(self) -> tuple[Sequence[str], Array]:
        """Return the distinct labels, and the index of each row's label among them."""
        import numpy as np

        return self._names(), np.concatenate(self.parts)

    def _names(self) -> list[str]:
        names = names_of(self.first, self.style, self.file, self.name)
        return [names[cell] for cell in self.known]


TEXT = 20  # bytes in memory for a byte of a CSV file that is read as text
COPIES = 3  # copies of the numbers: read, scaled, and in a program
PART = 2**20


class FileInParts(NamedTuple):
    """A file that is read in parts; its features stay on disk."""

    file: Path
    target: str
    reading: Reading

    def whole(self) -> int:
        """Return roughly the bytes that the whole file would take, with that of --test-data."""
        files = (self.file, self.reading.test_data)
        return sum(_whole(file, self.reading) for file in files if file is not None)

    def measured(self) -> tuple[OnDisk | Apart, Array]:
        """Return the features, and the values of the target.

        Raises UserError in the same cases as reading the whole file.
        """
        import numpy as np

        file, target, reading = self
        x, y = _measured(file, target, reading)
        if reading.test_data is None:
            return x, y
        test, more = _measured(reading.test_data, target, reading, x.names)
        return Apart(x, test, str(file), ""), np.concatenate([y, more])

    def classified(self) -> tuple[OnDisk | Apart, Classes]:
        """Return the features, and the classes of the target.

        Raises UserError in the same cases as reading the whole file.
        """
        import numpy as np

        file, target, reading = self
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


def _whole(file: Path, reading: Reading) -> int:
    with opened(file, "--data") as stream:
        if guessed(file, reading) == NPY:
            header = read_header(stream, file, stream.seek(0, 2))
            return 8 * COPIES * math.prod(header.shape)
        if isinstance(stream.raw, io.FileIO):  # it is not compressed
            return TEXT * stream.seek(0, io.SEEK_END)
        size = 0
        while part := stream.read(PART):
            size += len(part)
    return TEXT * size


def _measured(
    file: Path, target: str, reading: Reading, wanted: Sequence[str] | None = None
) -> tuple[OnDisk, Array]:
    """Return the features of a file, or the `wanted` ones for a test part, and the target."""
    import numpy as np

    if guessed(file, reading) == NPY:
        matrix, y = _of_array(file, target, reading, wanted, exact=True)
        return matrix, y.astype(np.float64)
    matrix, values = _of_text(file, reading, wanted, lambda: _Values(target))
    return matrix, np.concatenate(values.parts)


def _classified(
    file: Path, target: str, reading: Reading, wanted: Sequence[str] | None = None
) -> tuple[OnDisk, Sequence[str] | Array, Array]:
    """Return the features, the distinct labels, and the index of each row's label."""
    import numpy as np

    if guessed(file, reading) == NPY:
        matrix, y = _of_array(file, target, reading, wanted, exact=False)
        return matrix, *np.unique(y, return_inverse=True)
    parts = read_parts(file, reading, CELLS_AT_A_TIME) if reading.missing == "drop" else ()
    names = any(part.is_text(target) for part in parts)
    matrix, labels = _of_text(file, reading, wanted, lambda: _Labels(target, file, names=names))
    return matrix, *labels.labels()


def _of_array(
    file: Path, target: str, reading: Reading, wanted: Sequence[str] | None, *, exact: bool
) -> tuple[OnDisk, NDArray[np.generic]]:
    """Return the features of a matrix, and its target; `exact`: check integers for float64."""
    import numpy as np

    check_options(file, reading, [NPY])
    if reading.missing == "drop":
        raise UserError("--missing", "--stream cannot drop rows of an .npy file", "leave it out")
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
    """Return whether a type may hold numbers that float64 cannot."""
    return values.dtype.kind in "iu" and values.dtype.itemsize == 8


def _reader(matrix: OnDisk) -> Callable[[int], Array]:
    """Return a function that reads a column of a matrix by its index."""
    import numpy as np

    return lambda place: matrix.column(int(matrix.columns[place])).astype(np.float64)


def _of_text(
    file: Path, reading: Reading, wanted: Sequence[str] | None, begin: Callable[[], T]
) -> tuple[OnDisk, T]:
    """Return the features of a file of text as a matrix on disk, and its target."""
    values = begin()
    try:
        plain = plain_parts(file, reading, values.text, CELLS_AT_A_TIME)
        return _stored(plain, reading, wanted, values), values
    except NotPlainError:
        values = begin()
        return _stored(read_parts(file, reading, CELLS_AT_A_TIME), reading, wanted, values), values


@contextmanager
def _named_errors() -> Iterator[None]:
    """Name the folder in an error about the unnamed temporary file, such as a full disk."""
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
    """Return the features of a table's parts as a matrix on disk; `values` collects the target."""
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
    weakref.finalize(matrix, held.close)  # closing the file deletes it
    if indices is not None:
        indices.tell(part, names, _reader(matrix))
    return matrix


def file_of(file: Path, target: str, reading: Reading, *, parts: bool) -> FileInParts | WholeFile:
    """Return a file of examples, read in parts or whole."""
    return FileInParts(file, target, reading) if parts else WholeFile(file, target, reading)
