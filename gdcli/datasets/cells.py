"""What a cell of text means: a number, a name, or nothing.

A number is written in ASCII: other digits, and underscores between them, are read by Python and
by no other program. What is a name stays the text that it is: a number is the name of a class
only where it is written as it is printed, so that 007 and 7, 2.10 and 2.1, and identifiers of 20
digits that differ in the last stay apart, while 1 and 1.0 are one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

MISSING = {"", "?", "-", "na", "n/a", "nan", "null", "none", "<na>", "nat"}
NO_NUMBER = re.compile(r"[^\x00-\x7f]|_")
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2}.*)?")
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d{1,3}(\.\d{3})+,\d+", re.ASCII)
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{2,3})*,\d{3}(\.\d*)?", re.ASCII)
COMMA_OR_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
SPACED = re.compile(r"[+-]?\d{1,3}([ \u00a0\u202f]\d{3})+([.,]\d*)?")
QUOTED = re.compile(r"[+-]?\d{1,3}('\d{3})+([.,]\d*)?")
BOOLEAN = re.compile(r"true|false", re.IGNORECASE)
ANY = re.compile(r".*", re.DOTALL)
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
        return "[ \u00a0\u202f]" if self.thousands == "blank" else re.escape(self.thousands or "")

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


def advice(cell: str, style: Style) -> str:
    """Return what to do about a cell that is no number, of the column `{}`, quoted."""
    if style.decimal == "," and number(cell) is not None:
        return "give --thousands . if the dot stands between thousands, or --decimal ."
    forms = (
        (BOOLEAN, "give --categorical {} to make it 0 and 1, or --drop {}"),
        (QUOTED, 'give --thousands "\'"'),
        (SPACED, "give --thousands blank"),
        (COMMA_OR_GROUPS, "give --decimal , or --thousands ,"),
        (COMMA, "give --decimal ," + (" --thousands ." if "." in cell else "")),
        (GROUPED, "give --thousands ,"),
        (DATE, "a date is to be made numbers first; or give --drop {}"),
        (ANY, "give --categorical {}, if it is one of some words, or --drop {}"),
    )
    return next(what for form, what in forms if form.fullmatch(cell))
