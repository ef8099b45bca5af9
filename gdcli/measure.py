"""What else is recorded at every point of a curve: the contract of a measure and of its columns."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from gdcli.engine.programs.program import Evaluation, Stack

NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Column:
    """A column of the results: how it is called, what its values are, and how they compare."""

    name: str  # as the header says it: a-z 0-9 _
    kind: Literal["loss", "number", "count", "text"] = "number"
    phrase: str = ""  # what a value says, for help and docs
    rtol: float | None = None  # relative difference that verify accepts; None: the run's precision
    atol: float = 0.0  # absolute difference that verify accepts
    better: Literal["lower", "higher"] | None = None  # None: neither, or it is not known

    def __post_init__(self) -> None:
        """Raise ValueError for a name that no header can have."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a column cannot be called {self.name!r}: use a-z 0-9 _")


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
