"""How a table of the user's own is read: the options of every problem that has --data."""

from __future__ import annotations

import codecs
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from gdcli.comma_list import split
from gdcli.errors import UserError
from gdcli.fields import LATER, show

AUTO = "auto"
TEST_FRACTION = 0.2  # unless it is given
WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "blanks": " ", "bar": "|"}
WORDS = {
    "tab": "\t",
    "\\t": "\t",
    "comma": ",",
    "semicolon": ";",
    "blanks": " ",
    "bar": "|",
    "space": " ",
    "pipe": "|",
}
CELLS = ("header", "decimal", "thousands", "skip_rows")  # options that a workbook has a use for
TEXTUAL = ("separator", "header", "decimal", "thousands", "encoding", "comment", "skip_rows")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the user says of a file; what is left out is found in it."""

    test_data: Annotated[
        Path | None, LATER, "file of test examples, read as --data is, of which none is held out"
    ] = None
    separator: Annotated[
        str | None, LATER, "what separates columns of text: a character, tab, or blanks"
    ] = None
    header: Annotated[bool | None, LATER, "take the first row of --data for names, or not"] = None
    decimal: Annotated[Literal[".", ","] | None, LATER, "decimal sign of --data"] = None
    thousands: Annotated[
        Literal[",", ".", "'", "blank"] | None, LATER, "what stands between thousands in --data"
    ] = None
    encoding: Annotated[str | None, LATER, "encoding of --data, such as cp1252 or utf-16"] = None
    comment: Annotated[str | None, LATER, "what begins a comment in a line of --data"] = None
    skip_rows: Annotated[int, LATER, "lines of --data to skip at its start", Ge(0)] = 0
    categorical: Annotated[
        str | None,
        LATER,
        "columns to make one of 0 and 1 a category of: auto, or names with commas",
    ] = None
    drop: Annotated[str | None, LATER, "columns of --data not to use: names with commas"] = None
    missing: Annotated[
        Literal["error", "drop", "mean"],
        LATER,
        "what a missing value is: an error, its row dropped, or the training part's mean",
    ] = "error"

    def check_reading(self, data: Path | None, test_fraction: float) -> None:
        """Raise UserError for options that cannot be, or have no file to be about."""
        if self.test_data is not None and data is None:
            what = "there is no file to train on beside it"
            raise UserError("--test-data", what, "add --data FILE.csv")
        if self.test_data is not None and test_fraction != TEST_FRACTION:
            what = f"the test part is the file {show(str(self.test_data))} of --test-data"
            raise UserError("--test-fraction", what, "leave out one of the two")
        given = next((f.name for f in fields(Reading) if getattr(self, f.name) != f.default), None)
        if given is not None and data is None:
            name = f"--{given.replace('_', '-')}"
            raise UserError(name, "there is no file that it could be about", "add --data FILE.csv")
        if self.separator is not None and len(self.delimiter or "") != 1:
            what = f"{show(self.separator)} is no single character"
            raise UserError("--separator", what, "give one, or a word: tab, blanks")
        if self.delimiter in ('"', "\n", "\r"):
            what = f"{show(self.separator)} cannot stand between columns"
            raise UserError("--separator", what, "give another character, or a word: tab, blanks")
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.comment is not None and not self.comment.strip():
            raise UserError("--comment", "it is empty", "give a mark such as #")
        if self.decimal is not None and self.decimal == self.thousands:
            what = f"{show(self.decimal)} is the decimal sign, too"
            raise UserError("--thousands", what, "give two different signs")
        _ = self.dropped, self.categories

    @property
    def delimiter(self) -> str | None:
        """The character that separates columns; a blank stands for any run of them."""
        return WORDS.get(self.separator, self.separator) if self.separator is not None else None

    @property
    def textual(self) -> str | None:
        """The first option given that is about a file of text, as it is typed."""
        return self.textual_but(())

    def textual_but(self, used: Collection[str]) -> str | None:
        """Return the first such option that is none of those that are used."""
        named = (f for f in fields(Reading) if f.name in TEXTUAL and f.name not in used)
        given = (f.name for f in named if getattr(self, f.name) != f.default)
        name = next(given, None)
        return name and f"--{name.replace('_', '-')}"

    @property
    def dropped(self) -> tuple[str, ...]:
        """The columns that are not used."""
        return _names(self.drop, "--drop")

    @property
    def categories(self) -> tuple[str, ...]:
        """The columns of categories that are named: none, where they are found."""
        return () if self.categorical == AUTO else _names(self.categorical, "--categorical")


def _names(text: str | None, where: str) -> tuple[str, ...]:
    if text is None:
        return ()
    names = tuple(name.strip() for name in split(text, where))
    if "" in names:
        raise UserError(where, "there is an empty name in the list", "remove the extra comma")
    return names


def _check_encoding(name: str) -> None:
    try:
        known = codecs.lookup(name)._is_text_encoding  # noqa: SLF001 -- as open() asks
    except (LookupError, ValueError):
        known = False
    if not known:
        what = f"there is no encoding {show(name)}"
        raise UserError("--encoding", what, "give one such as utf-8, cp1252, latin-1 or utf-16")
