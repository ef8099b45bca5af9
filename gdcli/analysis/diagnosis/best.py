"""Which learning rate of a setting is best, which are as good, and where to look next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import NamedTuple

from gdcli.analysis.diagnosis.case import Case
from gdcli.analysis.diagnosis.diagnosis import DEFAULT, Diagnosis, diagnose
from gdcli.analysis.diagnosis.evidence import STRETCHES, Evidence
from gdcli.analysis.diagnosis.limits import Limits
from gdcli.analysis.diagnosis.verdicts import number
from gdcli.analysis.quantiles import median

SETTLED = ("at the minimum", "at a saddle", "never moved", "dead")  # other rates change little
AT_LIMIT = 0.9  # of the exact limit: a larger rate is hardly worth a try


class Rate(NamedTuple):
    """One learning rate of a setting: its trials that did not fail, one a seed."""

    lr: float
    trials: Sequence[Evidence]


@dataclass(frozen=True)
class Best:
    """The best of the learning rates that were tried."""

    lr: float
    tied: tuple[float, ...]  # rates that end as low, the best among them, ascending
    sooner: float | None  # how many times sooner it is there than the slowest of them
    phrase: str
    advice: str


class _Found(NamedTuple):
    """What is to be said of a row of rates."""

    lr: float  # the best
    rates: Sequence[float]
    tied: Sequence[float]
    sooner: float | None
    case: Case  # the trial whose loss is the median of the best rate's
    diagnosis: Diagnosis


def best_of(
    rates: Sequence[Rate], label: Callable[[float], str] = number, limits: Limits = DEFAULT
) -> Best | None:
    """Return the best rate: of those that end as low, within `near` of the fall, the fastest.

    `label` writes a rate so that it differs from the others. None: at every rate half of the
    trials blew up, or none has a result.
    """
    cases = {
        rate.lr: [Case(trial, limits) for trial in rate.trials]
        for rate in sorted(rates)
        if rate.trials
    }
    levels = {lr: median([_level(case) for case in found]) for lr, found in cases.items()}
    if not levels or not isfinite(lowest := min(levels.values())):
        return None
    start = median([case.start for found in cases.values() for case in found])
    near = lowest + limits.near * max(start - lowest, 0.0)
    tied = [lr for lr, level in levels.items() if level <= near]
    common = max(levels[lr] for lr in tied) + limits.near * max(start - lowest, 0.0)
    times = {lr: median([_when(case, common) for case in cases[lr]]) for lr in tied}
    lr = min(tied, key=lambda rate: (times[rate], levels[rate], rate))
    slowest = max(times.values())
    sooner = slowest / times[lr] if len(tied) > 1 and isfinite(slowest) else None
    typical = min(cases[lr], key=lambda case: abs(_level(case) - levels[lr]))
    diagnosis = diagnose(typical.evidence, limits)
    found = _Found(lr, list(cases), tied, sooner, typical, diagnosis)
    return Best(lr, tuple(tied), sooner, _phrase(found, label), _advice(found, label))


def _level(case: Case) -> float:
    """Return the loss at the end, inf where the trial blew up."""
    return case.level if case.observed.status == "finished" and isfinite(case.level) else inf


def _when(case: Case, common: float) -> float:
    """Return the share of the budget after which the level is at most the common one."""
    for place, level in enumerate(case.observed.levels, start=1):
        if level is not None and level <= common:
            return place / STRETCHES
    return 1.0


def _phrase(found: _Found, label: Callable[[float], str]) -> str:
    """Return a whole sentence about the best rate."""
    case, best = found.case, label(found.lr)
    loss = f"loss {number(case.level)}"
    if case.gap is not None:
        loss += f", the least possible is {number(case.known.minimum)}"
    if len(found.tied) == 1:
        return f"{best} is the best of the learning rates tried ({loss})."
    names = ", ".join(map(label, found.tied[:-1])) + f" and {label(found.tied[-1])}"
    both = "both" if len(found.tied) == 2 else "all"
    at_minimum = found.diagnosis.quality == "at the minimum"
    where = "end at the minimum" if at_minimum else "end as low"
    sooner = found.sooner or 1.0
    soon = f"; {best} gets there {sooner:.2g} times sooner" if sooner > 1 else ""
    return f"{names} {both} {where} ({loss}){soon}."


def _advice(found: _Found, label: Callable[[float], str]) -> str:
    """Return where to look for a better rate: beyond an end of the row that is the best."""
    rates, best, case = found.rates, label(found.lr), found.case
    if len(rates) == 1:
        return "Only one learning rate was tried: try larger and smaller ones."
    if found.diagnosis.quality in SETTLED and found.diagnosis.state == "flat":
        return ""
    known = case.known
    limit = f", up to the limit {number(known.limit)}" if known.limit and known.limit_exact else ""
    if found.lr == rates[-1] and not (case.over_limit is not None and case.over_limit > AT_LIMIT):
        return f"{best} is the largest rate tried: try larger ones{limit}."
    if found.lr == rates[0]:
        return f"{best} is the smallest rate tried: try smaller ones."
    return ""
