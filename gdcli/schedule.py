"""The contract of a schedule: how the learning rate changes over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Schedule(ABC):
    """A multiplier on the learning rate: a frozen dataclass whose fields are its options."""

    @abstractmethod
    def multiplier(self, step: int, horizon: int) -> float:
        """Return the factor for a step (counted from 0) of a run of `horizon` steps.

        Use plain Python arithmetic, so that every machine and device gets the same number.
        """


Memory: TypeAlias = dict[str, float]  # "multiplier", and what else a schedule keeps in mind


@dataclass(frozen=True)
class FeedbackSchedule(Schedule):
    """A schedule that follows the training losses of its trial, and not only the step.

    The engine tells it the loss of every recorded point, the one at the start first. What it keeps
    in mind is part of a checkpoint: numbers by name, always of the same names in the same order.
    """

    @abstractmethod
    def start(self) -> Memory:
        """Return what it knows before the first loss."""

    @abstractmethod
    def observed(self, memory: Memory, loss: float) -> Memory:
        """Return what it knows after another loss; do not change `memory`.

        `memory["multiplier"]` is the factor on the learning rate until the next recorded point.
        """

    def multiplier(self, step: int, horizon: int) -> float:
        """Return 1: the factor before any loss."""
        return 1.0
