"""The contract of a family: all that the engine, and what reads its results, asks of a problem."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from gdcli.catalog.catalog import name_of
from gdcli.datasets.out_of_core import whole_of
from gdcli.engine.layout import NARROWEST, Pieces, tiled
from gdcli.engine.sampling import stream
from gdcli.problem import Data, Problem, Quantized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gdcli.engine.device import Device, Torch
    from gdcli.engine.families.known import Baseline, Curvature, FeatureSpread
    from gdcli.engine.families.noise_floor import Floor
    from gdcli.engine.families.objective import Objective
    from gdcli.engine.initial import Start
    from gdcli.engine.programs.program import Program
    from gdcli.experiment.grid import Trial
    from gdcli.method import Kind
    from gdcli.problem import Least

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

    # How it is trained.

    @abstractmethod
    def batch_limit(self, method: str) -> int:
        """Return how many trials of a cohort are trained together, at most."""

    @abstractmethod
    def program(
        self, trials: Sequence[Trial], data: Data, device: Device, width: int | None
    ) -> Program:
        """Return the program of some trials of one cohort; `width` as `program_for` takes it."""

    @abstractmethod
    def objective(
        self, problem: P, data: Data, device: Torch, quantize_from_step: int
    ) -> Objective[Any]:
        """Return what the reference engine minimises."""

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
        return Theory()

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

    def objective(
        self, problem: P, data: Data, device: Torch, quantize_from_step: int
    ) -> Objective[Any]:
        """Return the function of one point, or the mean cost of the predictions of one trial."""
        from gdcli.engine.families.objective import on_torch

        return on_torch(problem, data, device)

    def batch_limit(self, method: str) -> int:
        """Return a fixed number: a step costs little."""
        return MOST_TRIALS

    def stacked(self, trials: Sequence[Trial]) -> int:
        """Return the trials of the narrowest tiles; wide ones have little more."""
        return math.prod(tiled(trials, NARROWEST).shape)
