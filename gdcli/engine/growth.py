"""The steps of a run whose batch size has a schedule: which examples each of them sees."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gdcli.errors import UserError

if TYPE_CHECKING:
    from gdcli.schedule import Schedule

MOST = 10_000_000  # steps of such a run: each has a place of its own


@dataclass(frozen=True, eq=False)
class Growth:
    """The examples seen before every step and after the last, and the first step of each epoch.

    A step takes the next examples of its epoch, fewer where the epoch ends.
    """

    seen: array[int]
    firsts: array[int]  # the end of the run among them, if an epoch ends there

    def epoch(self, step: int) -> int:
        """Return the number of the epoch that a step is in."""
        return bisect_right(self.firsts, step) - 1

    def next_epoch(self, step: int) -> int:
        """Return the first step of the epoch after that of a step, the run's end if none begins."""
        epoch = self.epoch(step) + 1
        return self.firsts[epoch] if epoch < len(self.firsts) else len(self.seen) - 1

    def place(self, step: int) -> int:
        """Return how many examples of its epoch were seen before a step."""
        return self.seen[step] - self.seen[self.firsts[self.epoch(step)]]

    def size(self, step: int) -> int:
        """Return the batch size of a step."""
        return self.seen[step + 1] - self.seen[step]

    def end_of_block(self, first: int, last: int) -> int:
        """Return the end of the steps after `first` that share its epoch and its batch size."""
        last = min(last, self.next_epoch(first))
        stop = first + 1
        while stop < last and self.size(stop) == self.size(first):
            stop += 1
        return stop


@lru_cache(maxsize=64)
def growth_of(schedule: Schedule, size: int, examples: int, steps: int, *, drop: bool) -> Growth:
    """Return the steps of a run whose batches have `size` times the multiplier, rounded.

    `drop`: whether an epoch ends where fewer examples are left than a batch takes. Raises UserError
    for more than 10 million steps.
    """
    if steps > MOST:
        what = f"{steps} steps are too many for a schedule of the batch size"
        raise UserError("--steps", what, f"at most {MOST}")
    seen, firsts = array("q", [0]), array("q", [0])
    left = examples
    for step in range(steps + 1):
        wanted = round(size * schedule.multiplier(min(step, steps - 1), steps))
        wanted = min(max(wanted, 1), examples)
        if left == 0 or (drop and left < wanted):
            firsts.append(step)
            left = examples
        taken = min(wanted, left)
        left -= taken
        seen.append(seen[-1] + taken)
    seen.pop()  # of the step after the last, which tells whether an epoch ends there
    return Growth(seen, firsts)
