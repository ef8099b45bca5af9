"""What a cell of text means: a number, a name, or nothing.

A number is written in ASCII: other digits, and underscores between them, are read by Python and
by no other program. What is a name stays the text that it is: a number is the name of a class
only where it is written as it is printed, so that 007 and 7, 2.10 and 2.1, and identifiers of 20
digits that differ in the last stay apart, while 1 and 1.0 are one.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from gdcli.comma_list import typed
from gdcli.fields import show

# Words for a value that is not there, and what spreadsheets write where there is none.
MISSING = {
    *("", "?", "-", "--", "---", ".", "..", "na", "n/a", "n.a.", "nan", "-nan", "null", "none"),
    *("missing", "<na>", "nat", "#na", "#n/a", "#n/a n/a", "#div/0!", "#value!", "#ref!", "#name?"),
    *("#num!", "#null!", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind"),
}
NO_NUMBER = re.compile(r"[^\x00-\x7f]|_")
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2}.*)?")
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d{1,3}(\.\d{3})+,\d+", re.ASCII)
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{2,3})*,\d{3}(\.\d*)?", re.ASCII)
BOOLEAN = re.compile(r"true|false", re.IGNORECASE)
UNIT = re.compile(r"[^\w\s]?\s?[+-]?\d[\d.,]*([eE][+-]?\d+)?\s?([^\d\s]{1,12})?", re.ASCII)
THOUSANDS = (None, ",", ".", "'", "blank")
EXACT = 2.0**53  # the integers up to which all are float64


@dataclass(frozen=True)
class Style:
    """How numbers are written in a file."""

    decimal: str = "."
    thousands: str | None = None

    @cached_property
    def plain(self) -> bool:
        """Whether they are written as in a program."""
        return self.decimal == "." and self.thousands is None

    def bare(self, cell: str) -> str:
        """Return a number as a program writes it; what is none is returned as it is, or as none."""
        if self.plain:
            return cell
        if self.thousands is not None and self._grouped.match(cell):
            cell = re.sub(self._mark, "", cell)
        if self.decimal == ",":
            # A dot would be taken for a decimal sign, which it is not.
            return cell.replace(".", "_").replace(",", ".")
        return cell

    @cached_property
    def _mark(self) -> str:
        if self.thousands == "blank":
            return "[ \u00a0\u202f]"
        # Swiss tables have the typographic apostrophe, too.
        return "['\u2019]" if self.thousands == "'" else re.escape(self.thousands or "")

    @cached_property
    def _grouped(self) -> re.Pattern[str]:
        return re.compile(rf"[+-]?\d{{1,3}}({self._mark}\d{{2,3}})*{self._mark}\d{{3}}(?!\d)")

    def number(self, cell: str) -> float | None:
        """Return the number that a cell is, None where it is none, or is not finite."""
        value = number(self.bare(cell))
        return value if value is not None and math.isfinite(value) else None

    def numbers(self, cells: Sequence[str]) -> list[float] | None:
        """Return the numbers that cells are, None where one is none; one may not be finite."""
        texts = cells if self.plain else list(map(self.bare, cells))
        if NO_NUMBER.search("".join(texts)):
            return None
        try:
            return list(map(float, texts))
        except ValueError:
            return None


def number(text: str) -> float | None:
    """Return the number of float64 that a text is, which may be nan or inf; None for other text."""
    try:
        return None if NO_NUMBER.search(text) else float(text)
    except ValueError:
        return None


def is_missing(cell: str) -> bool:
    """Return whether a cell says that there is no value."""
    return cell.lower() in MISSING


def is_name(cells: Iterable[str], style: Style) -> bool:
    """Return whether there is text among the cells that is neither a number nor missing."""
    return any(style.number(c) is None and not is_missing(c) for c in set(cells))


def lost_digits(cells: Iterable[str], style: Style) -> str | None:
    """Return an integer among cells that no float64 is."""
    for cell in cells:
        digits = style.bare(cell).lstrip("+-")
        whole = len(digits) > 15 and digits.isascii() and digits.isdecimal()
        if whole and (len(digits) > 308 or int(float(digits)) != int(digits)):
            return cell
    return None


def identity(text: str) -> float | str:
    """Return what two names have in common that are one: their number, if it is printed so."""
    value = number(text)
    if value is None or not math.isfinite(value):
        return text
    printed = {repr(value), f"{value:.0f}" if abs(value) < EXACT else ""}
    return value if text in printed else text


def styles_of(cell: str, style: Style, others: Iterable[str]) -> list[str]:
    """Return the options by which a cell is a number, as are the others that are; the fewest.

    Raises ValueError where the cell alone is one by some options, but the others are not.
    """
    numbers = sorted(other for other in others if style.number(other) is not None)
    options = []
    wrong = ""
    for decimal in (".", ","):
        for new in (Style(decimal, mark) for mark in THOUSANDS if mark != decimal):
            if new.number(cell) is None:
                continue
            odd = next((one for one in numbers if new.number(one) is None), None)
            if odd is None:
                options.append(_changes(style, new))
                break
            wrong = wrong or odd
    if wrong and not options:
        raise ValueError(wrong)
    fewest = min(map(len, options), default=0)
    return [" ".join(option) for option in options if len(option) == fewest]


def _changes(old: Style, new: Style) -> list[str]:
    """Return the options to give so that numbers are read in another way."""
    options = [f"--decimal {new.decimal}"] if new.decimal != old.decimal else []
    if new.thousands is not None and new.thousands != old.thousands:
        mark = '"\'"' if new.thousands == "'" else new.thousands
        options.append(f"--thousands {mark}")
    if new.thousands is None and old.thousands is not None:
        options.append("without --thousands")
    return options


def instead(name: str, *, predicted: bool, words: bool) -> str:
    """Return what to do about a column that holds no numbers; `words`: it may be of categories."""
    if predicted:
        return (
            "name another --target, or, if it names classes, run softmax-regression or mlp "
            "--task classification"
        )
    categorical = f"give --categorical {typed(name)}, or --drop {typed(name)}"
    return categorical if words else f"make them numbers, or give --drop {typed(name)}"


def advice(
    cell: str, style: Style, name: str, others: Iterable[str] = (), *, predicted: bool = False
) -> str:
    """Return what to do about a cell that is no number, of a column of this name.

    `others` are cells that are read alike, `predicted` says that the column is the target.
    """
    try:
        if options := styles_of(cell, style, others):
            return f"give {' or '.join(options)}"
    except ValueError as error:
        return f"write all numbers with the same signs; there is {show(str(error))}, too"
    column = typed(name)
    drop = "take out the row" if predicted else f"give --drop {column}"
    some = f"give --categorical {column}, if it is one of some words, --drop {column}"
    forms = {
        _in_ascii(cell) is not None: f"write it as {_in_ascii(cell)}, or {drop}",
        DATE.fullmatch(cell) is not None: f"make a date or a time numbers first, or {drop}",
    }
    if True in forms:
        return forms[True]
    if predicted:
        return (
            "correct it, take out the row, or, if it names classes, run softmax-regression or mlp "
            "--task classification"
        )
    if BOOLEAN.fullmatch(cell):
        return f"give --categorical {column} to make it 0 and 1, or --drop {column}"
    alone = "write the number alone, " if UNIT.fullmatch(cell) else ""
    return f"{alone}{some}, or take out the row"


def _in_ascii(cell: str) -> str | None:
    """Return a number in other digits, or with another minus, as a program writes it."""
    if cell.isascii():
        return None
    digits = (str(unicodedata.decimal(sign, sign)) for sign in unicodedata.normalize("NFKC", cell))
    text = "".join(digits).replace("\u2212", "-")
    return text if Style().number(text) is not None else None
