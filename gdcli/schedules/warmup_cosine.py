"""Warm-up and cosine decay: a straight line up, then half a cosine down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from gdcli.schedules.cosine import Cosine


@dataclass(frozen=True)
class WarmupCosine(Cosine):
    """A linear rise that does not start at 0, then Cosine for the rest (Goyal et al. 2017)."""

    warmup: Annotated[float, "share of the run in which the learning rate rises", Ge(0), Le(1)] = (
        0.1
    )

    def multiplier(self, step: int, horizon: int) -> float:
        """Return (step + 1) / (rising + 1) for the first `rising` steps, then the cosine."""
        rising = round(self.warmup * horizon)
        if step < rising:
            return (step + 1) / (rising + 1)
        return super().multiplier(step - rising, horizon - rising)
