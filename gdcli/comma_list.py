"""Several values in one text: `a,max(x, y),"b,c"` holds three.

A comma in brackets or in quotes belongs to a value. The quotes around a value are not part of
it, and one of their kind inside them is doubled, as in CSV.
"""

from __future__ import annotations

import re

from gdcli.errors import UserError
from gdcli.fields import show

CLOSES = {"(": ")", "[": "]"}
MARKS = re.compile(r"[][(),]")
QUOTED = re.compile(r"""\s*(["'])((?:(?!\1).|\1\1)*)\1\s*(?=,|\Z)""", re.DOTALL)
OPENS = re.compile(r"""\s*["']""")


def split(text: str, where: str) -> list[str]:
    """Return the values of a list; what has no comma is one value, whatever brackets it has.

    Raises UserError, naming `where`, for brackets that do not match, or a quote left open.
    """
    if "," not in text and not QUOTED.fullmatch(text):
        return [text]
    values = []
    at = 0
    while at <= len(text):
        value, end = _first(text, at, where)
        values.append(value)
        at = end + len(",")
    return values


def written(value: str) -> str:
    """Return a value as it stands in a list: in quotes where it needs them to be read back."""
    try:
        bare = split(f"{value},", "") == [value, ""]
    except UserError:
        bare = False
    return value if bare else '"' + value.replace('"', '""') + '"'


def typed(value: str) -> str:
    """Return a value of a list as it is typed in a shell, quoted."""
    return show(written(value))


def _first(text: str, at: int, where: str) -> tuple[str, int]:
    """Return the value that begins at a place, and where it ends."""
    if quoted := QUOTED.match(text, at):
        mark = quoted[1]
        return quoted[2].replace(2 * mark, mark), quoted.end()
    if OPENS.match(text, at):
        what = f"{show(text[at:])} begins with a quote, but no value ends with it"
        raise UserError(where, what, "close it at the end of the value")
    end = _end(text, at, where)
    return text[at:end], end


def _end(text: str, at: int, where: str) -> int:
    """Return where a value without quotes ends: at a comma in no brackets, or with the text."""
    opened: list[str] = []
    for found in MARKS.finditer(text, at):
        mark = found[0]
        if mark in CLOSES:
            opened.append(mark)
        elif mark != ",":
            if not opened or CLOSES[opened.pop()] != mark:
                raise _unmatched(mark, "opened", text[at:], where)
        elif not opened:
            return found.start()
    if opened:
        raise _unmatched(opened[-1], "closed", text[at:], where)
    return len(text)


def _unmatched(mark: str, missing: str, text: str, where: str) -> UserError:
    what = f"the {show(mark)} in {show(text)} is never {missing}"
    return UserError(where, what, "give its pair, or put the value in quotes")
