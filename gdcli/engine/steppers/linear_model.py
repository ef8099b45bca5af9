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
        lanes, l2 = weight.shape[:2], program.model.l2
        change = np.empty_like(weight)
        known: tuple[NDArray[np.floating], int] | None = None
        step = first
        for indices in self.blocks(first, last):
            count = indices.shape[2]
            z = np.empty((*lanes, count, weight.shape[3]), weight.dtype)
            for batch in program.batches(indices):
                x, rates = batch["x"], self.rule.rates(step, params)["weight"]
                if known is None or known[0] is not rates or known[1] != count:
                    # Written out: NumPy is slow where it has to repeat a row of eight.
                    known, scale = (rates, count), np.broadcast_to(rates / count, z.shape).copy()
                np.matmul(x, weight, out=z)
                slope = program.model.slope(program.by_output(z), batch["y"])
                slope = program.by_example(slope, count)
                np.multiply(slope, scale, out=z)
                if l2:
                    weight[..., :-1, :] *= 1 - rates * l2
                np.matmul(x.mT, z, out=change)
                np.subtract(weight, change, out=weight)
                step += 1
