"""Inverse square root: a straight line up, then 1 / sqrt(step)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gdcli.schedules.warmup_constant import WarmUp


@dataclass(frozen=True)
class InverseSqrt(WarmUp):
    """min(n / w, sqrt(w / n)) in step n, counted from 1, with its peak at w (Vaswani et al. 2017).

    w is the number of steps of the warm-up, at least 1. With `warmup-steps` the multiplier does not
    depend on how long the run is.
    """

    def multiplier(self, step: int, horizon: int) -> float:
        """Return the smaller of the line and the inverse square root."""
        peak = max(self.rising(horizon), 1)
        count = step + 1
        return count / peak if count < peak else math.sqrt(peak / count)
