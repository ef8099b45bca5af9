"""MARS: the gradient with its change since the last step, which lowers its variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Lt

from gdcli.assembly import Changed, Remembered
from gdcli.method import Wrapper
from gdcli.trees import zeros

if TYPE_CHECKING:
    from gdcli.assembly import Answer
    from gdcli.method import About, Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Mars(Wrapper):
    """grad += gamma * beta / (1 - beta) * (grad - last), then grad /= max(1, norm(grad)).

    (Yuan, Liu, Wu, Zhou and Gu 2024, algorithm 2, the approximate version: last is the gradient of
    the last step's batch, 0 before the first.) The norm is of each parameter. All parameters are
    corrected, as in pytorch_optimizer with `optimize_1d`; by default, it and the authors' code
    leave vectors as they are. beta is to be that of the rule's running mean: `mars.beta` and
    `adamw.beta1` are 0.95 in the paper.
    """

    gamma: Annotated[float, "weight of the change of the gradient", Ge(0)] = 0.025
    beta: Annotated[
        float, "share of the running mean of the gradient that the rule keeps", Ge(0), Lt(1)
    ] = 0.95

    changes_gradient: ClassVar[bool] = True

    def init(self, inner: Method, params: Params, about: About) -> State:
        """Start with a last gradient of 0."""
        return {"inner": inner.init(params, about), "last": zeros(params)}

    def direction(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's direction for the corrected gradient."""
        asked = self._asked(ask, state["last"])
        found, after = inner.direction(params, state["inner"], asked, lr, step)
        return found, {"inner": after, "last": ask(params)[1]}

    def step(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's step with the corrected gradient."""
        asked = self._asked(ask, state["last"])
        found, after = inner.step(params, state["inner"], asked, lr, step)
        return found, {"inner": after, "last": ask(params)[1]}

    def _asked(self, ask: Ask, last: Params) -> Ask:
        def changed(_: Params, loss: Array, gradient: Params) -> Answer:
            return loss, {name: self._corrected(g, last[name]) for name, g in gradient.items()}

        return Remembered(Changed(ask, changed))

    def _corrected(self, slope: Array, last: Array) -> Array:
        found = slope + self.gamma * self.beta / (1 - self.beta) * (slope - last)
        return found / found.square().sum().sqrt().clamp(min=1.0)
