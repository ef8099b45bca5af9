"""How settings and their numbers are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.numbers import distinct_labels, factor, rounded, settings_in_words
from gdcli.report.console import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gdcli.analysis.best import Setting
    from gdcli.runs.csv_read import Value

RATES = {  # columns of learning rates
    *("lr", "best_lr", "first_lr", "second_lr", "held_out_lr", "good_from", "good_to"),
    *("suggested_lr", "best_held_lr", "diverges_from_lr"),
}
FACTORS = {"rate", "theory_rate"}  # columns of what a step multiplies something by


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

    several = len(schedules) > 1

    def name(setting: Setting) -> str:
        given = dict(zip(names, setting.values, strict=True))
        return literal(settings_in_words(given, schedule=several))

    return name
