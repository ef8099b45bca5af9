"""The contract of a stacked program: losses and gradients of many trials at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdcli.arrays import namespace
from gdcli.catalog.catalog import name_of
from gdcli.datasets.out_of_core import Streamed, streamed
from gdcli.datasets.sparse import Sparse
from gdcli.engine.device import NumPy
from gdcli.engine.sampling import exponentials
from gdcli.engine.update import Stepwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.hessian import HessianEigenvalues
    from gdcli.engine.layout import TrialLayout
    from gdcli.engine.sampling import Orders
    from gdcli.engine.update import StackedOptimizer, Stepper
    from gdcli.problem import Array, Batch, Data, Params, Problem

CHUNK = 512  # examples of a network's full pass at a time


class Evaluation(NamedTuple):
    """What a recorded point holds; arrays of the layout's shape, one value a trial."""

    values: dict[str, Array]  # by column name
    gradient: Params  # of the full training loss
    running: Array = None  # for measures: which trials still run and have a finite loss


class ExampleLosses(NamedTuple):
    """What each trial of a stack, padding included, makes of some consecutive training examples."""

    loss: Array  # (trials, examples), without the penalty
    probability: Array | None  # (trials, classes, examples); None: the problem is not a classifier


class Stack(ABC):
    """Trials whose parameters are stacked: optimizer, records and measures compute with it.

    A parameter is one array for all trials. Only the stack knows which of its axes are those of the
    trials.
    """

    problem: Problem
    data: Data
    layout: TrialLayout
    device: Device

    @abstractmethod
    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return the stacked starting points, given one for each seed of the layout."""

    def by_trial(self, params: Params) -> dict[str, NDArray[np.floating]]:
        """Return the trials' parameters as `start` takes them, with a first axis of trials."""
        return {name: self.device.host(a)[self.layout.place] for name, a in params.items()}

    def apart(self, params: Params) -> Params:
        """Return the parameters as a problem names them, with a first axis of all places."""
        return params

    def together(self, apart: Params) -> Params:
        """Return stacked parameters, given each place's: the inverse of `apart`."""
        return apart

    @abstractmethod
    def broadcast(self, values: Array, param: Array) -> Array:
        """Return one value a trial, of the layout's shape, so that it broadcasts with `param`."""

    @abstractmethod
    def sum_per_trial(self, array: Array) -> Array:
        """Return the sum of each trial's part of a parameter, of the layout's shape."""

    @abstractmethod
    def flatten(self, params: Params) -> Array:
        """Return each trial's parameters as one vector, shape (*layout.shape, size)."""

    @abstractmethod
    def unflatten(self, vectors: Array, params: Params) -> Params:
        """Return vectors as arrays of the shapes of `params`: the inverse of `flatten`."""

    @abstractmethod
    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return each trial's direction times the Hessian of its full training loss."""

    def hessian_eigenvalues(self, params: Params, most: int) -> HessianEigenvalues:
        """Return what finds the extreme eigenvalues at any point, by `most` products at most."""
        from gdcli.engine.hessian import HessianEigenvalues

        return HessianEigenvalues(self, params, most)

    @property
    def constant_hessian(self) -> bool:
        """Whether the Hessian is known to be the same at every point."""
        return False

    def norm(self, params: Params) -> Array:
        """Return the Euclidean norm over all parameters, of the layout's shape."""
        return sum(self.sum_per_trial(array * array) for array in params.values()) ** 0.5

    def finite(self, params: Params) -> Array:
        """Return which trials have finite parameters only, of the layout's shape."""
        broken = sum(self.sum_per_trial(~namespace(a).isfinite(a)) for a in params.values())
        return broken == 0


class Program(Stack):
    """Losses and gradients of the trials of one cohort, computed together."""

    description: str  # for the manifest
    quantize_from_step: int = 0  # step at which quantization switches on; 0: never changes
    # True if the full-batch gradient of a recorded point can be reused by the next gd step.
    reuses_recorded_gradient = True
    convex = False  # the loss is known to have no direction of negative curvature
    step = 0  # the step that a gradient belongs to, counted from 0: what is drawn follows from it

    def __init__(self, problem: Problem, data: Data, layout: TrialLayout, device: Device) -> None:
        """Move the data to the device."""
        self.problem, self.data, self.layout, self.device = problem, data, layout, device
        self.train: Batch = {name: self._placed(a) for name, a in data.train.items()}
        self.test: Batch = {name: self._placed(a) for name, a in data.test.items()}
        self.constants: Batch = {name: device.array(a) for name, a in data.constants.items()}
        self.examples = data.examples
        self.streamed = streamed(data)
        self.buffers: Params = {}  # change from step to step, as running statistics do

    def _placed(self, array: Array) -> Array:
        """Return an array on the device, unless it stays on disk; on NumPy it may be sparse."""
        if isinstance(array, Sparse) and isinstance(self.device, NumPy):
            return array.as_type(self.device.dtype)
        return array if isinstance(array, Streamed) else self.device.array(array)

    def stepper(self, optimizer: StackedOptimizer, orders: Orders | None) -> Stepper[Any]:
        """Return the fastest way to take the steps of a cohort; `orders` None: full batches.

        The choice depends on the problem, the method, the batch size and the optimizer, never on
        the size of the grid: a trial must have the same bits in every grid.
        """
        return Stepwise(self, optimizer, orders)

    @abstractmethod
    def batches(self, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield the batch of each step; `indices` has shape (steps, seeds, batch)."""

    @abstractmethod
    def gradient(self, params: Params, batch: Any) -> Params:
        """Return the gradient of the mean loss over a batch; None means all training examples."""

    @abstractmethod
    def loss_and_gradient(self, params: Params, batch: Any) -> tuple[Array, Params]:
        """Return the mean loss over a batch, of the layout's shape, and its gradient; None: all."""

    @abstractmethod
    def batch_loss(self, params: Params, batch: Any) -> Array:
        """Return the mean loss over a batch alone, as a step sees it."""

    @abstractmethod
    def batch_hessian_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return each trial's direction times the Hessian of its loss over a batch."""

    def gauss_newton_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return J' H J times the direction, J of the outputs for a batch, H of the criterion.

        Raises NotImplementedError where the loss is not a function of outputs.
        """
        raise NotImplementedError

    def gauss_newton_diagonal(self, params: Params, batch: Any) -> Params:
        """Return an estimate of that matrix's diagonal, from labels that the model draws.

        It is n times the squared mean gradient of n labels; the penalty's part is exact. Raises
        NotImplementedError where the loss is not minus the log of classes' probabilities.
        """
        raise NotImplementedError

    def drawn(self, shape: tuple[int, ...]) -> Array:
        """Return exponential numbers of the step by place, (places, *shape): those of its seed."""
        own = name_of(self.problem)
        found = [exponentials((own, seed), self.step, shape) for seed in self.layout.seeds]
        places = self.device.array(np.asarray(self.layout.seed).ravel())
        return self.device.array(np.stack(found))[places]

    @abstractmethod
    def evaluate(self, params: Params) -> Evaluation:
        """Return the full training loss with its gradient, and what else is recorded."""

    def training_loss(self, params: Params) -> Array:
        """Return the full training loss alone, of the layout's shape."""
        return self.evaluate(params).values["train_loss"]

    def buffers_by_trial(self) -> dict[str, NDArray[Any]]:
        """Return the buffers, with a first axis of trials."""
        return {name: self.device.host(a)[self.layout.place] for name, a in self.buffers.items()}

    def buffers_at(self, params: Params, buffers: Params) -> Params:
        """Return the buffers of a point that no step has passed: running statistics made anew."""
        return buffers

    def load_buffers(self, one: dict[str, NDArray[Any]]) -> None:
        """Give every trial the same buffers: those of one trial."""
        self.buffers = {
            name: self.device.array(np.stack([value] * self.layout.shape[0]))
            for name, value in one.items()
        }

    def set_step(self, step: int) -> None:
        """Prepare for a step: switch quantization on once its step is reached.

        Called before every step and before every evaluation.
        """

    def per_example(self, params: Params) -> Iterator[ExampleLosses]:
        """Yield the losses of all training examples, in their order, some at a time.

        Raises NotImplementedError where the loss is not a mean over examples.
        """
        raise NotImplementedError

    @property
    def replays(self) -> bool:
        """Whether steps can be repeated from a stored state at little cost."""
        return self.device.eager and not self.streamed

    def dead_units(self, params: Params) -> Array | None:
        """Return the share of ReLU units that are 0 for all training examples; None: no ReLU."""
        return None


def derivative_along(function: Callable[[Array], Array], point: Array, direction: Array) -> Array:
    """Return the derivative of a function along a direction, by a central difference.

    Points have shape (..., dimension, columns); the function treats each column by itself. The step
    is the third root of the precision, where rounding and the third derivative have equal weight:
    about ten digits are right in float64, three in float32.
    """
    xp = namespace(point)
    length, size = _largest(direction), _largest(point)
    root = xp.finfo(point.dtype).eps ** (1 / 3)
    step = root * xp.where(size > 1, size, 1.0) / xp.where(length > 0, length, 1.0)
    ahead, behind = point + step * direction, point - step * direction
    return (function(ahead) - function(behind)) / (2 * step)


def _largest(array: Array) -> Array:
    """Return the largest absolute value of each column, shape (..., 1, columns)."""
    xp = namespace(array)
    return xp.max(xp.abs(array), axis=-2, keepdims=True)
