"""What else is recorded at every point of a curve: the contract of a measure and of its columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from gdcli.column import Column
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from gdcli.engine.programs.program import Evaluation, Stack

__all__ = ["Column", "Measure"]


@dataclass(frozen=True)
class Measure(ABC):
    """A measure: a frozen dataclass that computes its columns at every recorded point.

    It sees a stack of trials: parameters and gradients are arrays with axes of trials, NumPy or
    torch, whose place only the stack knows, so that it computes with the stack's methods:
    `stack.norm(params)`, `stack.sum_per_trial(array)`, `stack.hessian_product(params, direction)`.
    The first line of its file is its help.
    """

    columns: ClassVar[tuple[Column, ...]]
    # What it needs beside an evaluation, for the estimate of memory.
    vectors: ClassVar[int] = 0  # arrays of the parameters' size, for each trial
    second_order: ClassVar[bool] = False  # it differentiates the gradient of the training loss

    def prepare(self, stack: Stack, params: Params) -> Any:
        """Return what it works out once for a stack, from its starting points."""
        return None

    @abstractmethod
    def values(
        self, stack: Stack, params: Params, evaluation: Evaluation, prepared: Any
    ) -> dict[str, Array]:
        """Return the values of its columns by name, arrays of the stack's shape.

        `evaluation` holds what is recorded in any case, the gradient of the full training loss,
        and which trials are `running`: the values of the others are not used. None of the arrays
        may be changed.
        """
