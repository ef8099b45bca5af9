"""Plain stochastic descent on a linear model: the learning rate goes into the slopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.steppers.stepper import Stepper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.optimizer import State
    from gdcli.problem import Params


class FusedLinearModel(Stepper[LinearModelProgram]):
    """W -= x' (lr / batch * slope): one pass over the weights less, and no gradient."""

    words = "gradient and update fused"
    # Rates, a batch's size, and the former over it.
    known: tuple[NDArray[np.floating], int, NDArray[np.floating]] | None = None

    def advance(
        self,
        params: Params,
        states: dict[str, State],
        first: int,
        last: int,
        gradient: Params | None,
    ) -> None:
        """Take each step with three array operations and the problem's slope."""
        program, weight = self.program, params["weight"]
        l2, change = program.model.l2, np.empty_like(weight)
        step = first
        for indices in self.blocks(first, last):
            count = indices.shape[2]
            z = np.empty((*weight.shape[:2], count, weight.shape[3]), weight.dtype)
            for batch in program.batches(indices):
                x, rates = batch["x"], self.rule.rates(step, params)["weight"]
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
        """Return rates / batch of the shape of predictions, (seeds, tiles, batch, columns)."""
        count = shape[-2]
        if self.known is None or self.known[0] is not rates or self.known[1] != count:
            # Written out: NumPy is slow where it has to repeat a row.
            self.known = rates, count, np.broadcast_to(rates / count, shape).copy()
        return self.known[2]
