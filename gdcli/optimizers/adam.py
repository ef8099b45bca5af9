"""Adam: momentum, with each coordinate divided by the recent size of its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from annotated_types import Ge, Gt, Lt

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State

if TYPE_CHECKING:
    from gdcli.problem import Array

Beta1: TypeAlias = Annotated[
    float, "share of the running mean of the gradient that is kept in each step", Ge(0), Lt(1)
]
Beta2: TypeAlias = Annotated[
    float,
    "share of the running mean of the squared gradient that is kept in each step",
    Ge(0),
    Lt(1),
]
Eps: TypeAlias = Annotated[float, "added to the divisor, so that it is never 0", Gt(0)]


@dataclass(frozen=True)
class Adam(Optimizer):
    """param -= lr * mean_hat / (sqrt(square_hat) + eps) (Kingma and Ba 2015, algorithm 1).

    The learning rate of 1e-3 is the paper's.
    """

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Eps = 1e-8

    default_lr: ClassVar[float | None] = 1e-3

    def init(self, param: Array) -> State:
        """Start with both averages at 0."""
        zeros = namespace(param).zeros_like(param)
        return {"mean": zeros, "square": zeros}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean gradient divided by the root of the mean square, both bias-corrected."""
        state = self.moments(grad, state)
        mean_hat = unbiased(state["mean"], self.beta1, step)
        return mean_hat / self.scale(state["square"], step), state

    def moments(self, grad: Array, state: State) -> State:
        """Return the moving averages of the gradient and of its square."""
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * grad
        square = self.beta2 * state["square"] + (1 - self.beta2) * (grad * grad)
        return {"mean": mean, "square": square}

    def scale(self, square: Array, step: int) -> Array:
        """Return the divisor of the mean gradient."""
        square_hat = unbiased(square, self.beta2, step)
        return namespace(square).sqrt(square_hat) + self.eps


def unbiased(average: Array, beta: float, step: int) -> Array:
    """Return a moving average with its bias towards the start at 0 corrected."""
    return average / (1 - power(beta, step))


def power(base: Array, exponent: int | Array) -> Array:
    """Return base**exponent by squaring.

    Results of pow differ between libraries, and between floats and arrays; products do not.
    On a GPU the exponent is an array, because a CUDA graph records one step for all.
    """
    if not isinstance(exponent, int):
        return base**exponent
    result = 1.0
    while exponent:
        if exponent % 2:
            result = result * base
        base = base * base
        exponent //= 2
    return result
