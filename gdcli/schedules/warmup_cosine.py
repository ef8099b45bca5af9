"""Warm-up and cosine decay: a straight line up, then half a cosine down."""

from __future__ import annotations

from dataclasses import dataclass

from gdcli.schedules.cosine import Cosine
from gdcli.schedules.warmup_constant import Rise


@dataclass(frozen=True)
class WarmupCosine(Cosine):
    """A linear rise that does not start at 0, then Cosine for the rest (Goyal et al. 2017)."""

    warmup: Rise = 0.1

    def multiplier(self, step: int, horizon: int) -> float:
        """Return (step + 1) / (rising + 1) for the first `rising` steps, then the cosine."""
        rising = round(self.warmup * horizon)
        if step < rising:
            return (step + 1) / (rising + 1)
        return super().multiplier(step - rising, horizon - rising)
