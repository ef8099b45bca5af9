"""A task with all that its contestants share: trials, examples, starting points and batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.catalog.catalog import name_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import precision, starting_point
from gdcli.engine.plan import Plan, plan_of
from gdcli.engine.sampling import Orders
from gdcli.experiment.experiment import Given, read
from gdcli.experiment.grid import Trial
from gdcli.problem import Data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from benchmarks.workload import Task

OWN = "own-loss"  # a problem that is not gdcli's: benchmarks/own_loss.py
AHEAD = 2**17  # indices in a block of an order


@dataclass(frozen=True)
class Losses:
    """The mean loss over all training examples of every trial, before and after its steps."""

    before: list[float]
    after: list[float]


@dataclass(frozen=True)
class Loaded:
    """What a contestant starts from: trials of one cohort."""

    trials: tuple[Trial, ...]
    data: Data
    plan: Plan
    device: str = "cpu"

    @property
    def first(self) -> Trial:
        """A trial, for what all of them have in common."""
        return self.trials[0]

    @property
    def kind(self) -> str:
        """The problem's name."""
        return name_of(self.first.problem)

    @property
    def dtype(self) -> str:
        """The precision that gdcli has for the problem, and so everybody."""
        return precision(self.first)

    @property
    def full(self) -> bool:
        """Whether every step sees all examples."""
        return self.first.method == "gd"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The distinct seeds, in order."""
        return tuple(dict.fromkeys(trial.seed for trial in self.trials))

    @property
    def rates(self) -> tuple[float, ...]:
        """The distinct learning rates, in order."""
        return tuple(dict.fromkeys(trial.lr for trial in self.trials))

    @cached_property
    def starts(self) -> dict[int, dict[str, NDArray[np.float64]]]:
        """The starting point of every seed."""
        return {s: starting_point(self.first.problem, self.data, s) for s in self.seeds}

    @property
    def examples(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """What a step sees: training examples, or a quadratic's curvature and no targets."""
        if not self.data.train:
            constants = self.data.constants
            name = "hessian" if "hessian" in constants else "eigenvalues"
            return constants[name].astype(self.dtype), np.empty(0)
        return self.part("train")

    def part(self, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return inputs and targets, of "train" or "test": classes int64, numbers in the dtype."""
        part = getattr(self.data, name)
        x, y = part["x"], part["y"]
        if self.kind == "softmax-regression":
            y = y.argmax(1)  # gdcli has ones and zeros there
        return x.astype(self.dtype), y if y.dtype.kind == "i" else y.astype(self.dtype)

    def indices(self, seeds: tuple[int, ...]) -> NDArray[np.int64]:
        """Draw the examples of every step, shape (steps, seeds, batch): those that gdcli sees."""
        return np.concatenate(list(self.blocks(seeds, 0, self.plan.steps)))

    def blocks(self, seeds: tuple[int, ...], first: int, last: int) -> Iterator[NDArray[np.int64]]:
        """Yield the same for steps first..last-1, in blocks of steps with batches of one size."""
        orders = Orders(self.kind, seeds, self.plan, self.first.training.order)
        return orders.blocks(first, last, AHEAD)


def load(task: Task) -> Loaded:
    """Return the task's trials, recorded at their start and end, and their examples."""
    workload = task.workload
    own = workload.problem == OWN
    grid = {**workload.grid, "steps": task.steps, "record": str(task.steps)}
    name = "mlp" if own else workload.problem
    given = Given(name, workload.options, grid, {}, (), lambda option: f"--{option}")
    wanted = read(given).grid
    if own:
        from benchmarks.own_loss import OwnLoss  # brings torch along

        wanted = replace(wanted, problem=OwnLoss)
    trials = wanted.trials
    # From the largest rate down: it moves the losses that are compared, and may be the only one.
    places = np.linspace(len(trials) - 1, 0, task.trials).round().astype(int)
    chosen = tuple(trials[place] for place in reversed(places))
    data = examples_of(chosen[0])
    return Loaded(chosen, data, plan_of(chosen[0], data.examples), task.device)
