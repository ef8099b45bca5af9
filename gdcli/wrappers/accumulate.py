"""Gradient accumulation: one step of the rule for several batches, with their mean gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.assembly import Changed, Passing, same
from gdcli.errors import UserError
from gdcli.method import Wrapper
from gdcli.trees import add, number, scaled, zeros

if TYPE_CHECKING:
    from gdcli.assembly import Answer
    from gdcli.method import About, Ask, Method, State
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Accumulate(Wrapper):
    """The rule steps after every `batches` batches, with the mean of their gradients.

    With batches of one size this is a step on the joined batch. --steps counts batches, --clip-norm
    clips the gradient of each of them, and the learning rate is that of the last. Batches after the
    last whole step of the rule move nothing. A rule that asks at another point, as a line search
    does, cannot be within it.
    """

    batches: Annotated[int, "batches of a step of the rule", Ge(1)] = 4

    keeps_direction: ClassVar[bool] = False
    one_point: ClassVar[bool] = True  # earlier batches are gone at any other
    changes_gradient: ClassVar[bool] = True

    def init(self, inner: Method, params: Params, about: About) -> State:
        """Start with sums of 0; raises UserError where no step of the rule is ever complete."""
        if about.horizon < self.batches:
            what = f"{self.batches} batches make a step, and the run has {about.horizon}"
            raise UserError(
                "accumulate.batches", what, "give fewer, or a larger --steps or --epochs"
            )
        return {"inner": inner.init(params, self._fewer(about)), **_empty(params)}

    def step(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters as they are, or after the last batch of a step the rule's step."""
        loss, gradient = ask(params)
        losses, total = state["losses"] + loss, add(state["total"], gradient)
        if step % self.batches:
            return params, {**state, "losses": losses, "total": total}
        mean = losses / self.batches, scaled(1 / self.batches, total)

        def changed(at: Params, loss: Array, gradient: Params) -> Answer:
            return mean if same(at, params) else (loss, gradient)

        whole = Changed(self._fewer(ask), changed)
        moved, after = inner.step(params, state["inner"], whole, lr, step // self.batches)
        return moved, {"inner": after, **_empty(params)}

    def _fewer(self, ask: About) -> Passing:
        """Return what the rule may ask: its whole budget is a share of all steps."""
        fewer = Passing(ask)  # type: ignore[arg-type]  # before the first step, nobody is asked
        fewer.horizon = ask.horizon // self.batches
        fewer.epoch = max(1, ask.epoch // self.batches)
        return fewer


def _empty(params: Params) -> State:
    return {"losses": number(params), "total": zeros(params)}
