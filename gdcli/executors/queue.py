"""The batches that nobody here has been given: what to begin next, and what to ask for again."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.runs.tally import Tally


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
