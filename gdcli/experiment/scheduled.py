"""Schedules of other settings than the learning rate, as --schedule-for names them.

weight-decay=cosine,momentum.beta=warmup-constant(start=0.9,warmup=1)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple

from gdcli.catalog.catalog import SCHEDULES, name_of
from gdcli.catalog.composed import Composed
from gdcli.catalog.user_code import is_own
from gdcli.errors import UserError
from gdcli.experiment.axis import one, text
from gdcli.fields import options_of, show, split, suggestion
from gdcli.optimizer import Rule
from gdcli.schedule import FeedbackSchedule, Schedule

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
        raise UserError(where, f"{show(call)} is no schedule", FORM)
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
            raise UserError(where, f"{show(part)} is no option of {name} and its value", fix)
        if option.field in values:
            raise UserError(where, f"{option.name} of {name} is given twice", "give it once")
        values[option.field] = one(raw.strip(), option, where)
    return kind(**values)


def spelt(text: str, where: str) -> str | None:
    """Return the one spelling of what a text says; None where it says nothing.

    Raises UserError, naming `where`, for what cannot be read.
    """
    return ",".join(map(_spelt, scheduled(text, where))) if text.strip() else None


def table_text(table: Mapping[str, Any]) -> str:
    """Return the text for a table of schedules, in which TOML may nest momentum.beta."""
    flat = [
        (f"{name}.{field}" if field else name, call)
        for name, value in table.items()
        for field, call in (value.items() if isinstance(value, Mapping) else [("", value)])
    ]
    return ",".join(f"{setting}={call}" for setting, call in flat)


def _spelt(part: Scheduled) -> str:
    schedule = part.schedule
    options = {option.field: option.name for option in options_of(type(schedule)).values()}
    values = ((f.name, getattr(schedule, f.name), f.default) for f in fields(schedule))
    said = ",".join(f"{options[n]}={text(v)}" for n, v, default in values if v != default)
    return f"{part.setting}={name_of(schedule)}" + (f"({said})" if said else "")
