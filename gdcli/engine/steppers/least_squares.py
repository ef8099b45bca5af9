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
        shape = (*weight.shape[:2], STEPS_AT_ONCE, weight.shape[3])
        # c L = (c m) (L / m): with m the largest |x|^2, the powers of neither factor overflow.
        largest = (self.program.train["x"] ** 2).sum(1).max()
        rates = self.rule.rates(first, params)["weight"]
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
    """Return values repeated in memory: NumPy is several times as slow where it repeats a row."""
    return np.ascontiguousarray(np.broadcast_to(values, shape))
