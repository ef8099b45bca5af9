"""Plain stochastic descent on a network: the learning rate goes into the slopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gdcli.engine.programs.network import NetworkProgram
from gdcli.engine.steppers.stepwise import Stepwise

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.optimizer import State
    from gdcli.problem import Params


class FusedNetwork(Stepwise[NetworkProgram]):
    """Each layer moves its own parameters on the way back: no gradient is ever stored."""

    words = "gradient and update fused"
    # Rates, a batch's size, and the former over it.
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
        rate, count = self.rule.learning_rates(step), x.shape[-1]
        if self.known is None or self.known[0] is not rate or self.known[1] != count:
            self.known = rate, count, (rate / count)[:, None, None]
        self.program.descend(params, x, y, rate, self.known[2])
