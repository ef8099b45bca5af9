"""Extragradient: each step uses the gradient at the point that plain descent would reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.method import Method, State

if TYPE_CHECKING:
    from gdcli.method import Ask
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Extragradient(Method):
    """param -= lr * grad(param - lr * grad(param)), both of one batch (Korpelevich 1976).

    No package that gdcli compares rules with has this one; gdcli's tests compare it with a loop of
    two plain steps of torch.optim.SGD. Weight decay is part of both gradients.
    The default of `lr` is that of torch.optim.SGD.
    """

    default_lr: ClassVar[float] = 1e-3
    asks_elsewhere: ClassVar[bool] = True

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the gradient at the point ahead."""
        _, grad = self.gradient(params, ask)
        ahead = {name: param - lr * grad[name] for name, param in params.items()}
        return self.gradient(ahead, ask)[1], state
