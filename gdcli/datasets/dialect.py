"""The format of a text file, from the user's options and the first rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise, product
from typing import TYPE_CHECKING

from gdcli.datasets.cells import COMMA, GROUPED, Style, is_missing, note
from gdcli.errors import UserError

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gdcli.datasets.reading import Reading

SEPARATORS = ",;\t|"
BLANK = " "  # means any run of blanks, if nothing else separates columns
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
QUOTED = re.compile(r'"[^"]*"')
QUOTE = '"'
ODD_QUOTES = "`|~$%@^!&"  # other quotes around cells, as first and last sign
BACKSLASH = "\\"
HASH = "#"
SINGLE = "'"
PLAIN, COMMAS = Style(), Style(decimal=",")
LOOKED_AT = 2000  # cells


@dataclass(frozen=True)
class Dialect:
    """The format of the rows of a file."""

    separator: str
    quote: str = QUOTE
    escape: str | None = None  # sign before a quote or separator that belongs to a cell
    spaced: bool = False  # whether there are blanks between a separator and a quote
    trailing: int = 0  # cells of a row that ends with a separator; 0: no row does
    header: bool = True
    unnamed: bool = False  # whether the header has no name for the first column, the names of rows
    style: Style = PLAIN

    def reader(self, lines: Iterable[str]) -> Reader:
        """Return the rows of lines; raises csv.Error for another format."""
        return csv.reader(
            map(blanks, lines) if self.separator == BLANK else lines,
            delimiter=self.separator,
            quotechar=self.quote,
            escapechar=self.escape,
            doublequote=self.escape is None,
            skipinitialspace=self.spaced or self.separator == BLANK,
            strict=True,
        )

    def split(self, lines: Sequence[str]) -> list[list[str]]:
        """Return the non-blank rows; none if the lines have another format.

        If the file has more lines than these, a quoted last cell may be open.
        """
        rows: list[list[str]] = []
        try:
            rows.extend([cell.strip() for cell in row] for row in self.reader(lines))
        except csv.Error as error:
            if not str(error).startswith("unexpected end"):
                return []
        return [row for row in rows if any(row)]


def dialect_of(
    lines: Sequence[str],
    given: str | None,
    reading: Reading,
    where: tuple[Path, int],
    encoding: str,
) -> Dialect:
    """Return the format of a file, found from its first lines, which begin at `where`.

    `given` is the known separator, if any. Notes everything that differs from plain CSV. Raises
    UserError if the header is not a header.
    """
    file, line = where
    dialect = _written(lines, given)
    rows = dialect.split(lines)
    style = Style(reading.decimal or _decimal(rows, reading), reading.thousands)
    trailing = _trailing(rows)
    header = reading.header
    if header is None:
        check_names(rows, style, f"{file}:{line}")
        header = True
    found = []
    separator, quote = dialect.separator, dialect.quote
    if given is None and separator != "," and rows and len(rows[0]) > 1:
        found.append(f"{NAMES[separator]} between columns")
    if trailing:
        found.append("a separator at the end of each row")
    if reading.decimal is None and style.decimal != ".":
        found.append("the decimal sign is a comma")
    if quote != QUOTE:
        found.append(f"cells in {'single quotes' if quote == SINGLE else quote}")
    if dialect.escape is not None:
        found.append("backslashes before quotes and separators that belong to a cell")
    if encoding:
        found.append(f"the encoding {encoding}")
    if found:
        note(f"{file} is read as follows: {'; '.join(found)}")
    unnamed = header and not trailing and _names_rows(rows, style)
    return replace(dialect, trailing=trailing, header=header, unnamed=unnamed, style=style)


def _names_rows(rows: Sequence[Sequence[str]], style: Style) -> bool:
    """Return whether each row begins with a unique name or number, as R writes tables."""
    if len(rows) < 3 or any(len(row) != len(rows[0]) + 1 for row in rows[1:]):
        return False
    first = [row[0] for row in rows[1:]]
    values = [style.number(cell) for cell in first]
    numbers = [value for value in values if value is not None]
    counted = len(numbers) == len(first) and _counted(numbers)
    return counted or (len({*first}) == len(first) and all(first) and not numbers)


def _trailing(rows: Sequence[Sequence[str]]) -> int:
    """Return the number of cells in each row if the last one is always empty and unnamed."""
    if len(rows) < 2:
        return 0
    width = len(rows[1])
    empty = width > 2 and all(len(row) == width and not row[-1] for row in rows[1:])
    unnamed = len(rows[0]) == width - 1 or (len(rows[0]) == width and not rows[0][-1])
    return width if empty and unnamed else 0


def _written(lines: Sequence[str], given: str | None) -> Dialect:
    """Return the separator of columns, and the quote of cells.

    The best choice gives the most rows of equal width, a header of that width, and the most
    numbers. Of equal choices it takes the sign that the header has most often outside of quotes;
    runs of blanks come last.
    """
    if not lines:
        return Dialect(given or SEPARATORS[0])
    bare = QUOTED.sub("", lines[0])
    ends = {lines[0].strip()[:1], lines[0].strip()[-1:]}
    signs = {*"".join(lines)}
    quotes = [sign for sign in (QUOTE, SINGLE) if sign == QUOTE or sign in signs]
    quotes += [sign for sign in ODD_QUOTES if ends == {sign}]
    escapes = [None, BACKSLASH] if BACKSLASH in signs else [None]
    among = [given] if given else [*SEPARATORS, BLANK]
    fits = {
        dialect: (
            *_fit(lines, dialect),
            one != BLANK,
            bare.count(one),
            _escapes(lines, one, quote) == (escape is not None),
            quote in ODD_QUOTES,
        )
        for quote, escape, one in product(quotes, escapes, among)
        if quote != one
        for dialect in [Dialect(one, quote, escape, _is_spaced(lines, one, quote))]
    }
    found = max(fits, key=fits.__getitem__)
    single = found.quote == QUOTE and len(quotes) > 1 and _all_in_single_quotes(lines, found)
    return replace(found, quote=SINGLE) if single else found


def _escapes(lines: Sequence[str], separator: str, quote: str) -> bool:
    """Return whether each backslash is before a backslash, a separator or a quote."""
    pairs = re.compile(rf"\\[\\{re.escape(separator + quote)}]")
    left = [pairs.sub("", line) for line in lines if BACKSLASH in line]
    return bool(left) and not any(BACKSLASH in line for line in left)


def _is_spaced(lines: Sequence[str], separator: str, quote: str) -> bool:
    """Return whether there are blanks between separators and the quotes of cells."""
    between = re.compile(f"{re.escape(separator)} +{re.escape(quote)}")
    return separator != BLANK and any(between.search(line) for line in lines)


def _all_in_single_quotes(lines: Sequence[str], dialect: Dialect) -> bool:
    """Return whether all cells with words have single quotes around them."""
    cells = chain.from_iterable(dialect.split(lines))
    words = [cell for cell in cells if cell and PLAIN.number(cell) is None]
    return bool(words) and all(len(w) > 1 and w[0] == w[-1] == SINGLE for w in words)


def _fit(lines: Sequence[str], dialect: Dialect) -> tuple[float, bool, float]:
    """Return three scores: rows of the most frequent width, equal header width, and numbers.

    The first and the last are shares of the rows and of the cells.
    """
    rows = dialect.split(lines)
    if not rows:
        return 0.0, False, 0.0
    first, below = len(rows[0]), rows[1:]
    widths = Counter(map(len, below)) or Counter([first])
    width = max(widths, key=lambda one: (widths[one], one == first))
    if width < 2:
        return 0.0, False, 0.0
    if not below:
        return 1.0, True, 0.0
    cells = list(islice(chain.from_iterable(r for r in below if len(r) == width), LOOKED_AT))
    held = sum(PLAIN.number(c) is not None or COMMAS.number(c) is not None for c in cells)
    return widths[width] / len(below), first == width, held / len(cells)


def blanks(line: str) -> str:
    """Return a line with blanks instead of the runs of blanks and tabs between columns."""
    return (line if '"' in line else line.replace("\t", " ")).strip() + "\n"


def _decimal(rows: Sequence[Sequence[str]], reading: Reading) -> str:
    """Return the decimal sign: a comma if some cells need it and no cell has a dot."""
    if reading.thousands in (",", "."):
        return "," if reading.thousands == "." else "."
    grouped = Style(thousands=reading.thousands)
    cells = [grouped.bare(cell) for row in rows[1:] for cell in row]
    commas = [cell for cell in cells if COMMA.fullmatch(cell) and "." not in cell]
    # 1,234 alone is ambiguous: it may be 1234.
    if all(GROUPED.fullmatch(cell) for cell in commas):
        return "."
    return "." if any("." in c and PLAIN.number(c) is not None for c in cells) else ","


def check_names(rows: Sequence[Sequence[str]], style: Style, where: str) -> None:
    """Raise UserError if the first row looks like an example, not like names."""
    if not rows:
        return
    first, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    numbers = [style.number(cell) for cell in first]
    given = [value for value in numbers if value is not None]
    if not given or (_counted(given) and len(given) < len(first)):
        return
    columns = [
        place for place in range(len(first)) if _are_numbers([row[place] for row in below], style)
    ]
    like = [place for place in columns if numbers[place] is not None or is_missing(first[place])]
    all_like = bool(like) and len(like) == len(columns) and any(first[p] for p in like)
    if len(given) == len(first) or all_like or 2 * len(given) > len(first):
        what = "the first row holds numbers, not names"
        names = f"--no-header, by which columns are called 0 to {len(first) - 1}"
        raise UserError(where, what, f"give {names}, or --header, if they are names")


def _are_numbers(cells: Sequence[str], style: Style) -> bool:
    """Return whether all cells that are not missing are numbers."""
    there = [cell for cell in cells if not is_missing(cell)]
    return bool(there) and all(style.number(cell) is not None for cell in there)


def _counted(values: Sequence[float]) -> bool:
    """Return whether numbers count 0, 1, 2, ..., like the column names of an array."""
    return len(values) > 1 and all(b - a == 1 for a, b in pairwise(values))
