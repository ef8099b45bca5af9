"""A linear warm-up, then half a cosine down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from gdcli.schedules.cosine import Cosine


@dataclass(frozen=True)
class WarmupCosine(Cosine):
    """Up a straight line, never from 0, then Cosine over the rest (Goyal et al. 2017)."""

    warmup: Annotated[float, "share of the run that warms up", Ge(0), Le(1)] = 0.1

    def multiplier(self, step: int, horizon: int) -> float:
        """Return (step + 1) / (rising + 1) for the first `rising` steps, then the cosine's."""
        rising = round(self.warmup * horizon)
        if step < rising:
            return (step + 1) / (rising + 1)
        return super().multiplier(step - rising, horizon - rising)
