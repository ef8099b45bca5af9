"""Fused steps of linear models: several, or the parts of one, in few products, the same result.

Each stepper says in its docstring which steps it fuses, and by which algebra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.layout import STEPS_AT_ONCE
from gdcli.engine.update import Stepper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.programs.linear_model import LinearModelProgram
    from gdcli.engine.recorder import TrainingState
    from gdcli.engine.sampling import Orders
    from gdcli.engine.update import StackedOptimizer
    from gdcli.problem import Params


class FusedLinearModel(Stepper["LinearModelProgram"]):
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


class BlockedLinearModel(Stepper["LinearModelProgram"]):
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


class LeastSquares(Stepper["LinearModelProgram"]):
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


def fused(
    program: LinearModelProgram, optimizer: StackedOptimizer, orders: Orders
) -> Stepper[LinearModelProgram]:
    """Return the fastest stepper of plain stochastic descent on NumPy."""
    for kind in (LeastSquares, BlockedLinearModel):  # which need all examples in memory
        if not program.streamed and kind.fits(program, optimizer, orders):
            return kind(program, optimizer, orders)
    return FusedLinearModel(program, optimizer, orders)
