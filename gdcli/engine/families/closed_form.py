"""Functions in closed form: their family, program and fused steps.

Points have the shape (groups, tiles, dimension, width).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from gdcli.arrays import namespace
from gdcli.engine.families.family import NumPyFamily
from gdcli.engine.layout import NARROWEST, tiled
from gdcli.engine.programs.program import Evaluation, Program, derivative_along
from gdcli.engine.update import Stepper
from gdcli.problem import Analytic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.layout import TrialLayout
    from gdcli.engine.recorder import TrainingState
    from gdcli.engine.sampling import Orders
    from gdcli.engine.update import StackedOptimizer
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Array, Batch, Data, Params


class AnalyticFamily(NumPyFamily[Analytic]):
    """Values and gradients for all trials at once; a quadratic turned to its axes."""

    minimised_as = "OfAnalytic"
    known_by = "QuadraticTheory"

    def program(
        self, trials: Sequence[Trial], data: Data, device: Device, width: int | None
    ) -> AnalyticProgram:
        """Return a program that turns to the axes of a quadratic where the optimizer is linear."""
        first, layout = trials[0], tiled(trials, width or NARROWEST)
        problem: Any = first.problem
        return AnalyticProgram(problem, data, layout, device, rotate=first.optimizer.linear)


class AnalyticProgram(Program):
    """Value and gradient in closed form, for all trials at once.

    Where the problem has simpler axes and the optimizer treats all axes alike, points are rotated
    to these axes.
    """

    problem: Analytic
    description = "value and gradient in closed form"

    def __init__(
        self, problem: Analytic, data: Data, layout: TrialLayout, device: Device, *, rotate: bool
    ) -> None:
        """Rotate the data, if it is allowed and helps, and move them to the device."""
        self.rotation: Array = None
        if rotate and (found := problem.aligned(data)) is not None:
            self.rotation, data = found
        super().__init__(problem, data, layout, device)

    @property
    def everything(self) -> Batch:
        """All training examples as one batch."""
        return {**self.train, **self.constants}

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return {"point": (groups, tiles, dimension, width)}."""
        ahead = (start["point"] for start in starts)
        rotated = [point if self.rotation is None else self.rotation @ point for point in ahead]
        points = np.stack(rotated)[self.layout.seed].swapaxes(-2, -1)
        return {"point": self.device.array(np.ascontiguousarray(points))}

    def by_trial(self, params: Params) -> dict[str, NDArray[np.floating]]:
        """Return {"point": (trials, dimension)}, rotated back."""
        points = self.device.host(params["point"]).swapaxes(-2, -1)
        points = points.reshape(-1, points.shape[-1])[self.layout.place]
        return {"point": points if self.rotation is None else points @ self.rotation}

    @property
    def constant_hessian(self) -> bool:
        """Whether the function is a quadratic, along whatever axes."""
        turned = self.problem.aligned(self.data)
        simple = turned[1] if turned else self.data
        return self.problem.curvature({**simple.train, **simple.constants}) is not None

    def broadcast(self, values: Array, param: Array) -> Array:
        """Return values with an axis for the dimension."""
        return values[:, :, None, :]

    def sum_per_trial(self, array: Array) -> Array:
        """Return the sum over the dimension."""
        return array.sum(-2)

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield batches of arrays (groups, 1, batch, dimension)."""
        places = self.device.array(indices)
        for place in places:
            parts = {name: array[place][:, None] for name, array in self.train.items()}
            yield {**parts, **self.constants}

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return {"point": gradient}."""
        batch = self.everything if batch is None else batch
        return {"point": self.problem.gradient(params["point"], batch)}

    def apart(self, params: Params) -> Params:
        """Return {"point": (places, dimension)}."""
        points = params["point"].swapaxes(-2, -1)
        return {"point": points.reshape(-1, points.shape[-1])}

    def together(self, apart: Params) -> Params:
        """Return {"point": (groups, tiles, dimension, width)}."""
        points = apart["point"].reshape(*self.layout.shape, -1).swapaxes(-2, -1)
        return {"point": namespace(points).asarray(points, copy=True)}

    def loss_and_gradient(self, params: Params, batch: Any) -> tuple[Array, Params]:
        """Return value and gradient."""
        return self.batch_loss(params, batch), self.gradient(params, batch)

    def batch_loss(self, params: Params, batch: Any) -> Array:
        """Return the value."""
        return self.problem.value(params["point"], self.everything if batch is None else batch)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return {"point": product}, by a difference of two gradients."""
        return self.batch_hessian_product(params, direction, None)

    def batch_hessian_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return {"point": product}, by a difference of two gradients."""
        point, batch = params["point"], self.everything if batch is None else batch
        product = derivative_along(
            lambda x: self.problem.gradient(x, batch), point, direction["point"]
        )
        return {"point": product}

    def flatten(self, params: Params) -> Array:
        """Return the points, (groups, tiles, width, dimension)."""
        return params["point"].mT

    def unflatten(self, vectors: Array, params: Params) -> Params:
        """Return {"point": (groups, tiles, dimension, width)}."""
        return {"point": vectors.mT}

    def stepper(self, optimizer: StackedOptimizer, orders: Orders | None) -> Stepper[Any]:
        """Return the closed form of many steps where there is one."""
        if orders is None and ClosedForm.fits(self, optimizer):
            return ClosedForm(self, optimizer, None)
        return super().stepper(optimizer, orders)

    def evaluate(self, params: Params) -> Evaluation:
        """Return the value, gradient norm and metrics on all examples, and the test value."""
        everything = self.everything
        gradient = self.gradient(params, None)
        values = {
            "train_loss": self.problem.value(params["point"], everything),
            "grad_norm": self.norm(gradient),
        }
        if self.test:
            values["test_loss"] = self.problem.value(
                params["point"], {**self.test, **self.constants}
            )
        return Evaluation({**values, **self.problem.metrics(params, everything)}, gradient)


Matrix: TypeAlias = (
    "list[list[Array]]"  # rows of entries, each an array over coordinates and trials
)

PART = 2048  # coordinates at a time, whose matrices fit a cache


class ClosedForm(Stepper[AnalyticProgram]):
    """Full-batch descent on a quadratic along its axes: n steps as the n-th power of one.

    Along an axis with curvature h, the gap g to the minimiser and the state of a linear optimizer
    are a vector that each step multiplies by the same small matrix: for plain descent the number 1
    - lr h, with a velocity a two by two matrix (Lessard, Recht and Packard 2016). The optimizer's
    update of unit vectors gives the matrix.
    """

    description = "all steps to a recorded point as one power"

    def __init__(
        self, program: AnalyticProgram, optimizer: StackedOptimizer, orders: Orders | None
    ) -> None:
        """Take a program and an optimizer that fit."""
        super().__init__(program, optimizer, orders)
        quadratic = program.problem.curvature(program.everything)
        self.curvature, self.minimiser = cast("tuple[Array, Array]", quadratic)

    @staticmethod
    def fits(program: AnalyticProgram, optimizer: StackedOptimizer) -> bool:
        """Return whether every step multiplies by the same matrix."""
        return (
            program.problem.curvature(program.everything) is not None
            and optimizer.first.linear
            and optimizer.constant
            and not (optimizer.clips or optimizer.decays)
        )

    @property
    def checkpoint_every(self) -> None:
        """None: a power of a power has other bits, so a trial cannot be resumed between."""
        return

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take all steps at once, some coordinates at a time."""
        first, held = state.step, state.optimizer["point"]
        rates = self.optimizer.rates(first, state.params)["point"]
        names, gap = list(held), state.params["point"] - self.minimiser
        for start in range(0, gap.shape[-2], PART):
            here = (..., slice(start, start + PART), slice(None))
            step = self._step(self.curvature[here], rates, names)
            vector = [gap[here], *(held[name][here] for name in names)]
            moved = _applied(_power(step, last - first), vector)
            for whole, part in zip((gap, *held.values()), moved, strict=True):
                whole[here] = part
        state.params["point"] = self.minimiser + gap

    def _step(self, curvature: Array, rates: Array, names: list[str]) -> Matrix:
        """Return the matrix of one step, from its effect on a gap and on each state."""
        optimizer = self.optimizer.optimizers["point"]
        one = namespace(rates).ones_like(curvature * rates)
        columns = []
        for unit in (None, *names):
            gap = one if unit is None else 0 * one
            state = {name: one if name == unit else 0 * one for name in names}
            direction, after = optimizer.update(curvature * gap, state, gap, 1)
            columns.append([gap - rates * direction, *(after[name] for name in names)])
        return [list(row) for row in zip(*columns, strict=True)]


def _power(matrix: Matrix, exponent: int) -> Matrix:
    """Return the matrix to a power of at least 1, by squaring."""
    if exponent == 1:
        return matrix
    half = _power(matrix, exponent // 2)
    square = _product(half, half)
    return _product(square, matrix) if exponent % 2 else square


def _product(a: Matrix, b: Matrix) -> Matrix:
    columns = [_applied(a, column) for column in map(list, zip(*b, strict=True))]
    return [list(row) for row in zip(*columns, strict=True)]


def _applied(matrix: Matrix, vector: list[Array]) -> list[Array]:
    """Return matrix @ vector."""
    return [sum(a * x for a, x in zip(row, vector, strict=True)) for row in matrix]
