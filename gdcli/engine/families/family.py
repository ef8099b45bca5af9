"""Which family a problem belongs to, and all that is asked of a family: its contract."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.catalog.classes import import_part
from gdcli.catalog.composed import Composed
from gdcli.datasets.out_of_core import whole_of
from gdcli.engine.examples import load
from gdcli.engine.layout import NARROWEST, Pieces, tiled
from gdcli.engine.refusals import check_own_rule, check_rule, why_alone
from gdcli.engine.sampling import stream
from gdcli.method import Method
from gdcli.problem import (
    Analytic,
    Data,
    Least,
    LinearModel,
    Network,
    Problem,
    Quantized,
    StatefulNetwork,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.catalog.composed import Share
    from gdcli.engine.device import Device, Torch
    from gdcli.engine.families.known import Baseline, Curvature, FeatureSpread
    from gdcli.engine.families.noise_floor import Floor
    from gdcli.engine.families.objective import Objective
    from gdcli.engine.initial import Start
    from gdcli.engine.programs.program import Program
    from gdcli.experiment.grid import Trial
    from gdcli.method import Kind


P = TypeVar("P", bound=Problem)


def kind_of(name: str, shape: Sequence[int]) -> Kind:
    """Return the kind of a parameter of which only name and shape are known.

    A matrix has more than one row and more than one column.
    """
    if name.rpartition(".")[2].startswith("bias"):
        return "bias"
    if len(shape) > 2:
        return "convolution"
    return "matrix" if len(shape) == 2 and min(shape) > 1 else "vector"


class Theory(Generic[P]):
    """What is known of the problems of a family and their data; None: nothing."""

    def curvature(self, problem: P, data: Data) -> Curvature | None:
        """Return the ends of the eigenvalues of the Hessian, or bounds of them."""
        return None

    def least_loss(self, problem: P, data: Data) -> float | None:
        """Return the least training loss in closed form."""
        return None

    def bound(self, problem: P, data: Data) -> Least | None:
        """Return the greatest lower bound of the training loss, by iteration."""
        return None

    def floors(self, trials: Sequence[Trial], data: Data) -> list[Floor]:
        """Return the losses that SGD does not get below, of trials on one problem."""
        return []

    def baseline(self, problem: P, data: Data) -> Baseline | None:
        """Return what the best constant prediction reaches."""
        return None

    def spread(self, problem: P, data: Data) -> FeatureSpread | None:
        """Return how much the units of the features differ."""
        return None


class Family(ABC, Generic[P]):
    """The answers for the problems of one class; what is not known of a family is None.

    The families of NumPy are imported without torch: many problems need NumPy alone.
    """

    needs_torch: ClassVar[bool] = True  # wherever the problem runs
    is_network: ClassVar[bool] = False  # it has layers of units
    reads_in_parts: ClassVar[bool] = False  # a file of examples may stay on disk
    has_examples: ClassVar[bool] = False  # the loss is a mean over examples with a target each
    minimised_as: ClassVar[str] = "Objective"  # the class of families/objective.py
    known_by: ClassVar[str] = ""  # the class of families/theory.py, which few commands import

    # How it is trained.

    @abstractmethod
    def batch_limit(self, method: str) -> int:
        """Return how many trials of a cohort are trained together, at most."""

    @abstractmethod
    def program(
        self, trials: Sequence[Trial], data: Data, device: Device, width: int | None
    ) -> Program:
        """Return the program of some trials of one cohort; `width` as `program_for` takes it."""

    def objective(
        self, problem: P, data: Data, device: Torch, quantize_from_step: int
    ) -> Objective[Any]:
        """Return what the reference engine minimises, on torch whatever the family computes on."""
        kind: type[Objective[Any]] = getattr(
            import_part(f"{__package__}.objective"), self.minimised_as
        )
        objective = kind(problem, data, device)
        objective.quantize_from_step = quantize_from_step
        return objective

    @abstractmethod
    def stacked(self, trials: Sequence[Trial]) -> int:
        """Return how many trials are computed, padding included."""

    def starting_point(self, problem: P, data: Data, seed: int) -> Start:
        """Return the parameters by name that every trial of a seed starts from."""
        return self.start(problem, data, stream(name_of(problem), seed, "start"))

    def start(self, problem: P, data: Data, rng: np.random.Generator) -> Start:
        """Return the same, drawn by a generator."""
        return problem.init(rng, whole_of(data))

    def pieces(self, trial: Trial, data: Data, dtype: str, *, plain: bool) -> Pieces:
        """Return how many examples are computed at a time; `plain`: by the reference engine."""
        return Pieces()

    def check(self, problem: P, data_seed: int) -> None:
        """Raise UserError for outputs and targets that do not fit together."""

    def why_one_by_one(self, problem: P, data_seed: int) -> str | None:
        """Return why trials are computed one by one; None: they are stacked."""
        return None

    def quantize_from_step(self, trial: Trial, data: Data) -> int:
        """Return the step at which quantization switches on while it trains; 0: never changes."""
        return 0

    # What is known of it.

    @property
    def theory(self) -> Theory[P]:
        """What is known of a problem and its data before it is trained."""
        if not self.known_by:
            return Theory()
        theory: type[Theory[P]] = getattr(import_part(f"{__package__}.theory"), self.known_by)
        return theory()

    def size(self, problem: P, data: Data) -> Quantized | None:
        """Return how many bytes a network takes, rounded and not."""
        return None

    def is_convex(self, problem: P) -> bool:
        """Return whether the training loss is known to be convex, whatever the data."""
        return False

    def never_below(self, problem: P) -> float | None:
        """Return a number that no loss is below."""
        return None

    def own_gradient(self, problem: P) -> bool:
        """Return whether the gradient is, on purpose, not the derivative of the loss."""
        return False

    # What its parameters and targets mean.

    def labels(self, problem: P, targets: NDArray[Any]) -> NDArray[np.int64] | None:
        """Return the class of each target, shape (examples,); None: there are no classes."""
        return None

    def repeats(self, problem: P, data_seed: int) -> bool:
        """Return whether the loss of all examples is the same in every step, at the same point."""
        return True

    def kinds(self, problem: P, data: Data) -> dict[str, Kind]:
        """Return the kind of each parameter, by name and shape; networks know their layers."""
        start = self.starting_point(problem, data, 0)
        return {name: kind_of(name, array.shape) for name, array in start.items()}

    def filters(self, array: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the parts of a matrix of weights that feed one output each, as views."""
        return [array]


MOST_TRIALS = 256  # trained together


class NumPyFamily(Family[P], ABC):
    """Problems whose steps cost little, so that many trials share a batch."""

    needs_torch = False

    def batch_limit(self, method: str) -> int:
        """Return a fixed number: a step costs little."""
        return MOST_TRIALS

    def stacked(self, trials: Sequence[Trial]) -> int:
        """Return the trials of the narrowest tiles; wide ones have little more."""
        return math.prod(tiled(trials, NARROWEST).shape)


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


def shares_of(trials: Iterable[Trial]) -> dict[str, list[Share]]:
    """Return which parameters each part of a rule moves, by the names of rule and problem.

    Of a rule by itself, without --for, there is nothing to tell.
    """
    found: dict[str, list[Share]] = {}
    for trial in trials:
        rule, name = trial.optimizer, f"{name_of(trial.optimizer)} on {name_of(trial.problem)}"
        if name in found or not isinstance(rule, Composed):
            continue
        if rule.groups or sum(not part.wraps for part in rule.parts) > 1:
            found[name] = rule.shares(kinds_of(trial.problem, trial.training.data_seed))
    return found


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
