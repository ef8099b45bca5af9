"""Budget, recording, stopping and data order of an experiment: the same for all of its trials.

So are the schedules of other settings than the learning rate, as --schedule-for names them:
weight-decay=cosine,momentum.beta=warmup-constant(start=0.9,warmup=1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le

from gdcli.catalog.catalog import MEASURES, SCHEDULES, name_of
from gdcli.catalog.composed import Composed
from gdcli.catalog.user_code import is_own
from gdcli.errors import UserError
from gdcli.experiment.axis import one, text
from gdcli.fields import LATER, WHOLE, options_of, show, split, suggestion
from gdcli.schedule import FeedbackSchedule, Schedule

if TYPE_CHECKING:
    from gdcli.measure import Measure
    from gdcli.optimizer import Rule

WEIGHT_DECAY, BATCH_SIZE = "weight-decay", "batch-size"
CALL = re.compile(r"\s*([^\s()]+)\s*(?:\((.*)\)\s*)?", re.DOTALL)
FORM = "write weight-decay=cosine or momentum.beta=linear(final=0.9)"


class Scheduled(NamedTuple):
    """A setting whose value at a step is what is given for it times the schedule's multiplier."""

    setting: str  # "weight-decay", "batch-size", or a field of an optimizer: "momentum.beta"
    schedule: Schedule


def scheduled_field(rule: Rule, setting: str) -> str | None:
    """Return the field of a rule that a setting of a schedule names; None: it has none."""
    if setting == BATCH_SIZE:
        return None
    owner, _, name = setting.rpartition(".")
    field = name.replace("-", "_")
    if isinstance(rule, Composed) and owner:
        return rule.flat.get((owner, field))
    return field if owner in ("", name_of(rule)) else None


@cache
def scheduled(text: str, where: str) -> tuple[Scheduled, ...]:
    """Return the schedules that a text says, by setting; raises UserError, naming `where`.

    A file of the user's own is not among them: it would be run for a folder that names it.
    """
    found: dict[str, Scheduled] = {}
    for part in split(text, where):
        setting, equals, call = part.partition("=")
        name = setting.strip().replace("_", "-")
        if not name or not equals:
            raise UserError(where, f"{show(part)} is not a setting and its schedule", FORM)
        if name in found:
            raise UserError(where, f"{show(name)} has two schedules", "give it one")
        found[name] = Scheduled(name, _called(call, where))
    return tuple(found[name] for name in sorted(found))


def _called(call: str, where: str) -> Schedule:
    """Return the schedule of "linear" or "linear(final=0.9)"."""
    match = CALL.fullmatch(call)
    if not match:
        raise UserError(where, f"{show(call)} is not a schedule", FORM)
    name, inner = match[1], match[2] or ""
    if is_own(name):
        fix = f"give {', '.join(SCHEDULES.names())}, or a plugin's"
        raise UserError(where, f"{show(name)} is a file, not the name of a schedule", fix)
    kind = SCHEDULES.find(name, where)
    if issubclass(kind, FeedbackSchedule):
        what = f"{name} follows the losses: it is for the learning rate alone"
        raise UserError(where, what, f"write --schedule {name}, or give another one here")
    known = options_of(kind)
    values: dict[str, Any] = {}
    for part in split(inner, where) if inner.strip() else ():
        field, equals, raw = part.partition("=")
        option = known.get(field.strip().replace("_", "-"))
        if option is None or not equals:
            names = ", ".join(known) or "none"
            fix = suggestion(field, known) or f"its options: {names}"
            raise UserError(where, f"{show(part)} is not an option of {name} and its value", fix)
        if option.field in values:
            raise UserError(where, f"{option.name} of {name} is given twice", "give it once")
        values[option.field] = one(raw.strip(), option, where)
    return kind(**values)


def schedules_spelt(text: str, where: str) -> str | None:
    """Return the one spelling of what a text says; None where it says nothing.

    Raises UserError, naming `where`, for what cannot be read.
    """
    return ",".join(map(_schedule_spelt, scheduled(text, where))) if text.strip() else None


def table_text(table: Mapping[str, Any]) -> str:
    """Return the text for a table of schedules, in which TOML may nest momentum.beta."""
    flat = [
        (f"{name}.{field}" if field else name, call)
        for name, value in table.items()
        for field, call in (value.items() if isinstance(value, Mapping) else [("", value)])
    ]
    return ",".join(f"{setting}={call}" for setting, call in flat)


def _schedule_spelt(part: Scheduled) -> str:
    schedule = part.schedule
    options = {option.field: option.name for option in options_of(type(schedule)).values()}
    values = ((f.name, getattr(schedule, f.name), f.default) for f in fields(schedule))
    said = ",".join(f"{options[n]}={text(v)}" for n, v, default in values if v != default)
    return f"{part.setting}={name_of(schedule)}" + (f"({said})" if said else "")


MOST_STEPS = 2**53 - 1  # beyond it a float64 no longer counts in ones


@dataclass(frozen=True)
class Training:
    """Budget, recording, stopping and data order: the same for every trial of the grid."""

    epochs: Annotated[
        int | None,
        "steps for so many passes over the training data, with one gradient in each step",
        Ge(1),
        Le(MOST_STEPS),
    ] = None
    steps: Annotated[int | None, "steps of training, instead of epochs", Ge(1), Le(MOST_STEPS)] = (
        None
    )
    record: Annotated[
        str,
        "when to record the loss: every epoch, every step, every N steps (a number), or after "
        "1, 2, 4, 8, ... steps (log)",
    ] = "epoch"
    tol: Annotated[float | None, "stop a trial when its gradient norm is at most this", Gt(0)] = (
        None
    )
    target_loss: Annotated[float | None, "stop a trial when its training loss is at most this"] = (
        None
    )
    diverge_at: Annotated[
        float,
        "a trial has diverged when its loss is more than this many times its starting loss (or "
        "times 1, if that is larger)",
        Gt(1),
    ] = 1e9
    order: Annotated[
        Literal["shuffle", "fixed", "replacement"],
        "order of the examples: shuffle draws a new one every epoch, fixed keeps one, "
        "replacement draws each example at random",
    ] = "shuffle"
    remainder: Annotated[
        Literal["keep", "drop"],
        "keep or drop the last batch of an epoch where it is smaller than the others",
    ] = "keep"
    for_: Annotated[
        str | None,
        LATER,
        "settings of some parameters, by their kinds or names: bias,norm weight-decay=0; "
        "head.* optimizer=adamw lr=0.1x",
    ] = None
    measure: Annotated[str | None, LATER, "what else to record at every point"] = None
    schedule_for: Annotated[
        str | None,
        LATER,
        "schedules of other settings, by which their values are multiplied: weight-decay=cosine, "
        "momentum.beta=linear(final=0.9), batch-size=step-up",
    ] = None
    data_seed: Annotated[
        int, "seed of generated data and of the split into training and test examples", Ge(0)
    ] = 0
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        "floating-point precision (default: float32 for networks, else float64)",
    ] = None

    @property
    def measures(self) -> tuple[type[Measure], ...]:
        """The measures that were asked for."""
        return () if self.measure is None else measures_named(self.measure, "--measure")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a curve that were asked for."""
        return tuple(column.name for measure in self.measures for column in measure.columns)

    @property
    def scheduled(self) -> tuple[Scheduled, ...]:
        """The settings besides the learning rate that a schedule changes."""
        return scheduled(self.schedule_for, "--schedule-for") if self.schedule_for else ()

    def check(self, where: str) -> None:
        """Raise UserError, naming `where`, for settings that exclude each other."""
        if self.epochs is not None and self.steps is not None:
            what = f"both epochs ({self.epochs}) and steps ({self.steps}) are given"
            raise UserError(where, what, "give one of them")

    def record_every(self, where: str) -> int | None:
        """Return N of `record` = "N" steps, None for its words; raises UserError for others."""
        if self.record in ("epoch", "step", "log"):
            return None
        if WHOLE.fullmatch(self.record) and int(self.record) > 0:
            return int(self.record)
        fix = "give epoch, step, log, or a number of steps"
        raise UserError(where, f"{show(self.record)} is not an interval", fix)


def spelt(measures: str) -> str:
    """Return the names of measures with hyphens where built-in ones have them: "param-norm"."""
    return ",".join(map(_spelt, measures.split(",")))


def _spelt(name: str) -> str:
    hyphened = name.strip().replace("_", "-")
    return hyphened if hyphened in MEASURES.built_in() else name.strip()


@cache
def measures_named(names: str, where: str) -> tuple[type[Measure], ...]:
    """Return measures by their names, with commas between them; raises UserError, naming `where`.

    A file of the user's own is not among them: it would be run for a folder that names it.
    """
    found: dict[str, type[Measure]] = {}
    for name in names.split(","):
        if is_own(name):
            fix = f"give {', '.join(MEASURES.names())}, or a plugin's"
            raise UserError(where, f"{show(name)} is a file, not the name of a measure", fix)
        if name in found:
            raise UserError(where, f"{name} is named twice", "name every measure once")
        found[name] = MEASURES.find(name, where)
    return tuple(found.values())


BUDGETS = ("steps", "epochs")  # of the settings of training, those that a grid may vary
