"""How one trial's losses go: how far they fell, whether they still do, how often they rose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

from gdcli.analysis.quantiles import median
from gdcli.analysis.series import last_quarters, rises, trend
from gdcli.analysis.thresholds import Thresholds


@dataclass(frozen=True)
class Shape:
    """Two finite losses or more, the oldest first, and the known minimum where there is one."""

    losses: Sequence[float]
    minimum: float | None
    limits: Thresholds

    @cached_property
    def before(self) -> float:
        """The level of the quarter before the last: its median."""
        return median(self._quarters[0])

    @cached_property
    def last(self) -> float:
        """The level of the last quarter."""
        return median(self._quarters[1])

    @cached_property
    def floor(self) -> float | None:
        """What the loss is measured from: its known minimum, else 0 where no loss is negative."""
        if self.minimum is not None:
            return self.minimum
        return 0.0 if min(self.losses) >= 0 else None

    @cached_property
    def fall(self) -> float:
        """The loss at the start less the lowest one."""
        return self.losses[0] - min(self.losses)

    @cached_property
    def scale(self) -> float:
        """The fall, or the height of the second half's median where that is more."""
        return max(self.fall, self._height(median(self._second_half)))

    @cached_property
    def overshoots(self) -> list[float]:
        """The rises by more than noise, over the scale."""
        return [
            rise / self.scale if self.scale else inf
            for rise in rises(self.losses, self.limits.overshoot * self.scale)
        ]

    @property
    def at_the_minimum(self) -> bool:
        """Whether the last level is at the known minimum."""
        if self.minimum is None:
            return False
        return self.last - self.minimum <= self.limits.near * (self.losses[0] - self.minimum)

    @property
    def grows(self) -> bool:
        """Whether the loss is above its start at the end, and rising."""
        excess = self.last - self.losses[0]
        above = excess > self.limits.overshoot * self._height(self.losses[0])
        return above and trend(*self._quarters) >= self.limits.sure

    @property
    def overshoots_late(self) -> bool:
        """Whether the second half rises by more than noise."""
        return bool(rises(self._second_half, self.limits.overshoot * self.scale))

    @property
    def falls(self) -> bool:
        """Whether the loss still falls at the end."""
        level = self.fall if self.floor is None else min(self.fall, self._height(self.before))
        enough = self.before - self.last > self.limits.flat * level
        return enough and trend(*self._quarters) <= -self.limits.sure

    @cached_property
    def _quarters(self) -> tuple[Sequence[float], Sequence[float]]:
        return last_quarters(self.losses)

    @property
    def _second_half(self) -> Sequence[float]:
        return self.losses[len(self.losses) // 2 :]

    def _height(self, loss: float) -> float:
        """Return the height of a loss over the floor, 0 where there is no floor."""
        return 0.0 if self.floor is None else abs(loss - self.floor)
