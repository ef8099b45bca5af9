"""How values are written: numbers, sizes, times and settings, and texts in the cells of CSV files.

A spreadsheet takes a cell that begins like a formula for one, in quotes, too. Such a text has an
apostrophe before it in gdcli's files, and so has one that begins with an apostrophe itself: to take
one apostrophe off the front gives the text back.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from gdcli.fields import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DIGITS = 4
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def rounded(value: float | str | None) -> str:
    """Return a value with four digits, for people, and nothing for None."""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return "" if value is None else str(value)


def all_digits(value: float | str | None) -> str:
    """Return a value with all its digits, for programs, and nothing for None."""
    return "" if value is None else str(value)


def for_json(value: float | str | None) -> float | str | None:
    """Return a value for strict JSON, which has no nan and inf: these as text."""
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def distinct_labels(values: Iterable[float], least: int = DIGITS) -> dict[float, str]:
    """Return labels of numbers, ascending, with enough digits to differ, and `least` at least."""
    distinct = sorted(set(values))
    for digits in range(least, 17):
        labels = [f"{value:.{digits}g}" for value in distinct]
        if len(set(labels)) == len(labels):
            return dict(zip(distinct, labels, strict=True))
    return {value: repr(value) for value in distinct}


def factor(value: float) -> str:
    """Return what a step multiplies something by: 1 only where it is 1.

    A hair below 1 is the difference between a descent that ends and one that never does.
    """
    text = f"{value:.{DIGITS}g}"
    if text != "1" or value == 1:
        return text
    sign = "+" if value > 1 else "-"
    full = f"{value:.8g}"
    return full if full != "1" else f"1 {sign} {abs(value - 1):.2g}"


def duration(seconds: float) -> str:
    """Return a time: "0.8 s", "3 min 20 s", "2 h 5 min"; unknown where it is not finite."""
    if not isfinite(seconds):
        return "unknown"
    if round(seconds) < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def bytes_in_words(count: float) -> str:
    """Return a number of bytes in decimal units: "1.2 MB"."""
    unit = 0
    while count >= 999.5 and unit < len(SIZES) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {SIZES[unit]}"


def percent(share: float) -> str:
    """Return a share in percent with two digits, never rounded to nothing."""
    if 0 < share < 1e-6:
        return "less than 0.0001%"
    return f"{float(f'{100 * share:.2g}'):g}%"


def compact(number: float) -> str:
    """Return a number in three digits: 1.25M."""
    for size, letter in UNITS:
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def settings_in_words(settings: Mapping[str, object], *, schedule: bool) -> str:
    """Return settings by name as "minibatch 32 momentum cosine lr=0.1 condition=10".

    The batch size stands there for minibatch only, the schedule only if asked for, and no None.
    """
    others = dict(settings)
    method, size = others.pop("method"), others.pop("batch_size", None)
    optimizer, scheduled = others.pop("optimizer"), others.pop("schedule", None)
    first = [method, size if method == "minibatch" else None, optimizer]
    words = [*first, scheduled if schedule else None]
    words += [f"{name}={value}" for name, value in others.items() if value is not None]
    return " ".join(str(word) for word in words if word is not None)


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
