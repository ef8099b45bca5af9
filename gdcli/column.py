"""What a column of results is, and the columns that every run has of each recorded point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

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
MEASURED = tuple(column.name for column in LOSSES)
LOSS_NAMES = tuple(name for name in MEASURED if name.endswith("_loss"))
OF_EVERY_RUN = (*SETTINGS, *PLACES, *LOSSES)  # whose names no measure may take
