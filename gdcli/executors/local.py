"""This machine's executor: as many processes as the work is worth, or none but this."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.engine.estimate import allowance, numpy_seconds, stack_memory
from gdcli.engine.families import on_torch
from gdcli.executors.supervisor import inline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdcli.executors.supervisor import Tally
    from gdcli.runs.run import Run

START = {False: 0.7, True: 2.5}  # seconds until a worker computes, without and with torch
GAIN = 3.0  # seconds that workers must save to be started unasked


def local(run: Run, todo: Sequence[int], tally: Tally, stopping: Callable[[], bool]) -> None:
    """Compute batches in this process, or in several where --workers or the work asks for them."""
    count = _workers(run, todo, tally)
    if count == 1:
        inline(run, todo, tally, stopping)
        return
    from gdcli.executors.processes import processes

    processes(count)(run, todo, tally, stopping)


def _workers(run: Run, todo: Sequence[int], tally: Tally) -> int:
    """Return how many processes are to compute batches; 1 is this one."""
    asked = run.options.workers
    most = min(asked or _cores(), len(todo))
    if most <= 1 or run.device != "cpu" or not _here():
        return 1
    if asked is None and not _pays(run, todo, most):
        return 1
    fitting = _fitting(run)
    if fitting < most:
        tally.progress.note(f"memory is enough for {fitting} of {most} workers")
    return max(min(most, fitting), 1)


def _cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _here() -> bool:
    """Return whether the working directory, which a worker begins in, has not been deleted."""
    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


def _pays(run: Run, todo: Sequence[int], workers: int) -> bool:
    """Return whether that many workers would be done some seconds earlier than one process."""
    torch = any(on_torch(batch.trials[0]) for batch in run.batches)
    start = START[torch]
    worth = (start + GAIN) / (1 - 1 / workers)
    batches = [run.batches[index] for index in todo]
    if not torch and numpy_seconds(batches) < worth:
        return False  # not worth a look: it would take longer than many such grids
    from gdcli.engine.estimate import quick_estimate

    return quick_estimate(batches, run.device, enough=worth) >= worth


def _fitting(run: Run) -> int:
    """Return how many batches at a time the memory is enough for."""
    room = allowance(run.options.memory)
    return room // max(stack_memory(batch, room) for batch in run.batches)
