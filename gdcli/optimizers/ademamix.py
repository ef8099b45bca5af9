"""AdEMAMix: Adam with a second, slower running mean of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from gdcli.arrays import namespace
from gdcli.optimizers.adam import Adam, unbiased

if TYPE_CHECKING:
    from gdcli.optimizer import State
    from gdcli.problem import Array


@dataclass(frozen=True)
class AdEMAMix(Adam):
    """param -= lr * (mean_hat + alpha * slow) / (sqrt(square_hat) + eps).

    (Pagliardini, Ablin and Grangier 2024, algorithm 1.) `slow` is a running mean by beta3, without
    bias correction. In the first `warmup` steps alpha grows in proportion to the step, and the
    half-life of `slow` from that of beta1 to that of beta3; the paper takes all steps of training.
    Weight decay is decoupled, and alpha and the learning rate of 1e-3 are pytorch_optimizer's.
    """

    beta3: Annotated[
        float, "share of the slow running mean that is kept in each step", Ge(0), Lt(1)
    ] = 0.9999
    alpha: Annotated[float, "weight of the slow running mean in a step", Ge(0)] = 5.0
    warmup: Annotated[
        float, "steps in which alpha and beta3 grow to their values; 0: none", Ge(0)
    ] = 0.0

    decoupled: ClassVar[bool] = True

    def init(self, param: Array) -> State:
        """Start with all averages at 0."""
        return super().init(param) | {"slow": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean and the slow mean, divided by the root of the mean square."""
        moments = self.moments(grad, state)
        alpha, beta3 = self.warm(grad, step)
        slow = beta3 * state["slow"] + (1 - beta3) * grad
        top = unbiased(moments["mean"], self.beta1, step) + alpha * slow
        return top / self.scale(moments["square"], step), moments | {"slow": slow}

    def warm(self, like: Array, step: int) -> tuple[Array, Array]:
        """Return alpha and beta3 at a step, in the dtype of `like`."""
        xp = namespace(like)
        beta1, beta3, warmup = (
            # Always float64: 1 - beta3 is small.
            xp.asarray(value, dtype=xp.float64)
            for value in (self.beta1, self.beta3, self.warmup)
        )
        share = step / xp.where(warmup < 1, 1.0, warmup)
        share = xp.where(share < 1, share, 1.0)
        rate = (1 - share) * _inverse_log(beta1) + share * _inverse_log(beta3)
        between = xp.where(rate < 0, xp.exp(1 / xp.where(rate < 0, rate, -1.0)), 0.0)
        beta3 = xp.where((share < 1) & (between < beta3), between, beta3)
        return self.alpha * xp.asarray(share, dtype=like.dtype), xp.asarray(beta3, dtype=like.dtype)


def _inverse_log(beta: Array) -> Array:
    """Return 1 / log(beta), which is 0 for 0: the half-life but for a factor and a 1."""
    xp = namespace(beta)
    return xp.where(beta > 0, 1 / xp.log(xp.where(beta > 0, beta, 0.5)), 0.0)
