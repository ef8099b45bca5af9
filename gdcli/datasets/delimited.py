"""Examples from a file of text: one row an example, as a rule under a header.

Python's csv module takes the rows apart. pandas' reader is quicker where all cells are numbers
(see `plain_numbers`), but it fills up a row that is too short, takes the first cells of rows that
are too long for an index, and cannot tell on which line of the file a cell is: what it does not
read as plain numbers is read here.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count, islice, takewhile
from pathlib import Path
from typing import Any

from gdcli.datasets.contents import opened
from gdcli.datasets.dialect import BLANK, HASH, Dialect, blanks, dialect_of
from gdcli.datasets.notes import note
from gdcli.datasets.reading import Reading
from gdcli.datasets.room import check_room
from gdcli.datasets.text_table import TextTable
from gdcli.errors import UserError
from gdcli.fields import show

SAYS = re.compile(r"sep=([^\w\s]|\t)\s*")  # what Excel writes, and takes off
UNDECODED = re.compile("[\udc80-\udcff]")  # as surrogateescape gives them
LONGEST = 2**24  # characters of a line: a file without line ends is no table
CELL = 70  # bytes of a cell as text in memory, or a little more
CELLS = 2**20  # after which the room is looked at again
SAMPLE, SAMPLED = 100, 2**20  # rows, and characters, by which it is found how a file is written
UTF8 = "utf-8-sig"  # with a mark of byte order at the start, or without
MARKS = {  # of byte order; UTF-32's begins as UTF-16's does
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_table(file: Path, reading: Reading) -> TextTable:
    """Return the cells of a file, without the spaces around them; blank lines are skipped.

    Raises UserError, naming the line, for a file that cannot be read, is empty, or is no table.
    """
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    for part in read_parts(file, reading, CELLS):
        rows += part.rows
        lines += part.lines
        check_room(CELL * len(rows) * len(part.columns), file)
    return replace(part, rows=tuple(rows), lines=tuple(lines))


@dataclass(frozen=True)
class Head:
    """What the first lines of a file say of it."""

    encoding: str
    comment: str | None
    dialect: Dialect
    line: int  # of the names, or, where there are none, of the first row
    columns: tuple[str, ...]
    index: tuple[str, ...]  # columns at the start without a name


def head_of(file: Path, reading: Reading) -> Head:
    """Return what the first lines of a file say of it; raises like read_table."""
    with opened(file, "--data") as raw, _decoded(raw, reading) as stream:
        return _begin(stream, file, reading)[0]


def read_parts(file: Path, reading: Reading, cells: int) -> Iterator[TextTable]:
    """Yield the rows of a file as tables of about so many cells; raises like read_table."""
    with opened(file, "--data") as raw, _decoded(raw, reading) as stream:
        head, found = _begin(stream, file, reading)
        size = max(1, cells // len(head.columns))
        rows = list(islice(found, size))
        if not rows:
            where = f"{file}:{head.line}"
            raise UserError(where, "there is no row below the header", "add the examples")
        while rows:
            yield replace(_table(file, head.columns, head.dialect, rows), index=head.index)
            rows = list(islice(found, size))


def _begin(
    stream: io.TextIOWrapper, file: Path, reading: Reading
) -> tuple[Head, Iterator[tuple[int, tuple[str, ...]]]]:
    """Return what the first lines of a file say of it, and its rows."""
    encoding = stream.encoding
    said = "" if reading.encoding or encoding == UTF8 else encoding
    lines = _Lines(file, stream, reading, encoding)
    first, sample = lines.sample()
    separator = reading.delimiter
    if (told := lines.take_separator()) is not None:
        first, sample, separator = first + 1, sample[1:], separator or told
    if not sample:
        raise UserError(str(file), "the file is empty", "give a header and at least one row")
    dialect = dialect_of(sample, separator, reading, (file, first), said)
    found = _rows(file, lines, dialect)
    line, columns = next(found, (0, ()))
    if not line:  # nothing but separators
        raise UserError(str(file), "the file is empty", "give a header and at least one row")
    index: tuple[str, ...] = ()
    if dialect.header:
        columns, index = named(columns, f"{file}:{line}", reading)
    else:
        found, columns = chain([(line, columns)], found), tuple(map(str, range(len(columns))))
    return Head(encoding, lines.comment, dialect, line, columns, index), found


def _decoded(raw: io.BufferedReader, reading: Reading) -> io.TextIOWrapper:
    """Return the text of a file; a byte that is none of it is escaped."""
    start = raw.peek(4)[:4]
    encoding = next((name for mark, name in MARKS.items() if start.startswith(mark)), UTF8)
    if reading.encoding is not None:
        given = codecs.lookup(reading.encoding).name
        encoding = UTF8 if given == "utf-8" else given
    return io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline="")


@dataclass
class _Lines:
    """The lines of a file, of which those that are no rows are blank."""

    file: Path
    stream: io.TextIOWrapper
    reading: Reading
    encoding: str

    def __post_init__(self) -> None:
        """Begin."""
        self.comment = self.reading.comment
        self.held: list[str] = []  # lines that were looked at, and are still to be read
        self.read = self._read()

    def sample(self) -> tuple[int, list[str]]:
        """Return the first lines that hold something, and the number of the first of them."""
        found: list[str] = []
        first = 0
        for number, line in enumerate(self.read, start=1):
            self.held.append(line)
            if line.strip():
                first = first or number
                found.append(line)
            if len(found) >= SAMPLE or sum(map(len, found)) > SAMPLED:
                break
        if self.comment is None and found and found[0].startswith(HASH):
            return self._without_hashes(found)
        return first, found

    def take_separator(self) -> str | None:
        """Return what a first line such as sep=; says, which then is a blank one."""
        for place, line in enumerate(self.held):
            if line.strip():
                said = SAYS.fullmatch(line)
                if said:
                    self.held[place] = "\n"
                return said[1] if said else None
        return None

    def _without_hashes(self, found: Sequence[str]) -> tuple[int, list[str]]:
        """Return the lines below those with a hash, at the start, and take these for comments."""
        self.comment = HASH
        note(f"{self.file} is read so: lines that begin with # are comments")
        self.held = [self._uncommented(line) for line in self.held]
        kept = [line for line in self.held if line.strip()]
        first = next((i for i, line in enumerate(self.held, 1) if line.strip()), 0)
        return first, kept

    def __iter__(self) -> Iterator[str]:
        """Yield all lines, as the csv module takes them."""
        return chain(self.held, self.read)

    def _read(self) -> Iterator[str]:
        for number in count(1):
            try:
                line = self.stream.readline(LONGEST)
            except UnicodeError:
                raise self._undecoded(number, "what follows") from None
            if not line:
                return
            if len(line) == LONGEST and line[-1] not in "\r\n":
                what = f"the line has more than {LONGEST} characters"
                raise UserError(f"{self.file}:{number}", what, "give a text file of one row a line")
            if not line.isascii() and (wrong := UNDECODED.search(line)):
                raise self._undecoded(number, f"the byte 0x{ord(wrong[0]) - 0xDC00:02x}")
            if "\0" in line:
                what = "there is a byte of 0, which no text has"
                fix = "give a text file, or its --encoding, such as utf-16-le"
                raise UserError(f"{self.file}:{number}", what, fix)
            yield "\n" if number <= self.reading.skip_rows else self._uncommented(line)

    def _undecoded(self, number: int, what: str) -> UserError:
        # A spreadsheet's own encoding, as a rule.
        name = "UTF-8" if self.encoding == UTF8 else self.encoding
        fix = "save the file as UTF-8, or give its --encoding, such as cp1252"
        return UserError(f"{self.file}:{number}", f"{what} is not {name}", fix)

    def _uncommented(self, line: str) -> str:
        """Return a line without its comment."""
        mark = self.comment
        if mark is None or mark not in line:
            return line
        if line.lstrip().startswith(mark):
            return "\n"
        if self.reading.comment is None:  # it was found at the start of lines, and is no more
            return line
        quoted = False
        for place in range(len(line)):
            quoted ^= line[place] == '"'
            if not quoted and line.startswith(mark, place):
                return line[:place] + "\n"
        return line


def _table(
    file: Path, columns: tuple[str, ...], dialect: Dialect, rows: list[tuple[int, tuple[str, ...]]]
) -> TextTable:
    for line, row in rows:
        if len(row) != len(columns):
            what = f"values in the row: {len(row)}, columns in the header: {len(columns)}"
            if not dialect.header:
                what = f"values in the row: {len(row)}, in the first: {len(columns)}"
            raise UserError(f"{file}:{line}", what, "give one value a column, or the --separator")
    cells, lines = tuple(row for _, row in rows), tuple(line for line, _ in rows)
    return TextTable(file, columns, dialect.style, cells, lines)


def _rows(file: Path, lines: _Lines, dialect: Dialect) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the rows that are not blank, each with the line on which it ends."""
    blank = dialect.separator == BLANK
    made: Callable[[Any], Iterator[str]] = (lambda all_: map(blanks, all_)) if blank else iter
    reader = csv.reader(
        made(lines),
        delimiter=dialect.separator,
        quotechar=dialect.quote,
        skipinitialspace=blank,
        strict=True,
    )
    try:
        for row in reader:
            cells = tuple(cell.strip() for cell in row)
            if any(cells):  # spreadsheets end with rows of nothing but separators
                yield reader.line_num, cells
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        raise UserError(
            where, f"this is not CSV: {error}", "check the quotes, or --separator"
        ) from None


def named(
    columns: Sequence[str], where: str, reading: Reading
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of columns, and of these the ones at the start that have none.

    They are called as pandas calls them. Raises UserError for another column without a name and
    for two of one name, unless they are dropped.
    """
    names = tuple(name or f"Unnamed: {place}" for place, name in enumerate(columns))
    index = tuple(islice(takewhile(lambda name: name not in columns, names), len(names) - 1))
    known = set[str]()
    for place, (given, name) in enumerate(zip(columns, names, strict=True)):
        if name in reading.dropped:
            continue
        if not given and name not in index:
            fix = f"name it, or give --drop {show(name)}"
            raise UserError(where, f"column {place + 1} has no name", fix)
        if name in known:
            fix = f"rename one, or give --drop {show(name)}, which drops both"
            raise UserError(where, f"two columns are named {show(name)}", fix)
        known.add(name)
    return names, index
