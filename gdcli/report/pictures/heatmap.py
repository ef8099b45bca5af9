"""The metric at the end over two axes of the grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

from gdcli.analysis.results import Setting, best, settings_of
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import Trial
from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.report.console import literal
from gdcli.report.labels import apart
from gdcli.report.pictures.picture import HeatMap, Square
from gdcli.report.pictures.source import Source

SETTING = "setting"  # the axis of all that is fixed but the learning rate and the seed


class _Axis(NamedTuple):
    """An axis of the grid: a trial's value on it, and the labels of its values in their order."""

    name: str
    value: Callable[[Trial], object]
    labels: Mapping[Any, str]


def heatmap(source: Source, x: str = "lr", y: str = SETTING) -> HeatMap:
    """Return a column a value of `x`, a row a value of `y`.

    A square shows the best of its trials by training loss, its median over the seeds. Raises
    UserError for an axis that the grid does not have.
    """
    across, down = _axis(source, x, "--x"), _axis(source, y, "--y")
    if across.name == down.name:
        raise UserError("--y", f"{show(y)} is the other axis, too", "give two different axes")
    groups: dict[tuple[object, object], list[Trial]] = {}
    for trial in source.run.trials:
        groups.setdefault((down.value(trial), across.value(trial)), []).append(trial)
    squares = [
        [_square(source, groups.get((row, column), ())) for column in across.labels]
        for row in down.labels
    ]
    others = _others(source, across.name, down.name)
    return HeatMap(
        f"Median final {source.label} by {_said(across.name)}",
        _said(across.name),
        _said(down.name),
        list(across.labels.values()),
        list(down.labels.values()),
        squares,
        [f"each at its best {', '.join(others)}"] if others else [],
        f"best of its row{'' if source.metric == 'train_loss' else ' by training loss'}",
        log=source.is_loss,
        share=source.is_share,
    )


def of_settings(source: Source, settings: Sequence[Setting]) -> HeatMap:
    """Return a row for each of some settings, a column for each of their learning rates."""
    rates = apart(cell.lr for setting in settings for cell in setting.cells)
    cells = [{cell.lr: cell for cell in setting.cells} for setting in settings]
    squares = [
        [Square(cell, cell.median) if (cell := row.get(lr)) else None for lr in rates]
        for row in cells
    ]
    title = "Median final training loss by learning rate"
    return HeatMap(
        title, "lr", SETTING, list(rates.values()), list(map(source.name, settings)), squares
    )


def _square(source: Source, trials: Sequence[Trial]) -> Square | None:
    cells = [cell for setting in settings_of(trials) for cell in setting.cells]
    if not cells:
        return None
    chosen = best(cells) or min(cells, key=lambda cell: not cell.ran)
    final = source.final(chosen)
    return Square(chosen, final.median if final else inf)


def _axis(source: Source, name: str, where: str) -> _Axis:
    key = name.replace("-", "_")
    names = ["lr", "seed", SETTING, *source.run.names]
    known = {other.replace("-", "_"): other for other in reversed(names)}
    if key not in known:
        fix = suggestion(key, names) or f"give one of {', '.join(map(literal, names))}"
        raise UserError(where, f"the run has no axis {show(name)}", fix)
    trials, own = source.run.trials, known[key]
    if own == "lr":
        return _Axis(own, lambda trial: trial.lr, apart(trial.lr for trial in trials))
    if own == SETTING and SETTING not in source.run.names:
        names_of = {setting.values: source.name(setting) for setting in source.settings}
        return _Axis(own, lambda trial: trial.setting, names_of)
    if own == "seed":
        return _Axis(own, lambda trial: trial.seed, _labels(trial.seed for trial in trials))
    place = source.run.names.index(own)
    values = (trial.setting[place] for trial in trials)
    return _Axis(own, lambda trial: trial.setting[place], _labels(values))


def _labels(values: Iterable[Value]) -> dict[Value, str]:
    """Return the labels of distinct values, numbers in their order before words in the grid's."""
    distinct = list(dict.fromkeys(values))
    numbers = sorted(value for value in distinct if isinstance(value, int | float))
    words = [value for value in distinct if not isinstance(value, int | float)]
    return {value: "none" if value is None else literal(str(value)) for value in numbers + words}


def _others(source: Source, *shown: str) -> list[str]:
    """Return the axes over which the best is taken: those with several values, but the seed."""
    if SETTING in shown:
        return [] if "lr" in shown else ["learning rate"]
    several = ["learning rate"] if len({t.lr for t in source.run.trials}) > 1 else []
    for place, name in enumerate(source.run.names):
        if len({trial.setting[place] for trial in source.run.trials}) > 1:
            several.append(literal(name).replace("_", " "))
    return [name for name in several if name not in map(_said, shown)]


def _said(name: str) -> str:
    return {"lr": "learning rate"}.get(name) or literal(name).replace("_", " ")
