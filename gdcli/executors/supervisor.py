"""The contract of an executor: who computes the batches of a run, and where.

The batches that nobody here has been given: what to begin next, and what to ask for again.

What becomes of the batches of a run, told as it comes.

The plainest executor: batches in this process, one after another.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from gdcli.fields import counted
from gdcli.runs.atomic import patience_said
from gdcli.runs.work import plan_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdcli.runs.progress import Progress
    from gdcli.runs.run import Done, Run


class Executor(Protocol):
    """Sees that batches of a run are in its store."""

    def __call__(
        self, run: Run, todo: Sequence[int], tally: Tally, stopping: Callable[[], bool]
    ) -> None:
        """Compute the batches with these indices, or wait until another process has.

        `tally` is told of each. Begins no further batch once `stopping` says so.
        """


class Queue:
    """Batches to be given out, and those that other processes are at."""

    def __init__(self, todo: Sequence[int], tally: Tally) -> None:
        """Begin with the longest, lest one of them is begun last and all wait for it."""
        self._todo = deque(sorted(todo, key=tally.steps, reverse=True))
        self._elsewhere: list[int] = []
        self._again = 0.0  # when to ask for those once more
        self._tally = tally

    def left(self) -> int:
        """Return how many batches nobody has been given."""
        return len(self._todo) + len(self._elsewhere)

    def next(self) -> int | None:
        """Return a batch to begin, None if there is none now."""
        if self._elsewhere and time.monotonic() >= self._again:
            self._todo.extend(self._elsewhere)
            self._elsewhere.clear()
        return self._todo.popleft() if self._todo else None

    def put_off(self, index: int) -> None:
        """Take back a batch that another process is at, until a while later."""
        self._elsewhere.append(index)
        self._again = time.monotonic() + self._tally.wait(len(self._elsewhere))

    def retry(self, index: int) -> None:
        """Take back a batch, to be given again last of all: if memory was short, less runs then."""
        self._todo.append(index)

    def pause(self) -> float | None:
        """Return the seconds until others' batches are asked for again, None without such."""
        return max(self._again - time.monotonic(), 0) if self._elsewhere else None


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


def inline(run: Run, todo: Sequence[int], tally: Tally, stopping: Callable[[], bool]) -> None:
    """Compute batches here; come back for those that other processes are at."""
    while todo:
        busy = []
        for index in todo:
            if stopping():
                return
            tally.begin(index)
            advance, hear = partial(tally.advance, index), partial(tally.hear, index)
            done = run.complete(index, advance, hear)
            if done is None:
                busy.append(index)
            else:
                tally.done(index, done)
        if len(busy) == len(todo):
            tally.sleep(len(busy))
        todo = busy
