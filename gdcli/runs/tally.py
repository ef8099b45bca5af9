"""What becomes of the batches of a run, told as it comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gdcli.fields import counted
from gdcli.runs.atomic import patience_said
from gdcli.runs.work import plan_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.runs.progress import Progress
    from gdcli.runs.run import Done, Run

MOST_LINES = 20  # of failed trials: all of them are in summary.csv
SHORTEST, LONGEST = 0.02, 0.5  # seconds between two looks at what others compute


class Tally:
    """Counts the batches that were computed, and tells of failures and of those that are lost."""

    def __init__(self, run: Run, progress: Progress) -> None:
        """Tell `progress` of the batches of a run."""
        self.progress = progress
        self.computed = 0
        self.lost: list[str] = []  # what is to be said of each
        self._batches = run.batches
        self._lines = 0
        self._told_of_others = False
        self._pause = SHORTEST

    def steps(self, index: int) -> int:
        """Return the trial-steps of a batch."""
        batch = self._batches[index]
        return len(batch.trials) * plan_for(batch).steps

    def hear(self, index: int, loss: float) -> None:
        """Tell of the lowest loss of a batch that is being computed."""
        self.advance(index, 0, loss)

    def begin(self, index: int) -> None:
        """Tell of a batch that is going to be computed."""
        self.advance(index, 0)

    def advance(self, index: int, steps: int, loss: float | None = None) -> None:
        """Add trial-steps of a batch that is being computed, and the lowest loss of its trials."""
        self.progress.advance(self._batches[index].label, steps, loss)

    def done(self, index: int, done: Done) -> None:
        """Add a batch that is in the store."""
        self._pause = SHORTEST
        self.computed += done.computed
        if not done.computed:
            self.advance(index, self.steps(index))
        self.failed(done.failures)

    def failed(self, lines: Sequence[str]) -> None:
        """Tell of trials that failed, but not of very many."""
        for line in lines[: max(MOST_LINES - self._lines, 0)]:
            self.progress.warn(line)
        if self._lines <= MOST_LINES < self._lines + len(lines):
            self.progress.warn("failed: further trials, which summary.csv lists")
        self._lines += len(lines)

    def lose(self, index: int, cause: str) -> None:
        """Add a batch that cannot be computed."""
        batch = self._batches[index]
        first, more = batch.trials[0].id, len(batch.trials) - 1
        named = f"{first} and {more} more" if more else first
        self.lost.append(f"batch {index} of {batch.cohort} (trials {named}): {cause}")

    def wait(self, others: int) -> float:
        """Tell, once, that others compute what is left; return the seconds to wait for them."""
        if not self._told_of_others:
            self._told_of_others = True
            batches = "batch that another process computes", "batches that other processes compute"
            said = f"waiting for {counted(others, *batches)}"
            self.progress.note(f"{said}, {patience_said()}")
        self._pause = min(2 * self._pause, LONGEST)
        return self._pause

    def sleep(self, others: int) -> None:
        """Wait a moment for the batches of other processes."""
        time.sleep(self.wait(others))
