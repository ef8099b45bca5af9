"""Single-example descent on a linear model of many weights: the weights move once a block."""

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

MANY = 256  # weights of a trial from which moving them costs more than looking back


class BlockedLinearModel(Stepper[LinearModelProgram]):
    """Sixteen steps between two passes over the weights.

    A prediction needs the weights w only through x w. With q = 1 - lr l2 the penalty's factor, and
    e_i = lr slope_i q^(j - 1 - i) the move of step i as it is before step j of a block,

        z_j = q^j x_j w - sum_{i < j} (x_j . x_i) e_i + b_j,

    where the bias b, which has no penalty, moves by itself. Nothing is divided by q, which is 0 at
    lr = 1 / l2.
    """

    words = "weights moved every sixteen steps"
    together = STEPS_AT_ONCE

    @staticmethod
    def fits(program: LinearModelProgram, rule: Rule, orders: Orders) -> bool:
        """Return whether single examples move many weights, at a constant rate."""
        weights = program.train["x"].shape[1] * program.outputs
        return orders.plan.batch_size == 1 and weights >= MANY and rule.constant

    def advance(
        self,
        params: Params,
        states: dict[str, State],
        first: int,
        last: int,
        gradient: Params | None,
    ) -> None:
        """Take the steps in blocks of sixteen, the last of an epoch shorter."""
        weight = params["weight"]
        rates = self.rule.rates(first, params)["weight"]
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
        # Written out: NumPy is slow where it has to repeat a number.
        return x, train["y"][places][:, :, None, :, None].repeat(self.program.width, axis=-1)
