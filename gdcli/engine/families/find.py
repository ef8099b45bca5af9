"""Which family a problem belongs to, and what its trials need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.catalog.classes import import_part
from gdcli.engine.examples import load
from gdcli.engine.refusals import check_own_rule, check_rule, why_alone
from gdcli.method import Method
from gdcli.problem import Analytic, Data, Least, LinearModel, Network, Problem, StatefulNetwork

if TYPE_CHECKING:
    from gdcli.engine.device import Device
    from gdcli.engine.families.family import Family
    from gdcli.engine.families.noise_floor import Floor
    from gdcli.engine.initial import Start
    from gdcli.engine.layout import Pieces
    from gdcli.engine.programs.program import Program
    from gdcli.experiment.grid import Trial
    from gdcli.method import Kind


# The class of problems, and where its family is; the first that fits is the most specific.
FAMILIES: dict[type[Any], tuple[str, str]] = {
    Analytic: ("closed_form", "AnalyticFamily"),
    LinearModel: ("linear_models", "LinearModelFamily"),
    Network: ("on_torch", "NetworkFamily"),
    StatefulNetwork: ("on_torch", "StatefulFamily"),
    Problem: ("on_torch", "TorchFamily"),
}


def family_of(problem: Problem) -> Family[Any]:
    """Return the family of a problem, of which there is one object."""
    return _family_of(type(problem))


@cache
def _family_of(kind: type[Problem]) -> Family[Any]:
    """Return the most specific family of a class; only its own file is imported."""
    module, name = next(place for base, place in FAMILIES.items() if issubclass(kind, base))
    family: type[Family[Any]] = getattr(import_part(f"{__package__}.{module}"), name)
    return family()


def needs_torch(problem: Problem) -> bool:
    """Return whether a problem runs on torch wherever it runs."""
    return family_of(problem).needs_torch


def on_torch(trial: Trial) -> bool:
    """Return whether a trial runs on torch wherever it runs."""
    return needs_torch(trial.problem) or trial.optimizer.needs_torch


def computes_on_torch(trial: Trial) -> bool:
    """Return whether a trial's program computes on torch wherever it runs.

    A method takes its steps on torch, with the losses of a program that may compute in NumPy.
    """
    rule = trial.optimizer
    return needs_torch(trial.problem) or (rule.needs_torch and not isinstance(rule, Method))


@lru_cache(maxsize=8)
def kinds_of(problem: Problem, data_seed: int) -> dict[str, Kind]:
    """Return the kind of each parameter, by name."""
    return family_of(problem).kinds(problem, load(problem, data_seed))


def repeats(trial: Trial) -> bool:
    """Return whether every step of a trial has the same loss, a function of the point alone."""
    family = family_of(trial.problem)
    return trial.method == "gd" and family.repeats(trial.problem, trial.training.data_seed)


def alone(trial: Trial) -> bool:
    """Return whether a trial's optimizer trains it by itself: torch's own, and some of users'."""
    rule = trial.optimizer
    return isinstance(rule, TorchOptimizer) or why_alone(rule) is not None


def precision(trial: Trial) -> str:
    """Return a trial's dtype: what was asked for, or what suits the problem."""
    return trial.training.dtype or trial.problem.default_dtype


def batch_limit(trial: Trial) -> int:
    """Return how many trials of a cohort are trained together, at most."""
    return 1 if alone(trial) else family_of(trial.problem).batch_limit(trial.method)


def stacked_trials(trials: Sequence[Trial], engine: str = "auto") -> int:
    """Return how many trials are computed where these are trained together, padding included."""
    if engine == "reference" or alone(trials[0]):
        return 1
    return family_of(trials[0].problem).stacked(trials)


def starting_point(problem: Problem, data: Data, seed: int) -> Start:
    """Return the parameters by name that every trial of a seed starts from."""
    return family_of(problem).starting_point(problem, data, seed)


def program_for(
    trials: Sequence[Trial], data: Data, device: Device, width: int | None = None
) -> Program:
    """Return the program of some trials of one cohort.

    Linear models and functions in closed form have `width` trials of a seed side by side; None: as
    many as are fastest.
    """
    return family_of(trials[0].problem).program(trials, data, device, width)


def check_trial(trial: Trial) -> None:
    """Raise UserError for a trial that cannot be trained.

    That is a network whose outputs and targets do not fit its criterion, and a problem that its
    rule does not take.
    """
    problem, data_seed = trial.problem, trial.training.data_seed
    family_of(problem).check(problem, data_seed)
    check_rule(trial.optimizer, problem, lambda: kinds_of(problem, data_seed))
    check_own_rule(trial.optimizer, torch=needs_torch(problem))


def pieces_for(trial: Trial, data: Data, *, plain: bool = False) -> Pieces:
    """Return how many examples are computed at a time; `plain`: by the reference engine."""
    return family_of(trial.problem).pieces(trial, data, precision(trial), plain=plain)


def not_stacked(trials: Iterable[Trial]) -> list[str]:
    """Return lines that tell why trials run one at a time; none: they do not."""
    reasons: dict[str, str | None] = {}
    for trial in trials:
        problem, rule = trial.problem, trial.optimizer
        why = why_not_stacked(problem, trial.training.data_seed)
        reasons |= {name_of(problem): why, name_of(rule): why_alone(rule)}
    return [
        f"{name} cannot be stacked ({why}): its trials run one at a time"
        for name, why in reasons.items()
        if why
    ]


def why_not_stacked(problem: Problem, data_seed: int) -> str | None:
    """Return why the trials of a problem are computed one by one; None: they are not."""
    return family_of(problem).why_one_by_one(problem, data_seed)


def least_loss_of(trial: Trial) -> float | None:
    """Return the least training loss of a trial's problem; None where it has no closed form."""
    if trial.problem.minimum is not None:
        return trial.problem.minimum
    return _least_loss(trial.problem, trial.training.data_seed)


@lru_cache(maxsize=8)
def _least_loss(problem: Problem, data_seed: int) -> float | None:
    return family_of(problem).theory.least_loss(problem, load(problem, data_seed))


def greatest_bound_of(trial: Trial) -> Least | None:
    """Return the least training loss of a trial's problem, or what it tends to; None: not known.

    Where there is no closed form, an iteration finds it, where the family has one.
    """
    if (known := least_loss_of(trial)) is not None:
        return Least(known, attained=True)
    return _bound(trial.problem, trial.training.data_seed)


@lru_cache(maxsize=8)
def _bound(problem: Problem, data_seed: int) -> Least | None:
    return family_of(problem).theory.bound(problem, load(problem, data_seed))


def floors_of(trials: Sequence[Trial], data: Data) -> list[Floor]:
    """Return the losses that SGD does not get below, of trials on one problem, where known."""
    return family_of(trials[0].problem).theory.floors(trials, data)
