"""Plain stochastic descent on a network: the learning rate goes into the slopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdcli.engine.programs.network import NetworkProgram
from gdcli.engine.steppers.stepper import Stepper

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.optimizer import State
    from gdcli.problem import Params


class FusedNetwork(Stepper[NetworkProgram]):
    """Each layer moves its own parameters on the way back: no gradient is ever stored."""

    words = "gradient and update fused"

    def advance(
        self,
        params: Params,
        states: dict[str, State],
        first: int,
        last: int,
        gradient: Params | None,
    ) -> None:
        """Take each step with the slopes times the learning rate over the batch size."""
        known: tuple[Tensor, int] | None = None
        for step, (x, y) in zip(range(first, last), self.batches(first, last), strict=True):
            rate, count = self.rule.learning_rates(step), x.shape[-1]
            if known is None or known[0] is not rate or known[1] != count:
                known, scale = (rate, count), (rate / count)[:, None, None]
            self.program.descend(params, x, y, rate, scale)
