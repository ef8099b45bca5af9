"""Plain stochastic descent on a linear model: the learning rate goes into the slopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.steppers.stepper import Stepper

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Params


class FusedLinearModel(Stepper[LinearModelProgram]):
    """W -= x' (lr / batch * slope): one pass over the weights less, and no temporaries."""

    def advance(
        self, params: Params, states: dict[str, State], first: int, last: int, gradient: Params
    ) -> None:
        """Take each step with three array operations and the problem's slope."""
        weight, slope_of = params["weight"], self.program.model.slope
        l2 = self.program.model.l2
        lanes, outputs = weight.shape[:2], (self.program.outputs, self.program.width)
        change = np.empty_like(weight)
        step = first
        for indices in self.blocks(first, last):
            count = indices.shape[2]
            z = np.empty((*lanes, count, weight.shape[3]), weight.dtype)
            z_split = z.reshape(*lanes, count, *outputs)
            scaled = np.empty_like(z_split)
            projected = scaled.reshape(z.shape)
            for batch in self.program.batches(indices):
                x = batch["x"]
                rate = self.rule.rates(step, params)["weight"]
                np.matmul(x, weight, out=z)
                slope = slope_of(z_split, batch["y"])
                np.multiply(slope, rate.reshape(*lanes, 1, *outputs) / count, out=scaled)
                if l2:
                    weight[..., :-1, :] *= 1 - rate * l2
                np.matmul(x.mT, projected, out=change)
                np.subtract(weight, change, out=weight)
                step += 1
