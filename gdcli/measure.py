"""What is recorded at every point of a curve: its columns, and the contract of a measure."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from gdcli.engine.programs.program import Evaluation, Stack
    from gdcli.problem import Array, Params

NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
# any: what the cells of a varied setting hold, they tell themselves.
Kind: TypeAlias = Literal["whole", "number", "text", "any"]


@dataclass(frozen=True)
class Column:
    """One column.

    `elsewhere` is how `gdcli verify` compares its cells on another processor or with other
    versions, where the bits may differ: they must be equal, close, or may be any. Close is within
    `atol`, plus `rtol` times the larger value or that at the start.
    """

    name: str  # as the header says it: a-z 0-9 _
    kind: Kind = "number"
    phrase: str = ""  # what a cell holds, for help and docs
    elsewhere: Literal["equal", "close", "any"] = "any"
    always: bool = False  # no row lacks it
    rtol: float | None = None  # None: that of the trial's precision
    atol: float = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for a name that no header can have."""
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a column cannot be called {self.name!r}: use a-z 0-9 _")


SETTINGS = (  # of every run; what is varied besides has a column each after them
    Column("trial", "text", "hash of the trial's settings: the same in every grid", "equal"),
    Column("method", "text", "gd, sgd or minibatch", "equal"),
    Column("batch_size", "whole", "examples of a step", "equal", always=True),
    Column("optimizer", "text", "update rule", "equal"),
    Column("lr", "number", "learning rate", "equal"),
    Column("schedule", "text", "learning rate over time", "equal"),
    Column("seed", "whole", "seed of the start and of the order of examples", "equal", always=True),
)
PLACES = (  # of a recorded point
    Column("epoch", "number", "passes over the data", "equal"),
    Column("step", "whole", "steps taken", "equal", always=True),
    Column("examples", "whole", "examples seen", "equal", always=True),
)
LOSSES = (  # measured of every problem
    Column("train_loss", "number", "loss on all training examples", "close"),
    Column("grad_norm", "number", "Euclidean norm of its gradient on all training examples"),
    Column(
        "test_loss", "number", "loss on the held-out examples; empty where there are none", "close"
    ),
)
# Of the parameters that move, where another point is recorded.
RAW = Column(
    "raw_train_loss",
    "number",
    "training loss of the parameters that move, where another point is recorded, such as an"
    " average",
    "close",
)
STRETCHES = 16  # equal parts of the budget: summary.csv has the mean loss over each
CAUSES = ("", "growth", "overflow", "nan")  # why a loss left its bounds, by code
MEASURED = tuple(column.name for column in LOSSES)
LOSS_NAMES = tuple(name for name in MEASURED if name.endswith("_loss"))
OF_EVERY_RUN = (*SETTINGS, *PLACES, *LOSSES)  # whose names no measure may take


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
