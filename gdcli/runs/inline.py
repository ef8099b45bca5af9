"""The plainest executor: batches in this process, one after another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdcli.runs.run import Run
    from gdcli.runs.tally import Tally


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
