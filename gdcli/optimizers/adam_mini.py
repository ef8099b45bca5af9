"""Adam-mini: Adam with one mean square for each row of a matrix or for a whole vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli import trees
from gdcli.method import About, Ask, Method, State
from gdcli.optimizers.adam import Beta1, Beta2, Eps, power

if TYPE_CHECKING:
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class AdamMini(Method):
    """param -= lr * mean_hat / (sqrt(square_hat) + eps), with a square for each block.

    The square is a running mean of the mean of the block's squared gradients (Zhang et al. 2024,
    algorithm 1). A row of a matrix is a block: an output neuron, an output channel or a token. Each
    other parameter is one block. This is the paper's partition of a transformer but for queries and
    keys, which it divides by head: no kind of parameter says so here. pytorch_optimizer takes a
    matrix as one block, unless its name is one of attention's; then it divides it as here.

    The learning rate is Adam's 0.001, as the paper advises to keep Adam's.
    """

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Eps = 1e-8

    default_lr: ClassVar[float] = 1e-3
    decoupled: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with both averages at 0."""
        square = {name: mean_square(param) for name, param in trees.zeros(params).items()}
        return {"mean": trees.zeros(params), "square": square}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the mean gradient divided by the root of its block's mean square."""
        _, grad = self.gradient(params, ask)
        mean = trees.mixed(state["mean"], grad, self.beta1)
        squares = {name: mean_square(g) for name, g in grad.items()}
        square = trees.mixed(state["square"], squares, self.beta2)
        unbias1, unbias2 = 1 - power(self.beta1, step), 1 - power(self.beta2, step)
        found = {
            n: m / unbias1 / ((square[n] / unbias2).sqrt() + self.eps) for n, m in mean.items()
        }
        return found, {"mean": mean, "square": square}


def mean_square(grad: Array) -> Array:
    """Return the mean square of each block; it broadcasts against the gradient."""
    if grad.ndim < 2:
        return (grad * grad).mean()
    return (grad * grad).flatten(1).mean(1).view(-1, *[1] * (grad.ndim - 1))
