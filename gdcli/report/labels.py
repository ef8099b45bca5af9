"""How settings and numbers are written where a person reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import isfinite

from gdcli.analysis.results import Setting
from gdcli.analysis.rows import Value
from gdcli.report.console import literal

DIGITS = 4
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def number(value: float | None) -> str:
    """Return a number to four digits, and nothing for None."""
    return "" if value is None else f"{value:.{DIGITS}g}"


def apart(values: Iterable[float]) -> dict[float, str]:
    """Return labels of different numbers, with as many digits as tell them apart."""
    distinct = sorted(set(values))
    for digits in range(DIGITS, 17):
        labels = [f"{value:.{digits}g}" for value in distinct]
        if len(set(labels)) == len(labels):
            return dict(zip(distinct, labels, strict=True))
    return {value: repr(value) for value in distinct}


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
        words += [schedule if len(schedules) > 1 else None]
        words += [f"{key}={word(value)}" for key, value in given.items() if value is not None]
        return literal(" ".join(word(part) for part in words if part is not None))

    return name


def word(value: Value) -> str:
    """Return a setting as text."""
    return "" if value is None else str(value)


def duration(seconds: float) -> str:
    """Return a time as a person says it: "0.8 s", "3 min 20 s", "2 h 5 min"."""
    if not isfinite(seconds):
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def size(count: int) -> str:
    """Return a number of bytes in decimal units, as --memory reads them: "1.2 MB"."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {UNITS[unit]}"
