"""How settings and their numbers are written.

Times and sizes as a person says them.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from gdcli.report.console import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gdcli.analysis.best import Setting
    from gdcli.runs.csv_read import Value

DIGITS = 4
RATES = {  # columns of learning rates
    *("lr", "best_lr", "first_lr", "second_lr", "held_out_lr", "good_from", "good_to"),
    *("suggested_lr", "best_held_lr", "diverges_from_lr"),
}
FACTORS = {"rate", "theory_rate"}  # columns of what a step multiplies something by


def rounded(value: Value) -> str:
    """Return a value with four digits, for people, and nothing for None."""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return "" if value is None else str(value)


def all_digits(value: Value) -> str:
    """Return a value with all its digits, for programs, and nothing for None."""
    return "" if value is None else str(value)


def for_json(value: Value) -> Value:
    """Return a value as strict JSON has it: nan and inf, which are no numbers there, as text."""
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def distinct_labels(values: Iterable[float], least: int = DIGITS) -> dict[float, str]:
    """Return labels of numbers, ascending, with as many digits as tell them apart, or `least`."""
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


def texts_of(
    rows: Sequence[Mapping[str, Value]], names: Sequence[str], rates: Iterable[float] = ()
) -> list[dict[str, str]]:
    """Return rows as people read them: rounded, but for what rounding would make another.

    Learning rates are told apart, from each other and from all `rates` of the run.
    """
    found = [row[name] for row in rows for name in names if name in RATES]
    known = distinct_labels([*rates, *(value for value in found if isinstance(value, float))])

    def text(name: str, value: Value) -> str:
        if isinstance(value, float) and name in RATES:
            return known.get(value, rounded(value))  # nan is no key
        return factor(value) if isinstance(value, float) and name in FACTORS else rounded(value)

    return [{name: text(name, row[name]) for name in names} for row in rows]


def namer(names: Sequence[str], settings: Sequence[Setting]) -> Callable[[Setting], str]:
    """Return what names a setting: "minibatch 32 momentum cosine condition=10".

    The batch size is said where it is a choice, the schedule where there are several.
    """
    schedules = {setting.values[names.index("schedule")] for setting in settings}

    def name(setting: Setting) -> str:
        given = dict(zip(names, setting.values, strict=True))
        method, size = given.pop("method"), given.pop("batch_size")
        optimizer, schedule = given.pop("optimizer"), given.pop("schedule")
        words = [method, size if method == "minibatch" else None, optimizer]
        words.append(schedule if len(schedules) > 1 else None)
        words += [f"{key}={value}" for key, value in given.items() if value is not None]
        return literal(" ".join(str(word) for word in words if word is not None))

    return name


SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


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
