"""Batches in local processes under supervision: one that is killed costs its batch a retry.

Python's own pools lose all that is left when a worker is killed. Here a worker stores what it
computes itself, and only says so through a pipe of its own, whose end tells of its death.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from gdcli.errors import RunError
from gdcli.executors.queue import Queue
from gdcli.executors.staff import Worker
from gdcli.runs.run import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdcli.runs.executor import Executor
    from gdcli.runs.run import Run
    from gdcli.runs.tally import Tally

MOST_DEATHS = 2  # of the workers of one batch, or of workers that had none yet
PATIENCE = 5.0  # seconds that a worker without work has to end


def processes(count: int) -> Executor:
    """Return an executor of so many local processes."""
    return partial(_execute, count)


def _execute(
    count: int, run: Run, todo: Sequence[int], tally: Tally, stopping: Callable[[], bool]
) -> None:
    pool = _Pool(count, run, todo, tally)
    try:
        pool.work(stopping)
        pool.dismiss()
    finally:
        pool.kill()


class _Pool:
    """Workers and the batches that are still to be given to them."""

    def __init__(self, count: int, run: Run, todo: Sequence[int], tally: Tally) -> None:
        self.count, self.tally = count, tally
        self.hire = partial(Worker.start, run)
        self.queue = Queue(todo, tally)
        self.workers: list[Worker] = []
        self.deaths: Counter[int | None] = Counter()
        self.error: BaseException | None = None

    def work(self, stopping: Callable[[], bool]) -> None:
        """Give batches to workers until all are done; raises what a worker raised."""
        while (self.queue.left() and not (self.error or stopping())) or self.busy():
            if not (self.error or stopping()):
                self.staff()
                self.assign()
            ready = wait([worker.pipe for worker in self.workers], self.queue.pause())
            for worker in [worker for worker in self.workers if worker.pipe in ready]:
                self.hear(worker)
        if self.error:
            raise self.error

    def busy(self) -> int:
        """Return how many workers have a batch."""
        return sum(worker.index is not None for worker in self.workers)

    def staff(self) -> None:
        """Start as many workers as there is work for."""
        while len(self.workers) < min(self.count, self.queue.left() + self.busy()):
            self.workers.append(self.hire())

    def assign(self) -> None:
        """Give batches to the workers that wait for one."""
        for worker in self.workers:
            if worker.idle and (index := self.queue.next()) is not None:
                worker.give(index)
                self.tally.begin(index)

    def hear(self, worker: Worker) -> None:
        """Take in what a worker sends: see `serve` for what there is."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self.bury(worker)
            return
        match message:
            case None:
                worker.ready = True
            case Done():  # a tuple, too
                self.tally.done(worker.free(), message)
            case (steps, loss):
                self.tally.advance(worker.batch, steps, loss)
            case "busy":
                self.queue.put_off(worker.free())
            case _:
                self.workers.remove(worker)
                worker.kill()
                self.error = self.error or message

    def bury(self, worker: Worker) -> None:
        """Give the batch of a worker that died to another, once."""
        self.workers.remove(worker)
        cause, index = worker.cause_of_death(), worker.index
        if index is None and worker.ready:
            return  # it had nothing to do
        self.deaths[index] += 1
        last = self.deaths[index] >= MOST_DEATHS
        if index is None:
            what = f"a worker process ended before it began, by {cause}"
            self.error = RunError(f"{what}; try --workers 1") if last else self.error
        elif last:
            self.tally.lose(index, f"it ended its worker twice, at last by {cause}")
        else:
            self.queue.retry(index)
            self.tally.progress.warn(f"a worker ended by {cause}: batch {index} is given again")

    def dismiss(self) -> None:
        """Let the workers end by themselves."""
        for worker in self.workers:
            worker.pipe.close()
        for worker in self.workers:
            worker.process.join(PATIENCE)

    def kill(self) -> None:
        """End the workers at once."""
        for worker in self.workers:
            worker.kill()
