"""AggMo: the mean of several velocities, each of which keeps another share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from gdcli.arrays import namespace
from gdcli.optimizer import Optimizer, State
from gdcli.optimizers.adam import power

if TYPE_CHECKING:
    from gdcli.problem import Array


@dataclass(frozen=True)
class AggMo(Optimizer):
    """velocity_i = beta_i * velocity_i + grad; param -= lr * mean of all velocities.

    (Lucas et al. 2019, equation 2, with the paper's betas: beta_i = 1 - scale**i, i from 0.)
    Three velocities and a scale of 0.1 are those of 0, 0.9 and 0.99.
    """

    velocities: Annotated[int, "number of velocities", Ge(1)] = 3
    scale: Annotated[
        float, "each velocity loses this share of what the one before it loses", Gt(0), Le(1)
    ] = 0.1

    linear: ClassVar[bool] = True

    def init(self, param: Array) -> State:
        """Start with all velocities at 0."""
        zeros = namespace(param).zeros_like(param)
        return {f"velocity{i}": zeros for i in range(self.velocities)}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the mean of the new velocities."""
        after = {
            f"velocity{i}": (1 - power(self.scale, i)) * state[f"velocity{i}"] + grad
            for i in range(self.velocities)
        }
        return sum(after.values()) / self.velocities, after
