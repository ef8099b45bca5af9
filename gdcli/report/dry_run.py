"""What a dry run prints: the cohorts of a grid, what they would cost, and every trial."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from gdcli.catalog.catalog import name_of, owned
from gdcli.experiment.axis import text
from gdcli.experiment.training import BUDGETS
from gdcli.fields import counted
from gdcli.numbers import bytes_in_words, duration
from gdcli.report.console import literal, print_lines
from gdcli.report.text_tables import print_json, print_listing, texts_of
from gdcli.runs.table import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from gdcli.catalog.composed import Share
    from gdcli.engine.estimate import Estimate
    from gdcli.experiment.grid import Trial

MOST_TRIALS = 40  # of the table for people: more would hide what comes first
MOST_NAMES = 4  # of parameters with the same settings


def print_plan(plan: Estimate, form: str, console: Console) -> None:
    """Print the cohorts, the totals and the trials; as csv, json and md the trials alone."""
    if form == "table":
        _print_all(plan, console)
        return
    print_trials(plan.trials, form, console)


def print_trials(trials: Sequence[Trial], form: str, console: Console) -> None:
    """Print a row for each trial in a form; the `form` table has the first ones alone."""
    most = MOST_TRIALS if form == "table" else len(trials)
    rows = trial_rows(trials[:most])
    if form == "json":
        print_json(rows, console)
    else:
        print_listing(_texts(rows), form, console)
    if len(trials) > most:
        more = counted(len(trials) - most, "more trial", "more trials")
        print_lines([f"and {more}; all: --format csv"], console)


def _print_all(plan: Estimate, console: Console) -> None:
    print_listing(_cohorts(plan), "table", console)
    steps = sum(cohort.trials * cohort.steps for cohort in plan.cohorts)
    trials = counted(len(plan.trials), "trial", "trials")
    time = f"{counted(steps, 'step', 'steps')}, about {duration(plan.seconds)} on one core"
    room = f"{bytes_in_words(plan.memory)} of memory, {bytes_in_words(plan.disk)} of disk"
    print_lines([f"In all: {trials}, {time}, {room}\n"], console)
    for name, shares in plan.shares.items():
        print_lines([f"Parameters of {name}"], console)
        print_listing([_share(share) for share in shares], "table", console)
        print_lines([""], console)
    print_trials(plan.trials, "table", console)


def _share(share: Share) -> dict[str, str]:
    """Return parameters, what moves them, and their settings; the first names stand for all."""
    first, rest = share.parameters[:MOST_NAMES], len(share.parameters) - MOST_NAMES
    more = f" and {rest} more" if rest > 0 else ""
    return {
        "moved by": share.rule,
        "lr": share.lr or "the trial's",
        "weight decay": share.weight_decay or "the trial's",
        "parameters": f"{', '.join(first)}{more}",
    }


def _cohorts(plan: Estimate) -> list[dict[str, str]]:
    return [
        {
            "cohort": cohort.name,
            "trials": str(cohort.trials),
            "steps a trial": str(cohort.steps),
            "points a trial": str(cohort.recorded),
            "time": duration(cohort.seconds),
            "memory": bytes_in_words(cohort.memory),
            "disk": bytes_in_words(cohort.disk),
        }
        for cohort in plan.cohorts
    ]


def trial_rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return one row a trial: its id, its settings, and every other field in which some differ."""
    own = [dict(_own(trial)) for trial in trials]
    found: dict[str, set[str]] = {}
    for values in own:
        for name, value in values.items():
            found.setdefault(name, set()).add(repr(value))
    varied = [name for name, values in found.items() if len(values) > 1]
    return [
        {**settings_of(trial), **{name: values.get(name) for name in varied}}
        for trial, values in zip(trials, own, strict=True)
    ]


def _own(trial: Trial) -> Iterator[tuple[str, Any]]:
    """Yield what --vary names of a trial's problem, optimizer and schedule, and its budget."""
    for part in (trial.problem, trial.optimizer, trial.schedule):
        of_rule = {own.field: name for name, own in owned(name_of(part), type(part)).items()}
        for field in fields(part):
            name = field.name if part is trial.problem else of_rule.get(field.name, field.name)
            value = getattr(part, field.name)
            yield name, value if isinstance(value, int | float | str | None) else text(value)
    for name in BUDGETS:
        yield name, getattr(trial.training, name)


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{k: "" if v is None else text(v) for k, v in row.items()} for row in rows]


ALWAYS = ("method", "batch_size", "optimizer", "lr")
PLAIN = ("method", "batch_size", "optimizer")  # said without their name


def trial_labels(trials: Sequence[Trial]) -> list[str]:
    """Return a label a trial, such as "minibatch 32 momentum lr 0.1 seed 3"."""
    rows = trial_rows(trials)
    names = [name for name in rows[0] if name != "trial"]
    told = [n for n in names if n in ALWAYS or len({repr(row[n]) for row in rows}) > 1]
    texts = texts_of(rows, told)
    return [
        literal(
            " ".join(
                text[name] if name in PLAIN else f"{name} {text[name]}"
                for name in told
                if row[name] is not None
            )
        )
        for row, text in zip(rows, texts, strict=True)
    ]
