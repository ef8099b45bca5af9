"""Examples from a text file: a row for each example, usually with a header.

Python's csv module splits the rows. pandas' reader is faster if all cells are numbers (see
`plain_numbers`), but it fills rows that are too short, treats the first cells of rows that are too
long as an index, and cannot say on which line of the file a cell is. Files that are not plain
numbers are therefore read here.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain, count, islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gdcli.datasets.cells import note
from gdcli.datasets.contents import check_room, opened
from gdcli.datasets.dialect import (
    BLANK,
    COMMAS,
    HASH,
    PLAIN,
    SEPARATORS,
    Dialect,
    dialect_of,
)
from gdcli.datasets.reading import Reading
from gdcli.datasets.tables import UNNAMED, TextTable
from gdcli.errors import UserError
from gdcli.fields import show, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SAYS = re.compile(r"sep=([^\w\s]|\t)\s*")  # line that Excel writes and ignores
UNDECODED = re.compile("[\udc80-\udcff]")  # undecodable bytes, after surrogateescape
CONTROL = re.compile("[\x00-\x08\x0e-\x19]")  # control characters that no text has
COMMENTS = ("#", "%", "//")  # signs that begin a comment in files of other tools
LONGEST = 2**24  # characters of a line: a file without line ends is not a table
CELL = 70  # bytes of a text cell in memory, roughly
CELLS = 2**20  # after which the free memory is checked again
SAMPLE, SAMPLED = 100, 2**20  # rows and characters from which the format is found
Row: TypeAlias = tuple[int, int, tuple[str, ...]]  # its first line, its last one, and its cells
UTF8 = "utf-8-sig"  # with or without a byte order mark at the start
MARKS = {  # byte order marks; that of UTF-32 begins like that of UTF-16
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Bytes of ASCII letters at the start of a file without a byte order mark.
ZEROS: dict[tuple[bool, ...], str] = {
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
}


def read_table(file: Path, reading: Reading) -> TextTable:
    """Return the cells of a file, without the blanks around them; blank lines are skipped.

    Raises UserError, naming the line, if the file cannot be read, is empty, or is not a table.
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
    """The format and the columns of a file, found from its first lines."""

    encoding: str
    comment: str | None
    dialect: Dialect
    line: int  # last line of the names, or of the first row if there are no names
    columns: tuple[str, ...]
    index: tuple[str, ...]  # columns at the start without a name


def head_of(file: Path, reading: Reading) -> Head:
    """Return the head of a file; raises like read_table."""
    with opened(file, "--data") as raw, _decoded(raw, reading) as stream:
        return _begin(stream, file, reading)[0]


def read_parts(file: Path, reading: Reading, cells: int) -> Iterator[TextTable]:
    """Yield the rows of a file as tables of about `cells` cells; raises like read_table."""
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


def _begin(stream: io.TextIOWrapper, file: Path, reading: Reading) -> tuple[Head, Iterator[Row]]:
    """Return the head of a file, and its rows."""
    encoding = stream.encoding
    said = "" if reading.encoding or encoding == UTF8 else encoding
    lines = _Lines(file, stream, reading, encoding)
    first, sample = lines.sample()
    separator = reading.delimiter
    if (told := lines.take_separator()) is not None:
        first, sample, separator = first + 1, sample[1:], separator or told
    if not sample:
        what, fix = lines.nothing()
        raise UserError(str(file), what, fix)
    dialect = dialect_of(sample, separator, reading, (file, first), said)
    found = _rows(file, lines, dialect)
    begun = next(found, None)
    if begun is None:
        what = "its rows hold only quotes, blanks or separators"
        raise UserError(f"{file}:{first}", what, "give a header and at least one row")
    first, line, columns = begun
    if dialect.header:
        columns = (*("" for _ in range(dialect.unnamed)), *map(str.strip, columns))
    index: tuple[str, ...] = ()
    if dialect.header:
        columns, index = named(columns, f"{file}:{line}", reading)
    else:
        found = chain([(first, line, columns)], found)
        columns = tuple(map(str, range(len(columns))))
    return Head(encoding, lines.comment, dialect, line, columns, index), found


def _decoded(raw: io.BufferedReader, reading: Reading) -> io.TextIOWrapper:
    """Return the text of a file; undecodable bytes are escaped."""
    start = raw.peek(4)[:4]
    marked = (name for mark, name in MARKS.items() if start.startswith(mark))
    zeros = tuple(byte == 0 for byte in start)
    letters = all(byte == 0 or byte >= ord(" ") for byte in start)
    encoding = next(marked, ZEROS.get(zeros, UTF8) if letters else UTF8)
    if reading.encoding is not None:
        given = codecs.lookup(reading.encoding).name
        encoding = UTF8 if given == "utf-8" else given
    return io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline="")


@dataclass
class _Lines:
    """The lines of a file; lines that are not part of the table are blank."""

    file: Path
    stream: io.TextIOWrapper
    reading: Reading
    encoding: str

    def __post_init__(self) -> None:
        """Begin."""
        self.comment = self.reading.comment
        self.held: list[str] = []  # lines that were looked at, but not yet yielded
        self.read = self._read()

    def sample(self) -> tuple[int, list[str]]:
        """Return the first non-blank lines, and the number of the first one."""
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

    def nothing(self) -> tuple[str, str]:
        """Return the error and the fix for a file without a non-blank line."""
        if self.reading.skip_rows and self.held:
            return "no row is left", "give a smaller --skip-rows"
        if self.comment is not None and self.held:
            return "it holds only comments", "give a header and at least one row"
        what = "it holds only blanks" if self.held else "the file is empty"
        return what, "give a header and at least one row"

    def take_separator(self) -> str | None:
        """Return the separator in a first line such as sep=; and blank that line."""
        for place, line in enumerate(self.held):
            if line.strip():
                said = SAYS.fullmatch(line)
                if said:
                    self.held[place] = "\n"
                return said[1] if said else None
        return None

    def _without_hashes(self, found: Sequence[str]) -> tuple[int, list[str]]:
        """Return the first lines below the lines with a hash, and treat these as comments."""
        self.comment = HASH
        bare = [self._uncommented(line) for line in self.held]
        first = next((i for i, line in enumerate(bare, 1) if line.strip()), 0)
        said = "lines that begin with # are comments"
        names = self.held[first - 2].lstrip().removeprefix(HASH) if first > 1 else ""
        if self.reading.header is None and _names_columns(names, bare[first - 1]):
            first -= 1
            bare[first - 1] = names
            said += f", and line {first} names the columns"
        note(f"{self.file} is read as follows: {said}")
        self.held = bare
        return first, [line for line in bare if line.strip()]

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
                raise UserError(
                    f"{self.file}:{number}", what, "give a text file with a row on each line"
                )
            if not line.isascii() and (wrong := UNDECODED.search(line)):
                raise self._undecoded(number, f"the byte 0x{ord(wrong[0]) - 0xDC00:02x}", line)
            if "\0" in line:
                what = "there is a zero byte, which no text has"
                fix = "give a text file, or its --encoding, such as utf-16-le"
                raise UserError(f"{self.file}:{number}", what, fix)
            yield "\n" if number <= self.reading.skip_rows else self._uncommented(line)

    def _undecoded(self, number: int, what: str, line: str = "") -> UserError:
        # Usually the encoding of a spreadsheet.
        name = "UTF-8" if self.encoding == UTF8 else self.encoding
        fix = "save the file as UTF-8, or give its --encoding, such as cp1252"
        if self.reading.encoding is not None:
            fix = "leave out --encoding, or give another, such as utf-8 or cp1252"
        elif CONTROL.search(line):
            fix = "it does not look like text; save it as CSV, or give its --encoding"
        return UserError(f"{self.file}:{number}", f"{what} is not {name}", fix)

    def _uncommented(self, line: str) -> str:
        """Return a line without its comment."""
        mark = self.comment
        if mark is None or mark not in line:
            return line
        if line.lstrip().startswith(mark):
            return "\n"
        if self.reading.comment is None:  # comments were found at the start of lines only
            return line
        quoted = False
        for place in range(len(line)):
            quoted ^= line[place] == '"'
            if not quoted and line.startswith(mark, place):
                return line[:place] + "\n"
        return line


def _table(file: Path, columns: tuple[str, ...], dialect: Dialect, rows: list[Row]) -> TextTable:
    for line, _, row in rows:
        if len(row) != len(columns):
            what = f"values in the row: {len(row)}, columns in the header: {len(columns)}"
            if not dialect.header:
                what = f"values in the row: {len(row)}, in the first: {len(columns)}"
            raise UserError(f"{file}:{line}", what, _unlike(rows, columns, row))
    again = next((line for line, _, row in rows if dialect.header and row == columns), None)
    if again is not None:  # as in joined files; all columns may hold text
        note(f"{file}:{again}: the names of the columns are repeated here, and read as an example")
    cells, lines = tuple(row for *_, row in rows), tuple(line for line, *_ in rows)
    return TextTable(file, columns, dialect.style, cells, lines)


def _unlike(rows: Sequence[Row], columns: Sequence[str], odd: Sequence[str]) -> str:
    """Return the fix for a row that is not as wide as the header.

    If most rows are wider than the header, the header may be a title.
    """
    mark = next((mark for mark in COMMENTS if odd[0].lstrip().startswith(mark)), None)
    if mark is not None:
        return f"take out the row, or, if it is a comment, give --comment {typed(mark)}"
    widths = Counter(len(row) for *_, row in rows[:SAMPLE])
    width = max(widths, key=widths.__getitem__)
    line, row = next((line, row) for line, _, row in rows if len(row) == width)
    far = width > len(columns) + 1 or len(columns) == 1 or line != rows[0][0]
    if width > len(columns) and far:
        bare = "" if _is_named(row) else " --no-header"
        return f"give --skip-rows {line - 1}{bare}, if the table begins on line {line}"
    return "give one value for each column, take out the row, or give the --separator"


def _is_named(row: Sequence[str]) -> bool:
    """Return whether a row holds names, not numbers."""
    return not any(s.number(cell.strip()) is not None for cell in row for s in (PLAIN, COMMAS))


def _names_columns(line: str, first: str) -> bool:
    """Return whether a comment above the first row has as many words as the row has numbers."""
    for separator in (*SEPARATORS, BLANK):
        names, row = (next(iter(Dialect(separator).split([one])), []) for one in (line, first))
        if len(row) > 1:
            return len(names) == len(row) and all(names) and _is_named(names) > _is_named(row)
    return False


def _rows(file: Path, lines: _Lines, dialect: Dialect) -> Iterator[Row]:
    """Yield the non-blank rows, each with its first and last line."""
    reader = dialect.reader(lines)
    width = dialect.trailing

    try:
        before = 0
        for row in reader:
            if any(map(str.strip, row)):  # spreadsheets end with rows of separators only
                cut = len(row) == width and not row[-1].strip()
                yield before + 1, reader.line_num, tuple(row[:-1] if cut else row)
            before = reader.line_num
    except csv.Error as error:
        where = f"{file}:{reader.line_num}"
        raise UserError(
            where, f"this is not CSV: {error}", "check the quotes, or --separator"
        ) from None


def named(
    columns: Sequence[str], where: str, reading: Reading
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the columns, and the columns at the start without a name.

    A column without a name gets the name that pandas gives it; a column that has such a name
    counts as unnamed. Raises UserError for other unnamed columns, and for two equal names, unless
    they are dropped.
    """
    names = tuple(name or f"Unnamed: {place}" for place, name in enumerate(columns))
    absent = len(list(takewhile(lambda name: not name or UNNAMED.fullmatch(name), columns)))
    absent = min(absent, len(names) - 1)
    known = set[str]()
    for place, (given, name) in enumerate(zip(columns, names, strict=True)):
        if name in reading.dropped or place < absent:
            continue
        if not given:
            fix = f"name it, or give --drop {typed(name)}"
            if columns.count("") > 1:
                fix = f"name it, give --drop {typed(name)}, or --skip-rows, if names are below"
            raise UserError(where, f"column {place + 1} has no name", fix)
        if name in known:
            fix = f"rename one, or give --drop {typed(name)}, which drops both"
            raise UserError(where, f"two columns are named {show(name)}", fix)
        known.add(name)
    return names, names[:absent]
