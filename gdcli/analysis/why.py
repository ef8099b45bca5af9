"""Why settings did what they did: each learning rate's diagnosis, beside the figures of theory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite, isnan
from pathlib import Path
from typing import TypeAlias

from gdcli.analysis.diagnoses import Diagnoses
from gdcli.analysis.diagnosis.diagnosis import Diagnosis
from gdcli.analysis.diagnosis.verdicts import STATES
from gdcli.analysis.expectation import Expectation
from gdcli.analysis.facts import Facts
from gdcli.analysis.measured_rate import measured_rate
from gdcli.analysis.quantiles import median
from gdcli.analysis.recorded_points import Points, read_points
from gdcli.analysis.results import Cell, Setting
from gdcli.analysis.rows import Value
from gdcli.analysis.series import last_quarter
from gdcli.analysis.trials import Trial

WORDS = (*(state.word for state in STATES), "failed")  # of two as frequent, the first is told

Said: TypeAlias = tuple[str, str | None]  # a state and the quality that leads


@dataclass(frozen=True)
class Measured:
    """What one trial's curve shows beside theory; None where there is nothing to compare."""

    rate: float | None = None
    level: float | None = None  # the mean of the last quarter's losses
    sharpness: float | None = None  # the mean of the last quarter's


@dataclass(frozen=True)
class Account:
    """One setting at one learning rate, and what is to be said of it."""

    setting: Setting
    cell: Cell
    given: Mapping[str, Value]  # the setting, by name
    facts: Facts | None
    expected: Expectation | None
    groups: list[tuple[Said, list[Trial]]]  # the trials that the same is said of: `_groups`
    diagnoses: Diagnoses
    rate: float | None = None  # measured: the median over seeds
    excess: float | None = None  # measured: the mean level over seeds less the minimum
    sharpness: float | None = None  # measured late: the median over the trials with the state

    @property
    def state(self) -> str:
        """The state of the largest group."""
        return self.groups[0][0][0]

    @cached_property
    def states(self) -> Counter[str]:
        """The trials by state, those that failed among them."""
        found: Counter[str] = Counter()
        for (state, _), held in self.groups:
            found[state] += len(held)
        return found

    @cached_property
    def example(self) -> Trial:
        """The trial of the largest group with its median loss, or step at which it blew up."""
        own = sorted(self.of_the_state(), key=lambda t: (t.loss, t.fact("diverged_at") or 0.0))
        return own[(len(own) - 1) // 2]

    @property
    def typical(self) -> Diagnosis | None:
        """What is said of the example; None: it failed."""
        return None if self.example.status == "failed" else self.diagnoses.of(self.example)

    def fact(self, name: str) -> float | None:
        """Return a fact's median over the trials that have the state; None: none has it."""
        values = (trial.fact(name) for trial in self.of_the_state())
        known = [value for value in values if value is not None and not isnan(value)]
        return median(known) if known else None

    def of_the_state(self) -> list[Trial]:
        """Return the trials of the largest group."""
        return self.groups[0][1]


def accounts(
    folder: Path, diagnoses: Diagnoses, cells: Sequence[tuple[Setting, Cell]]
) -> list[Account]:
    """Return the accounts of some cells of a run, in their order.

    curves.csv is read only where theory has something to compare a curve with.
    """
    told = [account_of(diagnoses, setting, cell) for setting, cell in cells]
    curves = Compared(told)
    if curves.columns:
        few = 2 * len(curves.wanted) < len(diagnoses.run.trials)  # the others are passed over
        points = read_points(folder, curves.columns, curves.wanted if few else None)
        for _ in curves.measuring(points):
            pass
    return curves.accounts()


def account_of(diagnoses: Diagnoses, setting: Setting, cell: Cell) -> Account:
    """Return the account of one cell, without what its curves show."""
    names, theory = diagnoses.run.names, diagnoses.theory
    return Account(
        setting,
        cell,
        dict(zip(names, setting.values, strict=True)),
        theory.of(names, setting.values) if theory else None,
        diagnoses.expected(setting.values, cell.lr),
        _groups(diagnoses, cell),
        diagnoses,
    )


def _groups(diagnoses: Diagnoses, cell: Cell) -> list[tuple[Said, list[Trial]]]:
    """Return the trials that the same is said of, the largest group first; of equals as in WORDS.

    Of trials that failed nothing but that is said.
    """
    found: dict[Said, list[Trial]] = {}
    for trial in cell.trials:
        state, quality = diagnoses.words(trial)
        found.setdefault((state or "failed", quality), []).append(trial)
    order = {group: (-len(held), WORDS.index(group[0])) for group, held in found.items()}
    return sorted(found.items(), key=lambda item: order[item[0]])


class Compared:
    """Accounts whose curves are still to be compared with theory, by whoever reads curves.csv."""

    def __init__(self, told: Sequence[Account]) -> None:
        """Take the accounts."""
        self._told = told
        compared = {trial.id: trial for account in told for trial in _compared(account)}
        sharpness = any(map(_has_sharpness, compared.values()))
        self.wanted = compared.keys()  # the trials
        self._measured: dict[str, Measured] = {}
        names = ("train_loss", "grad_norm", *(("sharpness",) if sharpness else ()))
        self.columns = names if compared else ()  # of curves.csv

    def measuring(self, curves: Iterable[Points]) -> Iterator[Points]:
        """Yield curves with the values of `columns`, measuring those that are wanted."""
        for points in curves:
            if points.trial in self.wanted:
                self._measured[points.trial] = _measure(points)
            yield points

    def accounts(self) -> list[Account]:
        """Return the accounts with what was measured."""
        return [_with_measured(account, self._measured) for account in self._told]


def _compared(account: Account) -> Iterator[Trial]:
    """Yield the trials of a cell whose curve theory says something of."""
    expected = account.expected
    if expected and (expected.rate is not None or expected.floor is not None):
        yield from account.cell.ran
    else:
        yield from (trial for trial in account.cell.ran if _has_sharpness(trial))


def _has_sharpness(trial: Trial) -> bool:
    return trial.fact("final_sharpness") is not None


def _measure(points: Points) -> Measured:
    rate = measured_rate(points.steps, points.values["grad_norm"])
    losses, sharpness = points.values["train_loss"], points.values.get("sharpness", ())
    return Measured(rate, _level(losses), _level(sharpness))


def _level(values: Sequence[float]) -> float | None:
    """Return the mean of the last quarter: what swings around a level is at it."""
    last = last_quarter(values) if len(values) > 1 else ()
    return sum(last) / len(last) if last else None


def _with_measured(account: Account, measured: Mapping[str, Measured]) -> Account:
    """Return an account with the figures that stand beside those of theory."""
    late = [measured[t.id].sharpness for t in account.of_the_state() if t.id in measured]
    swings = [value for value in late if value is not None and isfinite(value)]
    account = replace(account, sharpness=median(swings) if swings else None)
    expected, facts = account.expected, account.facts
    found = [measured[trial.id] for trial in account.cell.ran if trial.id in measured]
    if not found or expected is None or facts is None:
        return account
    rates = [one.rate for one in found if one.rate is not None]
    levels = [one.level for one in found if one.level is not None and isfinite(one.level)]
    rate = median(rates) if expected.rate is not None and rates else None
    excess = None
    if expected.floor and facts.minimum is not None and levels:
        excess = sum(levels) / len(levels) - facts.minimum
    return replace(account, rate=rate, excess=excess)
