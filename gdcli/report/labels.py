"""How settings and their numbers are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import isfinite

from gdcli.analysis.results import Setting
from gdcli.analysis.rows import Value
from gdcli.report.console import literal

DIGITS = 4


def short(value: Value) -> str:
    """Return a value with four digits, for people, and nothing for None."""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return "" if value is None else str(value)


def in_full(value: Value) -> str:
    """Return a value with all its digits, for programs, and nothing for None."""
    return "" if value is None else str(value)


def for_json(value: Value) -> Value:
    """Return a value as strict JSON has it: nan and inf, which are no numbers there, as text."""
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def apart(values: Iterable[float], least: int = DIGITS) -> dict[float, str]:
    """Return labels of numbers, ascending, with as many digits as tell them apart, or `least`."""
    distinct = sorted(set(values))
    for digits in range(least, 17):
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
        words.append(schedule if len(schedules) > 1 else None)
        words += [f"{key}={value}" for key, value in given.items() if value is not None]
        return literal(" ".join(str(word) for word in words if word is not None))

    return name
