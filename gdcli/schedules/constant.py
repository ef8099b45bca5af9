"""Constant: the learning rate as given, in every step."""

from __future__ import annotations

from dataclasses import dataclass

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """The multiplier 1 at every step."""

    def multiplier(self, step: int, horizon: int) -> float:
        """Return 1."""
        return 1.0
