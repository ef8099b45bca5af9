"""One line of results.csv: what a contestant took, and how that compares."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Spread(NamedTuple):
    """The middle of some repeats, and the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high)


@dataclass(frozen=True)
class Result:
    """A contestant's times on one workload."""

    section: str
    workload: str
    contestant: str
    unit: str
    value: Spread
    dtype: str = ""
    trials: int | None = None  # that were timed
    steps: int | None = None  # of the long run
    ratio: Spread | None = None  # its time over gdcli's, repeat by repeat
    goal: float | None = None  # what that ratio should reach
    limit: float | None = None  # what the value should not exceed
    overhead_seconds: float | None = None  # of a run, besides its steps
    compile_seconds: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal or the limit is met; None where there is none."""
        if self.goal is not None and self.ratio is not None:
            return self.ratio.median >= self.goal
        return None if self.limit is None else self.value.median <= self.limit

    def __str__(self) -> str:
        """Return a line for the terminal."""
        value, ratio = self.value, self.ratio
        line = f"  {self.contestant:12} {value.median:10.4g} [{value.low:.4g} {value.high:.4g}]"
        line += f" {self.unit}"
        if ratio:
            line += f"; {ratio.median:.3g}x [{ratio.low:.3g} {ratio.high:.3g}]"
        wanted = f"{self.goal:g}x" if self.goal else f"at most {self.limit:g}" if self.limit else ""
        if wanted:
            line += f" of {wanted}, {'met' if self.met else 'MISSED'}"
        if self.compile_seconds:
            line += f"; compiled in {self.compile_seconds:.1f} s"
        return line + (f"; {self.note}" if self.note else "")
