"""Batches in local processes under supervision: one that is killed costs its batch a retry.

Python's own pools lose all that is left when a worker is killed. Here a worker stores what it
computes itself, and only says so through a pipe of its own, whose end tells of its death.

A worker as the process sees it that supervises it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from gdcli.errors import RunError
from gdcli.executors.supervisor import Queue
from gdcli.executors.worker import Order, serve
from gdcli.experiment.toml import dump
from gdcli.runs.run import Done
from gdcli.runs.signals import shielded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gdcli.executors.supervisor import Executor, Tally
    from gdcli.runs.run import Run

SAFE_PATH = "PYTHONSAFEPATH"


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let processes begin without a look into the working directory, where Python looks first.

    A file there, say random.py, would be run in the place of what the process begins with.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


@dataclass(eq=False)
class Worker:
    """A worker process, the pipe to it, and the batch that it is at."""

    process: BaseProcess
    pipe: Connection[Any, Any]
    index: int | None = None
    ready: bool = False

    @classmethod
    def start(cls, run: Run) -> Worker:
        """Start a process that reads the experiment anew and then waits for batches.

        Examples that stay on disk are handed on to it, with the file that they were converted to.
        It never sees the signals that end a run, which a terminal sends to all its processes.
        """
        context = multiprocessing.get_context("spawn")  # forking after torch has begun may hang
        ours, theirs = context.Pipe()
        options = replace(run.options, device=run.device)
        told = dump(run.experiment), options, run.store.id, run.streamed(), run.store.spec["data"]
        process = context.Process(target=serve, args=(theirs, Order(*told)), daemon=True)
        with _safe_path():
            resource_tracker.ensure_running()  # else `start` does, and unblocks the signals
            with shielded():
                process.start()
        theirs.close()
        return cls(process, ours)

    @property
    def idle(self) -> bool:
        """Whether it waits for a batch."""
        return self.ready and self.index is None

    @property
    def batch(self) -> int:
        """The batch that it is at."""
        if self.index is None:
            raise RuntimeError("a worker told of a batch that it was not given")
        return self.index

    def give(self, index: int) -> None:
        """Give it a batch."""
        self.index = index
        with suppress(OSError):  # if it has died, its pipe will tell
            self.pipe.send(index)

    def free(self) -> int:
        """Return the batch that it was at, and let it have another."""
        index, self.index = self.batch, None
        return index

    def cause_of_death(self) -> str:
        """Return what ended it: SIGKILL, or exit code 1."""
        self.kill()  # a process that only closed its pipe is of no use either
        code = self.process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """End it at once."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


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
