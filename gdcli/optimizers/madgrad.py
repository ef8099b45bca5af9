"""MADGRAD: dual averaging, divided by the cube root of the summed squared gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Lt

from gdcli import trees
from gdcli.method import Method

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class MADGRAD(Method):
    """param moves to start - sum / (cbrt(squares) + eps), by 1 - momentum of the way.

    `sum` and `squares` add up lr * sqrt(step) times grad and grad**2 (Defazio and Jelassi 2022,
    algorithm 1). The rate stands under the cube root, so that a step is not a direction times the
    rate. The authors' code adds eps to the rate; here, as in the paper, it does not. The
    learning rate of 1e-2 is theirs.
    """

    momentum: Annotated[float, "share of the way that is not gone in each step", Ge(0), Lt(1)] = 0.9
    eps: Annotated[float, "added to the cube root, so that it is never 0", Gt(0)] = 1e-6

    default_lr: ClassVar[float | None] = 1e-2

    def init(self, params: Params, about: About) -> State:
        """Start with empty sums, and keep the starting point."""
        zeros = {name: param.new_zeros(param.shape) for name, param in params.items()}
        return {"start": dict(params), "sum": zeros, "squares": zeros}

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters nearer to the point of dual averaging."""
        _, grad = self.gradient(params, ask)
        weight = lr * step**0.5
        total = {n: state["sum"][n] + weight * g for n, g in grad.items()}
        squares = {n: state["squares"][n] + weight * (g * g) for n, g in grad.items()}
        share, moved = 1 - self.momentum, {}
        for name, param in params.items():
            root = trees.power(squares[name], 1 / 3) + self.eps
            target = state["start"][name] - total[name] / root
            moved[name] = (1 - share) * param + share * target
        return moved, {"start": state["start"], "sum": total, "squares": squares}
