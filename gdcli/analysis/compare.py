"""The results of several runs side by side: each method and optimizer at its best in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gdcli.analysis.results import Setting, settings_of
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import OWN, Trials

KIND = ("method", "batch_size", "optimizer", "problem")
OPTIMIZERS = ("weight_decay", "clip_norm")  # varied settings of every optimizer


@dataclass(frozen=True)
class Best:
    """What one run has of a method and an optimizer: its best setting, and how all trials went."""

    run: str
    kind: tuple[Value, ...]  # method, batch size (of minibatch alone), optimizer, and what was
    # varied of the problem: losses of different problems have no lowest
    setting: Setting  # the one with the lowest median final training loss
    settings: str  # what else it says: the schedule, what was varied of the optimizer
    tried: int  # learning rates of all its settings, of which that is the best
    trials: int  # of all settings
    diverged: int
    failed: int


def best_of_each(runs: Mapping[str, Trials]) -> list[Best]:
    """Return the best setting of every kind in every run, kind by kind, the runs in order."""
    found = [best for name, run in runs.items() for best in _best(name, run)]
    kinds = dict.fromkeys(best.kind for best in found)
    return [best for kind in kinds for best in found if best.kind == kind]


def _best(name: str, run: Trials) -> Iterator[Best]:
    groups: dict[tuple[Value, ...], list[Setting]] = {}
    for setting in settings_of(run.trials):
        groups.setdefault(_kind(run.names, setting), []).append(setting)
    for kind, settings in groups.items():
        best = min(settings, key=lambda setting: setting.median)
        given = zip(run.names, best.values, strict=True)
        others = {n: v for n, v in given if n not in KIND and not _is_of_the_problem(n)}
        ends = Counter(trial.status for setting in settings for trial in setting.trials)
        counts = (ends.total(), ends["diverged"], ends["failed"])
        tried = sum(len(setting.cells) for setting in settings)
        yield Best(name, kind, best, _said(others), tried, *counts)


def _kind(names: Sequence[str], setting: Setting) -> tuple[Value, ...]:
    given = dict(zip(names, setting.values, strict=True))
    size = given["batch_size"] if given["method"] == "minibatch" else None
    return given["method"], size, given["optimizer"], problem_of(names, setting) or None


def problem_of(names: Sequence[str], setting: Setting) -> str:
    """Return what a setting says of the problem: "condition=10", "" where nothing of it varies."""
    given = zip(names, setting.values, strict=True)
    return _said({name: value for name, value in given if _is_of_the_problem(name)})


def _is_of_the_problem(name: str) -> bool:
    """Return whether a setting is an option of the problem that was varied."""
    return name not in (*OWN, *OPTIMIZERS) and "." not in name


def _said(values: Mapping[str, Value]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
