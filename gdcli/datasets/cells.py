"""What a cell of text means: a number, a class, or nothing; and the classes of a target.

A number is written in ASCII; only Python reads other digits, and underscores between them. A class
keeps its text, because 007 and 7, 2.10 and 2.1, and two identifiers of 20 digits are different
classes. 1 and 1.0 are the same class: a number that is written as it is printed is that number.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from gdcli.errors import UserError
from gdcli.fields import show, typed
from gdcli.problem import Array, Data

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

# Words for a missing value, and the errors that spreadsheets write instead of a value.
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
EXACT = 2.0**53  # float64 has all integers up to this


@dataclass(frozen=True)
class Style:
    """The signs with which a file writes its numbers."""

    decimal: str = "."
    thousands: str | None = None

    @cached_property
    def plain(self) -> bool:
        """Whether numbers are written as in a program."""
        return self.decimal == "." and self.thousands is None

    def bare(self, cell: str) -> str:
        """Return a number as a program writes it; other text stays, or becomes no number."""
        if self.plain:
            return cell
        if self.thousands is not None and self._grouped.match(cell):
            cell = re.sub(self._mark, "", cell)
        if self.decimal == ",":
            # A dot is not the decimal sign here, but float() would read it as one.
            return cell.replace(".", "_").replace(",", ".")
        return cell

    @cached_property
    def _mark(self) -> str:
        if self.thousands == "blank":
            return "[ \u00a0\u202f]"
        # Swiss tables also use the typographic apostrophe.
        return "['\u2019]" if self.thousands == "'" else re.escape(self.thousands or "")

    @cached_property
    def _grouped(self) -> re.Pattern[str]:
        return re.compile(rf"[+-]?\d{{1,3}}({self._mark}\d{{2,3}})*{self._mark}\d{{3}}(?!\d)")

    def number(self, cell: str) -> float | None:
        """Return the number in a cell; None if there is none, or it is not finite."""
        value = number(self.bare(cell))
        return value if value is not None and math.isfinite(value) else None

    def numbers(self, cells: Sequence[str]) -> list[float] | None:
        """Return the numbers in cells, perhaps not finite; None if a cell is not a number."""
        texts = cells if self.plain else list(map(self.bare, cells))
        if NO_NUMBER.search("".join(texts)):
            return None
        try:
            return list(map(float, texts))
        except ValueError:
            return None


def number(text: str) -> float | None:
    """Return the float64 in a text, perhaps nan or inf; None for other text."""
    try:
        return None if NO_NUMBER.search(text) else float(text)
    except ValueError:
        return None


def is_missing(cell: str) -> bool:
    """Return whether a cell marks a missing value."""
    return cell.lower() in MISSING


def is_name(cells: Iterable[str], style: Style) -> bool:
    """Return whether a cell is neither a number nor missing."""
    return any(style.number(c) is None and not is_missing(c) for c in set(cells))


def lost_digits(cells: Iterable[str], style: Style) -> str | None:
    """Return an integer among the cells that float64 cannot hold exactly."""
    for cell in cells:
        digits = style.bare(cell).lstrip("+-")
        whole = len(digits) > 15 and digits.isascii() and digits.isdecimal()
        if whole and (len(digits) > 308 or int(float(digits)) != int(digits)):
            return cell
    return None


def identity(text: str) -> float | str:
    """Return a key that two spellings of one class share: the number, if it is printed so."""
    value = number(text)
    if value is None or not math.isfinite(value):
        return text
    printed = {repr(value), f"{value:.0f}" if abs(value) < EXACT else ""}
    return value if text in printed else text


def styles_of(cell: str, style: Style, others: Iterable[str]) -> list[str]:
    """Return the fewest changed options with which a cell, and all other numbers, are numbers.

    Raises ValueError if some options make the cell a number, but not the others.
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
    """Return the options to type for another number format."""
    options = [f"--decimal {new.decimal}"] if new.decimal != old.decimal else []
    if new.thousands is not None and new.thousands != old.thousands:
        mark = '"\'"' if new.thousands == "'" else new.thousands
        options.append(f"--thousands {mark}")
    if new.thousands is None and old.thousands is not None:
        options.append("without --thousands")
    return options


def instead(name: str, *, predicted: bool, words: bool) -> str:
    """Return the fix for a column without numbers; `words`: it may hold categories."""
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
    """Return the fix for a cell of this column that is not a number.

    `others` are other cells of the same format; `predicted`: the column is the target.
    """
    try:
        if options := styles_of(cell, style, others):
            return f"give {' or '.join(options)}"
    except ValueError as error:
        return f"write all numbers with the same signs; there is also {show(str(error))}"
    column = typed(name)
    drop = "take out the row" if predicted else f"give --drop {column}"
    some = f"give --categorical {column}, if it is a category, --drop {column}"
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
    """Return a number with non-ASCII digits or minus as a program writes it."""
    if cell.isascii():
        return None
    digits = (str(unicodedata.decimal(sign, sign)) for sign in unicodedata.normalize("NFKC", cell))
    text = "".join(digits).replace("\u2212", "-")
    return text if Style().number(text) is not None else None


_HEARD: ContextVar[dict[str, None] | None] = ContextVar("heard", default=None)


def note(line: str) -> None:
    """Add a note to the current collection, if any; equal notes count once."""
    heard = _HEARD.get()
    if heard is not None:
        heard[line] = None


@contextmanager
def collected() -> Iterator[dict[str, None]]:
    """Collect the notes made inside the context, in order, as keys of a dictionary."""
    lines: dict[str, None] = {}
    token = _HEARD.set(lines)
    try:
        yield lines
    finally:
        _HEARD.reset(token)


ENOUGH = 10  # rows from which on a note about many classes makes sense
MOST = 1000  # more different values are measurements, and would fill the memory


@dataclass(frozen=True, eq=False)
class Classes:
    """The class of each example, (examples,) int64 from 0, and the names of the classes."""

    places: Array
    names: tuple[str, ...]
    fixed: bool = False  # the user chose the test examples


def number_classes(labels: Sequence[str] | NDArray[np.generic], column: str) -> Classes:
    """Return the class of each label, counted from 0 in the order of the labels.

    Numbers are ordered by size, so 10 follows 9 and not 1. Raises UserError if the column has one
    value only, or too many.
    """
    known, places = ranked(labels)
    if len(known) < 2:
        what = f"column {show(column)} has only the value {show(known[0])}"
        if others := sorted({*map(str, labels)} - {*known}) if isinstance(labels, Sequence) else []:
            what += f" ({show(others[0])} is the same number)"
        raise UserError("--target", what, "choose a column of two or more classes")
    if len(known) > MOST:
        what = f"column {show(column)} has {len(known)} different values, more than {MOST} classes"
        fix = "choose a column of classes; for numbers, run linear-regression or mlp"
        raise UserError("--target", what, f"{fix} with --task regression")
    if mostly_apart(len(known), len(labels)):
        what = f"column {show(column)} has {len(known)} different values in {len(labels)} rows"
        note(f"{what}; if they are measurements, run linear-regression or mlp --task regression")
    if isinstance(labels, Sequence):
        tell_alike(ranks(set(labels)), column)
    return Classes(places.astype("int64"), known)


def mostly_apart(classes: int, rows: int) -> bool:
    """Return whether the labels may be measurements, because there are many for the rows."""
    return rows >= ENOUGH and 2 * classes > rows


def ranked(labels: Sequence[str] | NDArray[np.generic]) -> tuple[tuple[str, ...], Array]:
    """Return the distinct labels in order, and the rank of each label among them."""
    import numpy as np

    if isinstance(labels, Sequence):
        # Distinct labels first: an array of texts would be as wide as the longest for all rows.
        rank = ranks(set(labels))
        names = {place: name for name, place in reversed(rank.items())}
        return tuple(names[i] for i in range(len(names))), np.array([rank[x] for x in labels])
    known, places = np.unique(labels, return_inverse=True)
    if known.dtype.kind == "f" and (known % 1 == 0).all() and (np.abs(known) < EXACT).all():
        known = known.astype("int64")  # its name is 1, not 1.0
    return tuple(map(str, known)), places


def ranks(labels: Collection[str]) -> dict[str, int]:
    """Return the rank of each label; labels are ordered by size if all are numbers."""
    values = {label: number(label) for label in labels}
    if any(value is None or value != value for value in values.values()):  # noqa: PLR0124 -- nan
        return {label: i for i, label in enumerate(sorted(labels))}
    rank: dict[str, int] = {}
    places: dict[float | str, int] = {}
    for label in sorted(labels, key=lambda text: (values[text] or 0.0, text)):
        rank[label] = places.setdefault(identity(label), len(places))
    return rank


def tell_alike(rank: Mapping[str, int], column: str, kind: str = "class") -> None:
    """Note which labels are one class in two spellings, and which similar labels are two classes.

    One class: equal numbers. Two: words that differ only in capitals, blanks or forms of letters.
    """
    alike: dict[float | str, list[str]] = defaultdict(list)
    for label in rank:
        value = number(label)
        folded = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
        alike[folded if value is None or value != value else value].append(label)  # noqa: PLR0124 -- nan
    for first, second, *_ in (texts for texts in alike.values() if len(texts) > 1):
        many = "categories" if kind == "category" else "classes"
        one = rank[first] == rank[second]
        what = f"one {kind}" if one else f"two {many}, as they are written differently"
        same = unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)
        shown = " and ".join(ascii(x) if same else show(x) for x in (first, second))
        note(f"in column {show(column)} {shown} are {what}")


def count_classes(data: Data) -> int:
    """Return the number of classes, including those without a training example."""
    return 1 + max(int(part["y"].max()) for part in (data.train, data.test) if part)


def tell_absent(data: Data, classes: Classes, *, stratified: bool) -> None:
    """Note which classes have no training example, or no test example.

    A split with --stratify has noted before which classes the test part lacks.
    """
    import numpy as np

    every = np.bincount(classes.places, minlength=len(classes.names))
    for word, part in (("training", data.train), ("test", data.test)):
        if not part or (stratified and word == "test"):
            continue
        there = np.bincount(part["y"].ravel().astype("int64"), minlength=len(classes.names))
        absent = np.flatnonzero((there == 0) & (every > 0)).tolist()
        if absent:
            listed = ", ".join(show(classes.names[i]) for i in absent[:5])
            listed += ", ..." if len(absent) > 5 else ""
            of = "class" if len(absent) == 1 else "classes"
            # The only example of a class is a training example.
            helps = not stratified and (word == "training" or every[absent].max() > 1)
            fix = "; --stratify splits each class" if helps and not classes.fixed else ""
            note(f"there is no {word} example of the {of} {listed}{fix}")


def with_one_hot(data: Data) -> Data:
    """Return the examples with one-hot classes, of equal width in both parts."""
    count = count_classes(data)
    train, test = ({**p, "y": one_hot(p["y"], count)} if p else p for p in (data.train, data.test))
    return replace(data, train=train, test=test)


def one_hot(classes: Array, count: int) -> Array:
    """Return float64 of shape (examples, count): 1 in the column of each example's class."""
    import numpy as np

    return np.eye(count)[classes]
