"""Schedule-Free SGD: descent that averages its points instead of lowering its learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from annotated_types import Ge, Lt

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.polyak import quotient

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.optimizers.schedule_free_adamw import ScheduleFreeAdamW
    from gdcli.optimizers.schedule_free_radam import ScheduleFreeRAdam
    from gdcli.problem import Array, Params


Beta: TypeAlias = Annotated[
    float, "share of the average in the point at which gradients are taken", Ge(0), Lt(1)
]
RatePower: TypeAlias = Annotated[
    float, "power of the largest learning rate so far in the weights of the average", Ge(0)
]
StepPower: TypeAlias = Annotated[float, "power of the step in the weights of the average", Ge(0)]


@dataclass(frozen=True)
class ScheduleFreeSGD(Method):
    """z -= lr * grad(y); x = (1 - c) * x + c * z; y = beta * x + (1 - beta) * z.

    Defazio et al. 2024: gradients, and weight decay with them, are taken at y; x is recorded. It
    is an average of z with weights of step**r times a power of the largest learning rate so far.
    The formulas and the default learning rate are those of the package schedulefree. The rule is
    meant for a constant learning rate, after a warm-up.
    """

    beta: Beta = 0.9
    warmup_steps: Annotated[int, "steps in which the learning rate grows linearly", Ge(0)] = 0
    r: StepPower = 0.0
    weight_lr_power: RatePower = 2.0

    default_lr: ClassVar[float | None] = 1.0

    def init(self, params: Params, about: About) -> State:
        """Start with all three points at the same place."""
        return start(params)

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the next y, and the state with the next x and z."""
        _, grad = self.gradient(params, ask)
        after = advanced(self, state, grad, warmed(lr, step, self.warmup_steps), step)
        return between(after, self.beta), after

    def at(self, params: Params, state: State) -> Params:
        """Return the average x."""
        average: Params = state["x"]
        return average


def start(params: Params) -> State:
    """Return the state in which x and z are the parameters."""
    number = trees.number(params)
    return {"x": params, "z": params, "total": number, "largest": number}


def warmed(lr: Array, step: int, warmup_steps: int) -> Array:
    """Return the learning rate of a step, which grows linearly in the first ones."""
    return lr * (step / warmup_steps) if step < warmup_steps else lr


def advanced(
    rule: ScheduleFreeSGD | ScheduleFreeAdamW | ScheduleFreeRAdam,
    state: State,
    direction: Params,
    lr: Array,
    step: int,
) -> State:
    """Return the state with the next x and z, after a step of z."""
    largest = state["largest"].clamp(min=lr)
    weight = step**rule.r * largest**rule.weight_lr_power
    total = state["total"] + weight
    z = trees.add(state["z"], direction, -lr)
    # Written as differences, so that points at the same place stay there.
    x = trees.add(state["x"], trees.add(z, state["x"], -1.0), quotient(weight, total))
    return {**state, "x": x, "z": z, "total": total, "largest": largest}


def between(state: State, beta: Any) -> Params:
    """Return y, the point between x and z at which gradients are taken."""
    x, z = state["x"], state["z"]
    return trees.add(x, trees.add(z, x, -1.0), 1 - beta)
