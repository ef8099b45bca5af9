"""What a workload is: one problem, one method and a grid that every contestant trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Workload:
    """A grid of learning rates and seeds, and what is hoped for.

    Its fields are plain JSON, since the contestants' processes are sent it.
    """

    name: str
    title: str
    problem: str
    method: str  # gd, sgd or minibatch
    options: Mapping[str, object] = field(default_factory=dict)  # of the problem, as in TOML
    section: str = "table"
    batch_size: int = 32
    dtype: str = ""  # what gdcli has for the problem, unless another is given
    lr: tuple[float, float] = (1e-4, 1e-2)  # smallest and largest: none may diverge
    rates: int = 64
    seeds: int = 1
    first: int = 20  # steps of the short run, whose losses are compared
    most: Mapping[str, int] = field(default_factory=dict)  # trials of a contestant that are timed
    goals: Mapping[str, float] = field(default_factory=dict)  # by contestant: times gdcli's speed
    against: tuple[str, ...] = ("tutorial", "lean", "jax")
    quick: bool = False  # part of --quick

    @property
    def trials(self) -> int:
        """How many trials the grid has."""
        return self.rates * self.seeds

    @property
    def grid(self) -> dict[str, object]:
        """The axes and the training settings, as a command line or a TOML file says them."""
        low, high = self.lr
        return {
            "method": self.method,
            "batch-size": self.batch_size,
            "lr": f"log:{low!r}:{high!r}:{self.rates}" if self.rates > 1 else repr(high),
            "seed": f"0:{self.seeds - 1}",
            # Every step sees a batch of the same size: a compiled scan could take no other.
            "remainder": "drop",
            **({"dtype": self.dtype} if self.dtype else {}),
        }


@dataclass(frozen=True)
class Task:
    """A workload as one contestant is given it: which of its trials, and how many steps."""

    workload: Workload
    trials: int  # spread evenly over the grid, both ends included
    steps: int
    device: str = "cpu"
