"""The learning rate as given, all the time."""

from __future__ import annotations

from dataclasses import dataclass

from gdcli.schedule import Schedule


@dataclass(frozen=True)
class Constant(Schedule):
    """No change."""

    def multiplier(self, step: int, horizon: int) -> float:
        """Return 1."""
        return 1.0
