"""The contract of a stacked program: a problem with the axes of trials added.

Derivatives of functions that are known by their values alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdcli.arrays import namespace
from gdcli.datasets.out_of_core import Streamed, streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.layout import Lanes
    from gdcli.problem import Array, Batch, Data, Params, Problem

CHUNK = 512  # examples of a network's full pass that are held at a time


class Evaluation(NamedTuple):
    """What a recorded point holds: measures by column name, of the lanes' shape, and gradients."""

    values: dict[str, Array]
    gradient: Params  # of the full training loss


class Outcome(NamedTuple):
    """What every lane, the lanes flattened, makes of training examples that follow one another."""

    loss: Array  # (lanes, examples), without the penalty
    probability: Array | None  # of each class, (lanes, classes, examples); None: no classifier


class Program(ABC):
    """Losses and gradients of the trials of one cohort, computed together.

    Parameters are arrays by name with the lanes among their axes; `over` says where.
    """

    words: str  # what it does, for the manifest
    turn: int = 0  # the step at which quantization switches on; 0: it never changes
    steady = True  # a recorded point's full gradient can be reused by the next step of gd
    step = 0  # the step that a gradient is taken for, counted from 0: what is drawn follows from it

    def __init__(self, problem: Problem, data: Data, lanes: Lanes, device: Device) -> None:
        """Move the data to the device."""
        self.problem, self.data, self.lanes, self.device = problem, data, lanes, device
        self.train: Batch = {name: self._placed(a) for name, a in data.train.items()}
        self.test: Batch = {name: self._placed(a) for name, a in data.test.items()}
        self.constants: Batch = {name: device.array(a) for name, a in data.constants.items()}
        self.examples = data.examples
        self.streamed = streamed(data)
        self.carried: Params = {}  # from step to step besides the parameters: running statistics

    def _placed(self, array: Array) -> Array:
        """Return an array on the device, unless it stays on disk."""
        return array if isinstance(array, Streamed) else self.device.array(array)

    @abstractmethod
    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return the stacked starting points, given one for each of the lanes' seeds."""

    def unstacked(self, params: Params) -> dict[str, NDArray[np.floating]]:
        """Return the trials' parameters as `start` takes them, with a first axis of trials."""
        return {name: self.device.host(a)[self.lanes.place] for name, a in params.items()}

    @abstractmethod
    def over(self, values: Array, param: Array) -> Array:
        """Return values of the lanes' shape, shaped to broadcast against a parameter."""

    @abstractmethod
    def batches(self, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield the batch of each step; `indices` has shape (steps, seeds, batch)."""

    @abstractmethod
    def gradient(self, params: Params, batch: Any) -> Params:
        """Return the gradient of the mean loss over a batch; None is all training examples."""

    @abstractmethod
    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return each trial's direction times the Hessian of its full training loss."""

    @abstractmethod
    def vectors(self, params: Params) -> Array:
        """Return every trial's parameters as one vector, shape (*lanes, parameters)."""

    @abstractmethod
    def parted(self, vectors: Array, params: Params) -> Params:
        """Return vectors, as `vectors` makes them, as arrays of the parameters' shapes."""

    @abstractmethod
    def evaluate(self, params: Params) -> Evaluation:
        """Return the full training loss with its gradient, and what else is recorded."""

    def training_loss(self, params: Params) -> Array:
        """Return the full training loss alone, of the lanes' shape."""
        return self.evaluate(params).values["train_loss"]

    def held(self) -> dict[str, NDArray[Any]]:
        """Return what the trials carry along, with a first axis of trials."""
        return {name: self.device.host(a)[self.lanes.place] for name, a in self.carried.items()}

    def carry(self, one: dict[str, NDArray[Any]]) -> None:
        """Have every trial carry along what one trial does."""
        self.carried = {
            name: self.device.array(np.stack([value] * self.lanes.shape[0]))
            for name, value in one.items()
        }

    def reach(self, step: int) -> None:  # noqa: B027 -- most are the same at every step
        """Prepare for a step: called before every step, and before every evaluation."""

    def outcomes(self, params: Params) -> Iterator[Outcome]:
        """Yield what becomes of all training examples, in their order, some of them at a time.

        Raises NotImplementedError where the loss is no mean over examples.
        """
        raise NotImplementedError

    @property
    def replays(self) -> bool:
        """Whether steps may be taken again from a state that was kept, at little cost."""
        return self.device.eager and not self.streamed

    def dead_units(self, params: Params) -> Array | None:
        """Return the share of ReLU units that are 0 for all training examples; None: no such."""
        return None

    def norm(self, params: Params) -> Array:
        """Return the Euclidean norm over all parameters, of the lanes' shape."""
        return sum(self.total(array * array) for array in params.values()) ** 0.5

    def finite(self, params: Params) -> Array:
        """Return which trials have finite parameters only, of the lanes' shape."""
        broken = sum(self.total(~namespace(a).isfinite(a)) for a in params.values())
        return broken == 0

    @abstractmethod
    def total(self, array: Array) -> Array:
        """Return the sum over a parameter's own axes, of the lanes' shape."""


def derivative_along(function: Callable[[Array], Array], point: Array, direction: Array) -> Array:
    """Return the derivative of a function along a direction, by a central difference.

    Points have shape (..., dimension, columns), and the function takes each column for itself. The
    step is the third root of the precision, where rounding and the third derivative weigh alike:
    about ten digits hold in float64, three in float32.
    """
    xp = namespace(point)
    length, size = _largest(direction), _largest(point)
    root = xp.finfo(point.dtype).eps ** (1 / 3)
    step = root * xp.where(size > 1, size, 1.0) / xp.where(length > 0, length, 1.0)
    ahead, behind = point + step * direction, point - step * direction
    return (function(ahead) - function(behind)) / (2 * step)


def _largest(array: Array) -> Array:
    """Return the largest number of each column, in size, shape (..., 1, columns)."""
    xp = namespace(array)
    return xp.max(xp.abs(array), axis=-2, keepdims=True)
