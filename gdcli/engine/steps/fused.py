"""Fused steps: several steps, or the parts of one, in fewer operations with the same result.

Each stepper says in its docstring which steps it fuses, and by which algebra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from gdcli.arrays import namespace
from gdcli.engine.layout import STEPS_AT_ONCE
from gdcli.engine.programs.analytic import AnalyticProgram
from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.steps.stepper import Stepper, Stepwise

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from gdcli.engine.programs.network import NetworkProgram
    from gdcli.engine.recorder import TrainingState
    from gdcli.engine.sampling import Orders
    from gdcli.engine.update import StackedOptimizer
    from gdcli.optimizer import State
    from gdcli.problem import Array, Params


class FusedLinearModel(Stepper[LinearModelProgram]):
    """Plain stochastic descent on a linear model: W -= x' (lr / batch * slope).

    One pass over the weights fewer than gradient and update apart, and no array for the gradient.
    """

    description = "gradient and update fused"
    # The last rates, batch size, and rates / size.
    known: tuple[NDArray[np.floating], int, NDArray[np.floating]] | None = None

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take each step with three array operations and the problem's slope."""
        program, first, weight = self.program, state.step, state.params["weight"]
        l2, change = program.model.l2, np.empty_like(weight)
        step = first
        for indices in self.blocks(first, last):
            count = indices.shape[2]
            z = np.empty((*weight.shape[:2], count, weight.shape[3]), weight.dtype)
            for batch in program.batches(indices):
                x, rates = batch["x"], self.optimizer.rates(step, state.params)["weight"]
                np.matmul(x, weight, out=z)
                slope = program.model.slope(program.by_output(z), batch["y"])
                slope = program.by_example(slope, count)
                np.multiply(slope, self._scale(rates, z.shape), out=z)
                if l2:
                    weight[..., :-1, :] *= 1 - rates * l2
                np.matmul(x.mT, z, out=change)
                np.subtract(weight, change, out=weight)
                step += 1

    def _scale(self, rates: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.floating]:
        """Return rate / batch in the shape of predictions, (seeds, tiles, batch, columns)."""
        count = shape[-2]
        if self.known is None or self.known[0] is not rates or self.known[1] != count:
            # In full: NumPy is slow where it broadcasts a row.
            self.known = rates, count, np.broadcast_to(rates / count, shape).copy()
        return self.known[2]


MANY = 256  # weights of a trial, from which on moving them costs more than the inner products


class BlockedLinearModel(Stepper[LinearModelProgram]):
    """Single-example descent on many weights: sixteen steps between two passes over the weights.

    A prediction needs the weights w only through x w. With q = 1 - lr l2 the penalty's factor, and
    e_i = lr slope_i q^(j - 1 - i) the move of step i as it is before step j of a block, z_j = q^j
    x_j w - sum_{i < j} (x_j . x_i) e_i + b_j, where the bias b, which has no penalty, moves by
    itself. Nothing is divided by q, which is 0 at lr = 1 / l2.
    """

    description = "weights moved every sixteen steps"
    steps_fused = STEPS_AT_ONCE

    @staticmethod
    def fits(program: LinearModelProgram, optimizer: StackedOptimizer, orders: Orders) -> bool:
        """Return whether single examples move many weights, at a constant rate."""
        weights = program.train["x"].shape[1] * program.outputs
        return orders.plan.batch_size == 1 and weights >= MANY and optimizer.constant

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take the steps in blocks of sixteen, the last of an epoch shorter."""
        first, weight = state.step, state.params["weight"]
        rates = self.optimizer.rates(first, state.params)["weight"]
        factor = 1 - rates * self.program.model.l2
        factors = [np.ones_like(rates)]
        while len(factors) <= STEPS_AT_ONCE:
            factors.append(factors[-1] * factor)
        powers = np.concatenate(factors, axis=-2)
        for indices in self.blocks(first, last):
            for start in range(0, len(indices), STEPS_AT_ONCE):
                self._block(weight, rates, powers, indices[start : start + STEPS_AT_ONCE, :, 0])

    def _block(
        self,
        weight: NDArray[np.floating],
        rates: NDArray[np.floating],
        powers: NDArray[np.floating],
        places: NDArray[np.int64],
    ) -> None:
        """Take up to sixteen steps, on examples (steps, seeds).

        `powers` are 1, q, ..., q^16 along the last axis but one.
        """
        program = self.program
        x, ys = self._examples(places)
        features, bias = weight[..., :-1, :], weight[..., -1:, :]
        inner = x @ x.mT
        count, factor = len(places), powers[..., 1:2, :]
        ahead = x @ features
        ahead *= powers[..., :count, :]
        moves = np.zeros_like(ahead)
        shape = (*bias.shape[:2], *ys.shape[-2:])
        for j, y in enumerate(ys):
            z = ahead[..., j : j + 1, :]
            if j:
                z = z - inner[..., j : j + 1, :j] @ moves[..., :j, :]
            if program.model.l2:
                moves[..., :j, :] *= factor
            move = moves[..., j : j + 1, :]
            slope = program.model.slope((z + bias).reshape(shape), y)
            np.multiply(slope.reshape(bias.shape), rates, out=move)
            bias -= move
        features *= powers[..., count : count + 1, :]
        features -= x.mT @ moves

    def _examples(
        self, places: NDArray[np.int64]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return x, (seeds, 1, steps, features), and y, (steps, seeds, 1, outputs, width)."""
        train = self.program.train
        x = np.ascontiguousarray(train["x"][places.T][:, None, :, :-1])
        # In full: NumPy is slow where it broadcasts a number.
        return x, train["y"][places][:, :, None, :, None].repeat(self.program.width, axis=-1)


DOUBLINGS = STEPS_AT_ONCE.bit_length() - 1


class LeastSquares(Stepper[LinearModelProgram]):
    """Single-example descent on least squares: sixteen steps at once.

    The residuals r of consecutive steps on examples X depend on each other only through the
    examples' inner products: with L the part of X X' below its diagonal and c the learning rate, (I
    + c L) r = X w - y. As L is nilpotent, the inverse is a short product, (I - c L)(I + c^2 L^2)(I
    + c^4 L^4)(I + c^8 L^8), whose matrices all trials of a seed share.
    """

    description = "sixteen steps at once"
    steps_fused = STEPS_AT_ONCE

    @staticmethod
    def fits(program: LinearModelProgram, optimizer: StackedOptimizer, orders: Orders) -> bool:
        """Return whether the steps are those of least squares, one example at a constant rate."""
        plain = program.model.squared and not program.model.l2 and program.outputs == 1
        alone = orders.plan.batch_size == 1 and optimizer.constant
        return plain and alone and program.device.dtype == "float64"

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take sixteen steps at a time; the last of an epoch are padded with empty examples."""
        first, weight = state.step, state.params["weight"]
        shape = (*weight.shape[:2], STEPS_AT_ONCE, weight.shape[3])
        # c L = (c m) (L / m): with m the largest |x|^2, the powers of neither factor overflow.
        largest = (self.program.train["x"] ** 2).sum(1).max()
        rates = self.optimizer.rates(first, state.params)["weight"]
        powers = [_written_out(power, shape) for power in _powers(rates * largest)]
        rates = _written_out(rates, weight.shape)
        residual, step = np.empty(shape, weight.dtype), np.empty(shape, weight.dtype)
        change = np.empty_like(weight)
        for indices in self.blocks(first, last):
            xs, ys, products = self._prepared(indices, largest)
            for x, y, *inner in zip(xs, ys, *products, strict=True):
                np.matmul(x, weight, out=residual)
                np.subtract(residual, y, out=residual)
                for power, product in zip(powers, inner, strict=True):
                    np.matmul(product, residual, out=step)
                    np.multiply(step, power, out=step)
                    np.add(residual, step, out=residual)
                np.matmul(x.mT, residual, out=change)
                np.multiply(change, rates, out=change)
                np.subtract(weight, change, out=weight)

    def _prepared(
        self, indices: NDArray[np.int64], largest: np.floating
    ) -> tuple[NDArray[np.floating], NDArray[np.floating], list[NDArray[np.floating]]]:
        """Return x, y and the powers 1, 2, 4, 8 of L / m, by groups of sixteen steps and by seeds.

        Shapes (groups, seeds, 1, 16, features + 1), (groups, seeds, 1, 16, width) and, each,
        (groups, seeds, 1, 16, 16).
        """
        steps, seeds, _ = indices.shape
        groups = -(-steps // STEPS_AT_ONCE)
        x, y = self.program.train["x"], self.program.train["y"]
        xs = np.zeros((groups * STEPS_AT_ONCE, seeds, x.shape[1]), x.dtype)
        ys = np.zeros((groups * STEPS_AT_ONCE, seeds, 1), y.dtype)
        xs[:steps], ys[:steps] = x[indices[..., 0]], y[indices[..., 0]]
        xs, ys = (
            np.ascontiguousarray(a.reshape(groups, STEPS_AT_ONCE, seeds, -1).swapaxes(1, 2))
            for a in (xs, ys)
        )
        products = [np.tril(xs @ xs.mT, -1) / largest]
        while len(products) < DOUBLINGS:
            products.append(products[-1] @ products[-1])
        ys = ys.repeat(self.program.width, axis=-1)
        return xs[:, :, None], ys[:, :, None], [product[:, :, None] for product in products]


def _powers(factor: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    """Return the powers 1, 2, 4, 8 of c m, the first of them negative as in the product."""
    powers = [factor]
    while len(powers) < DOUBLINGS:
        powers.append(powers[-1] * powers[-1])
    return [-factor, *powers[1:]]


def _written_out(values: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.floating]:
    """Return values repeated in memory: NumPy broadcasts rows several times as slowly."""
    return np.ascontiguousarray(np.broadcast_to(values, shape))


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
        quadratic = program.problem.curvature(program.everything) is not None
        return (
            quadratic
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


class FusedNetwork(Stepwise[Any]):
    """Plain stochastic descent on a network: each layer moves its own parameters.

    The parameters move during the backward pass, so no gradient is ever stored.
    """

    program: NetworkProgram
    description = "gradient and update fused"
    # The last rates, batch size, and rates / size.
    known: tuple[Tensor, int, Tensor] | None = None

    def take(
        self,
        params: Params,
        states: dict[str, State],
        step: int,
        batch: Any,
        gradient: Params | None = None,
    ) -> None:
        """Take a step with the slopes times the learning rate over the batch size."""
        x, y = batch
        rate, count = self.optimizer.learning_rates(step), x.shape[-1]
        if self.known is None or self.known[0] is not rate or self.known[1] != count:
            self.known = rate, count, (rate / count)[:, None, None]
        self.program.descend(params, x, y, rate, self.known[2])
