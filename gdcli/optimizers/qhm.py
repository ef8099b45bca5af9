"""QHM: a weighted mean of the gradient and a running mean of gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Le

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import Beta1

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class QHM(Optimizer):
    """mean = beta * mean + (1 - beta) * grad; param -= lr * (nu * mean + (1 - nu) * grad).

    (Ma and Yarats 2019, algorithm 1; nu and beta are those that the paper recommends.) nu = 0 is
    plain gradient descent. nu = 1 is momentum and nu = beta is Nesterov's, both at 1 / (1 - beta)
    times their rates.
    """

    nu: Annotated[float, "share of the running mean in a step", Ge(0), Le(1)] = 0.7
    beta: Beta1 = 0.999

    linear: ClassVar[bool] = True

    def init(self, param: Array) -> State:
        """Start with a mean gradient of 0."""
        return {"mean": namespace(param).zeros_like(param)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the weighted mean of the running mean and the gradient."""
        mean = self.beta * state["mean"] + (1 - self.beta) * grad
        return self.nu * mean + (1 - self.nu) * grad, {"mean": mean}
