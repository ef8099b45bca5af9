"""Large files of plain numbers, as pandas reads them.

On a file of 98 MB, five million numbers, that takes 0.5 s where cells of text that become numbers
take 12 s, and a third of the memory (278 MB, not 888 MB). But pandas fills up rows that are too
short and cannot tell on which line a cell is: whatever is not a finite number, or may be something
else than it seems, is left to the reader of text. To import pandas takes longer than to read a
small file.
"""

from __future__ import annotations

import io
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gdcli.datasets.arrays import ArrayTable
from gdcli.datasets.cells import EXACT, Style, is_missing
from gdcli.datasets.contents import opened
from gdcli.datasets.delimited import CELLS, Head, head_of, read_table
from gdcli.datasets.dialect import BLANK
from gdcli.datasets.reading import Reading
from gdcli.datasets.room import check_room
from gdcli.datasets.table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUOTE = '"'
LARGE = 2**20  # bytes of a file, or of a packed one


class NotPlainError(Exception):
    """A file holds something besides plain numbers."""


class _Text(io.TextIOWrapper):
    """A stream of text without what pandas reads as `csv` does not.

    That is bytes of 0, which would end a cell, quotes in odd places, and carriage returns without
    a line feed, after which it may take an empty cell for nothing.
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
    """Columns of numbers, of which one may be text: all of them finite, and none missing."""

    encoding: str
    above: int  # lines before the first row
    counted = "line"

    def row_numbers(self) -> NDArray[np.int64]:
        """Return the lines, which pandas does not tell: those that hold something, read again."""
        import numpy as np

        with (
            opened(self.file, "--data") as raw,
            io.TextIOWrapper(raw, self.encoding, newline="") as stream,
        ):
            held = [line for line, text in enumerate(stream, start=1) if text.strip()]
        return np.array(held[bisect_right(held, self.above) :], np.int64)

    def raw(self, name: str) -> list[str]:
        """Return the texts of the column that was to be text."""
        return [str(cell) for cell in self.arrays[name]]

    style: ClassVar[Style] = Style()

    @property
    def lines(self) -> Sequence[int]:
        """The rows by their number, where no cell is wrong on any line."""
        return range(len(self))

    def labels(self, name: str) -> list[str] | NDArray[np.generic]:
        """Return the texts of the column that was to be text."""
        return self.raw(name)


def read_text(file: Path, reading: Reading, text: str | None) -> Table:
    """Return the columns of a file of text, of which `text` is kept as it is written."""
    return _plain_table(file, reading, text) or read_table(file, reading)


def _plain_table(file: Path, reading: Reading, text: str | None) -> PlainTable | None:
    """Return a file of plain numbers, of which one column is `text`; None where it is none."""
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
    """Yield the rows of a file as tables of about so many cells.

    Raises NotPlainError, maybe after some parts, for a file that the reader of text is to read.
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
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows that are too long
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
        except (ValueError, pd.errors.ParserWarning):  # pandas' own errors are kinds of ValueError
            raise NotPlainError from None


def _is_large(file: Path) -> bool:
    try:
        return file.stat().st_size > LARGE
    except OSError:
        return False


def _may_be_plain(head: Head, reading: Reading, text: str | None) -> bool:
    """Return whether pandas would take the rows as the reader of text does."""
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
        # Integers of 2^53 and more are told, with their digits.
        if values.dtype.kind not in "iuf" or not (np.abs(values) < EXACT).all():
            raise NotPlainError
        arrays[name] = values.astype(np.float64)
    if not len(frame):
        raise NotPlainError
    return arrays
