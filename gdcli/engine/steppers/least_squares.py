"""Single-example descent on least squares: many steps as a few matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.steppers.stepper import Stepper
from gdcli.engine.width import STEPS_AT_ONCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.rule import Rule
    from gdcli.engine.sampling import Orders
    from gdcli.optimizer import State
    from gdcli.problem import Params

DOUBLINGS = STEPS_AT_ONCE.bit_length() - 1


class LeastSquares(Stepper[LinearModelProgram]):
    """Sixteen steps at once.

    The residuals r of consecutive steps on examples X depend on each other only through the
    examples' inner products: with L the part of X X' below its diagonal and c the learning rate,
    (I + c L) r = X w - y. As L is nilpotent, the inverse is a short product,
    (I - c L)(I + c^2 L^2)(I + c^4 L^4)(I + c^8 L^8), whose matrices all trials of a seed share.
    """

    words = "sixteen steps at once"
    together = STEPS_AT_ONCE

    @staticmethod
    def fits(program: LinearModelProgram, rule: Rule, orders: Orders) -> bool:
        """Return whether the steps are those of least squares, one example at a constant rate."""
        plain = program.model.squared and not program.model.l2 and program.outputs == 1
        alone = orders.plan.batch_size == 1 and rule.constant
        return plain and alone and program.device.dtype == "float64"

    def advance(
        self,
        params: Params,
        states: dict[str, State],
        first: int,
        last: int,
        gradient: Params | None,
    ) -> None:
        """Take the steps in sixteens; the last of an epoch are filled up with empty examples."""
        weight = params["weight"]
        rates = self.rule.rates(first, params)["weight"]
        # c L = (c m) (L / m): with m the largest |x|^2, the powers of neither factor overflow.
        x = self.program.train["x"]
        self.largest = (x * x).sum(1).max()
        powers = [rates * self.largest]
        while len(powers) < DOUBLINGS:
            powers.append(powers[-1] * powers[-1])
        powers[0] = -powers[0]
        shape = (*weight.shape[:2], STEPS_AT_ONCE, weight.shape[3])
        # Written out: NumPy is several times as slow where it has to repeat a row of eight.
        powers = [np.ascontiguousarray(np.broadcast_to(power, shape)) for power in powers]
        rates = np.ascontiguousarray(np.broadcast_to(rates, weight.shape))
        residual, step = np.empty(shape, weight.dtype), np.empty(shape, weight.dtype)
        change = np.empty_like(weight)
        for indices in self.blocks(first, last):
            xs, ys, products = self._prepared(indices)
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
        self, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating], list[NDArray[np.floating]]]:
        """Return x, y and the powers L, L^2, L^4, L^8, by groups of steps and by seeds."""
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
        products = [np.tril(xs @ xs.mT, -1) / self.largest]
        while len(products) < DOUBLINGS:
            products.append(products[-1] @ products[-1])
        ys = ys.repeat(self.program.width, axis=-1)
        return xs[:, :, None], ys[:, :, None], [product[:, :, None] for product in products]
