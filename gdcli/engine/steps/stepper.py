"""How steps are taken: the contract of a stepper, and the plain way, step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import repeat
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from gdcli.engine.programs.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from gdcli.engine.recorder import TrainingState
    from gdcli.engine.sampling import Orders
    from gdcli.optimizer import State
    from gdcli.problem import Params

PAUSE = 16  # full-batch steps, after which a checkpoint may be kept

P = TypeVar("P", bound=Program)


class Stepper(ABC, Generic[P]):
    """Takes steps with all trials of a batch."""

    description: str  # for the manifest
    steps_fused: ClassVar[int] = (
        1  # steps that are always computed together, whatever fits the cache
    )

    def __init__(self, program: P, optimizer: Any, orders: Orders | None) -> None:
        """Take the program, its optimizer, and the examples' orders; None for full batches."""
        self.program, self.optimizer, self.orders = program, optimizer, orders

    def advance(
        self, state: TrainingState, last: int, gradient: Params | None = None
    ) -> TrainingState:
        """Return the state after `last` steps, whose arrays take the places of those before.

        `gradient` is the gradient of the full training loss at `state`, where it is known.
        """
        self.program.set_step(state.step)
        self.program.buffers = state.buffers
        self.take_steps(state, last, gradient)
        return state._replace(step=last, buffers=self.program.buffers)

    @abstractmethod
    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take the steps up to `last`, and change parameters and optimizer state in place."""

    @property
    def checkpoint_every(self) -> int | None:
        """Checkpoint interval in steps; None: the trial cannot be resumed.

        Resuming at a multiple of it gives identical bits. A block of batches ends with its epoch;
        full batches are taken one by one.
        """
        return PAUSE if self.orders is None else self.orders.plan.steps_per_epoch

    def blocks(self, first: int, last: int) -> Iterator[NDArray[np.int64]]:
        """Yield the example indices of steps, shape (steps, seeds, batch), in blocks."""
        orders = self.orders
        if orders is None:
            return
        row = sum(array[:1].size for array in self.program.data.train.values())
        step = len(orders.seeds) * orders.plan.batch_size * row
        most = max(1, self.program.device.at_once // (step * self.steps_fused)) * self.steps_fused
        yield from orders.blocks(first, last, most)

    def batches(self, first: int, last: int) -> Iterator[Any]:
        """Yield the batch of every step; None is all training examples."""
        if self.orders is None:
            yield from repeat(None, last - first)
        for indices in self.blocks(first, last):
            yield from self.program.batches(indices)


class Stepwise(Stepper[P]):
    """Gradient, then update, step by step: every other stepper must agree with it."""

    description = "step by step"

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take each step by itself."""
        gradient, first = None if self.orders else gradient, state.step
        for step, batch in zip(range(first, last), self.batches(first, last), strict=True):
            self.program.step = step
            self.take(state.params, state.optimizer, step, batch, gradient)
            gradient = None

    def take(
        self,
        params: Params,
        states: dict[str, State],
        step: int,
        batch: Any,
        gradient: Params | None = None,
    ) -> None:
        """Take one step on a batch; `gradient` is its gradient, where it is known."""
        gradient = gradient or self.program.gradient(params, batch)
        self.optimizer.step(params, gradient, states, step)
