"""The contract of a schedule: how the learning rate changes over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule(ABC):
    """A multiplier on the learning rate: a frozen dataclass whose fields are its options."""

    @abstractmethod
    def multiplier(self, step: int, horizon: int) -> float:
        """Return the factor for a step (counted from 0) of a run of `horizon` steps.

        Use plain Python arithmetic, so that every machine and device gets the same number.
        """
