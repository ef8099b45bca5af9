"""How a file of text is written: what the user says of it, and what its first rows show."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

from gdcli.datasets.cells import COMMA, GROUPED, Style, is_missing
from gdcli.datasets.notes import note
from gdcli.datasets.reading import Reading
from gdcli.errors import UserError

SEPARATORS = ",;\t|"
BLANK = " "  # stands for any run of blanks, where nothing else separates columns
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
QUOTED = re.compile(r'"[^"]*"')
HASH = "#"
PLAIN, COMMAS = Style(), Style(decimal=",")
LOOKED_AT = 2000  # cells


@dataclass(frozen=True)
class Dialect:
    """How the rows of a file are written."""

    separator: str
    quote: str
    header: bool
    style: Style


def split(lines: Sequence[str], separator: str, quote: str) -> list[list[str]]:
    """Return the cells of lines that hold something; a cell that is never closed ends with them."""
    reader = csv.reader(
        lines, delimiter=separator, quotechar=quote, skipinitialspace=separator == BLANK
    )
    try:
        return [row for row in reader if any(map(str.strip, row))]
    except csv.Error:
        return []


def dialect_of(
    lines: Sequence[str],
    given: str | None,
    reading: Reading,
    where: tuple[Path, int],
    encoding: str,
) -> Dialect:
    """Return how a file is written, of which these lines, from that of `where`, are the first.

    `given` is what is known to separate columns. What is found that is not the
    plain case is said. Raises UserError for a header that is none.
    """
    file, line = where
    separator, quote = _separator(lines, given)
    rows = [[c.strip() for c in row] for row in split(lines, separator, quote)]
    style = Style(reading.decimal or _decimal(rows, reading), reading.thousands)
    header = reading.header
    if header is None:
        check_names(rows, style, f"{file}:{line}")
        header = True
    found = []
    if given is None and separator != "," and rows and len(rows[0]) > 1:
        found.append(f"{NAMES[separator]} between columns")
    if reading.decimal is None and style.decimal != ".":
        found.append("the decimal sign is a comma")
    if quote != '"':
        found.append("cells in single quotes")
    if encoding:
        found.append(f"the encoding {encoding}")
    if found:
        note(f"{file} is read so: {'; '.join(found)}")
    return Dialect(separator, quote, header, style)


def _separator(lines: Sequence[str], given: str | None) -> tuple[str, str]:
    """Return what separates columns, and what quotes cells.

    It is that with which the rows fit their header, and hold numbers; where several do as well,
    what the header has most of outside of quotes, and runs of blanks last.
    """
    if not lines:
        return given or SEPARATORS[0], '"'
    bare = QUOTED.sub("", lines[0])
    quotes = '"' if not any("'" in line for line in lines) else "\"'"
    among = [given] if given else [*SEPARATORS, BLANK]
    fits = {
        (one, quote): (*_fit(lines, one, quote), one != BLANK, bare.count(one))
        for quote in quotes
        for one in among
    }
    separator, quote = max(fits, key=fits.__getitem__)
    single = quote == "'" or (len(quotes) > 1 and _all_in_quotes(lines, separator))
    return separator, "'" if single else '"'


def _all_in_quotes(lines: Sequence[str], separator: str) -> bool:
    """Return whether single quotes stand around all cells that are words."""
    cells = (cell.strip() for row in split(lines, separator, '"') for cell in row)
    words = [cell for cell in cells if cell and PLAIN.number(cell) is None]
    return bool(words) and all(len(w) > 1 and w[0] == w[-1] == "'" for w in words)


def _fit(lines: Sequence[str], separator: str, quote: str) -> tuple[float, float]:
    """Return the part of the rows that are as wide as the first, and of their cells, numbers."""
    rows = split(_joined(lines) if separator == BLANK else lines, separator, quote)
    if not rows or (width := len(rows[0])) < 2:
        return 0.0, 0.0
    fitting = [row for row in rows[1:] if len(row) == width]
    if not fitting:
        return (0.0 if rows[1:] else 1.0), 0.0
    cells = [c.strip() for c in islice(chain.from_iterable(fitting), LOOKED_AT)]
    held = sum(PLAIN.number(c) is not None or COMMAS.number(c) is not None for c in cells)
    return len(fitting) / len(rows[1:]), held / len(cells)


def _joined(lines: Sequence[str]) -> list[str]:
    return [blanks(line) for line in lines]


def blanks(line: str) -> str:
    """Return a line whose columns are separated by blanks, or tabs among them, with blanks only."""
    return (line if '"' in line else line.replace("\t", " ")).strip() + "\n"


def _decimal(rows: Sequence[Sequence[str]], reading: Reading) -> str:
    """Return the decimal sign: a comma where some cells need it, and none has a dot."""
    if reading.thousands is not None:
        return "," if reading.thousands == "." else "."
    cells = [cell for row in rows[1:] for cell in row]
    commas = [cell for cell in cells if COMMA.fullmatch(cell) and "." not in cell]
    # 1,234 alone may be 1234, too; and nobody knows which.
    if all(GROUPED.fullmatch(cell) for cell in commas):
        return "."
    return "." if any("." in c and PLAIN.number(c) is not None for c in cells) else ","


def check_names(rows: Sequence[Sequence[str]], style: Style, where: str) -> None:
    """Raise UserError where the first row seems to hold an example and no names."""
    if not rows:
        return
    first, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    numbers = [style.number(cell) for cell in first]
    given = [value for value in numbers if value is not None]
    if not given or (_counted(given) and len(given) < len(first)):
        return
    columns = [
        place
        for place in range(len(first))
        if below and all(style.number(row[place]) is not None for row in below)
    ]
    like = [place for place in columns if numbers[place] is not None or is_missing(first[place])]
    all_like = bool(like) and len(like) == len(columns) and any(first[p] for p in like)
    if len(given) == len(first) or all_like or 2 * len(given) > len(first):
        what = "the first row holds numbers, no names"
        names = f"--no-header, by which columns are called 0 to {len(first) - 1}"
        raise UserError(where, what, f"give {names}, or --header, if they are names")


def _counted(values: Sequence[float]) -> bool:
    """Return whether numbers are a count, as the columns of an array are named."""
    return len(values) > 1 and all(b - a == 1 for a, b in pairwise(values))
