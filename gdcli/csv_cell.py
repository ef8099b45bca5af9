"""Text in the cells of CSV files, so that no spreadsheet runs it.

A spreadsheet takes a cell that begins like a formula for one, in quotes, too. Such a text has an
apostrophe before it in gdcli's files, and so has one that begins with an apostrophe itself: to take
one apostrophe off the front gives the text back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.fields import NUMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "'"
WIDE = ("\uff1d", "\uff0b", "\uff0d", "\uff20")  # the same signs as East Asian keyboards have them
RISKY = ("=", "+", "-", "@", *WIDE, "\t", "\r", "\n", MARK)


def harmless(text: str) -> str:
    """Return a cell that a spreadsheet shows as text; numbers are left as they are."""
    if not text.startswith(RISKY) or NUMBER.fullmatch(text) or text in ("-inf", "-nan"):
        return text
    return MARK + text


def as_given(cell: str) -> str:
    """Return the text of a cell."""
    return cell.removeprefix(MARK)


def quoted(cell: str) -> str:
    """Return a cell as CSV writes it, in quotes where it must be."""
    if not set(cell) & set(',"\r\n'):
        return cell
    return '"' + cell.replace('"', '""') + '"'


def csv_line(cells: Sequence[str]) -> str:
    """Return cells as a line, quoted where it needs be; no spreadsheet runs their texts."""
    return ",".join(quoted(harmless(cell)) for cell in cells) + "\n"
