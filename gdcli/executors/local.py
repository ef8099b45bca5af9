"""This machine: as many processes as --workers says or the work is worth, or this one alone."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.engine.estimate import allowance, numpy_seconds, quick_estimate, stack_memory
from gdcli.engine.families.find import on_torch
from gdcli.errors import RunError
from gdcli.executors.supervisor import Executor, Unit, WorkerDied
from gdcli.runs.store import Shard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.executors.supervisor import RunMonitor
    from gdcli.executors.worker import Worker
    from gdcli.runs.run import Run

START = {False: 0.7, True: 2.5}  # seconds until a worker computes, without and with torch
GAIN = 3.0  # seconds that workers must save to be started unasked
PATIENCE = 5.0  # seconds that a worker without work has to end


class Local(Executor):
    """Computes in this process, or in worker processes."""

    reads = frozenset({"workers"})
    goes_on = True

    def start(self, run: Run, todo: Sequence[int], monitor: RunMonitor) -> None:
        """Choose how many processes compute."""
        super().start(run, todo, monitor)
        self.workers: list[Worker] = []
        self.failed_starts = 0
        self.count = workers_for(run, todo, monitor)
        if self.count > 1:  # multiprocessing takes a while to import
            from gdcli.executors.worker import Worker, job_of

            self.start_worker = partial(Worker.start, job_of(run, self.owns))

    def capacity(self) -> int:
        """Return the number of processes that compute."""
        return self.count

    def submit(self, index: int, held: Shard | None) -> Unit:
        """Compute a batch here and now, or give it to a worker."""
        unit = Unit(index)
        if self.count == 1:
            advance, hear = (partial(f, index) for f in (self.monitor.advance, self.monitor.hear))
            unit.found = self.run.compute(index, held, advance, self.run.checkpoint, hear)
        else:
            self._idle_worker().give(unit)
        return unit

    def _idle_worker(self) -> Worker:
        for worker in self.workers:
            if worker.unit is None:
                return worker
        self.workers.append(self.start_worker())
        return self.workers[-1]

    def wait(self, units: Sequence[Unit], seconds: float) -> Sequence[Unit]:
        """Take in what the workers send; return the units that have ended."""
        if self.workers:
            from multiprocessing.connection import wait

            ready = wait([worker.pipe for worker in self.workers], seconds)
            for worker in [worker for worker in self.workers if worker.pipe in ready]:
                self.on_message(worker)
        return [unit for unit in units if unit.found]

    def result(self, unit: Unit) -> Shard | Exception:
        """Return what a unit came to."""
        if unit.found is None:
            raise RuntimeError("a unit has not ended")
        return unit.found

    def cancel(self, unit: Unit) -> None:
        """Let a unit be finished: every one has begun."""

    def on_message(self, worker: Worker) -> None:
        """Take in what a worker sends: see `worker.serve` for what there is."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self.on_death(worker)
            return
        match message:
            case None:
                worker.ready = True
            case Shard():  # a tuple, too
                worker.free().found = message
            case (steps, loss):
                self.monitor.advance(worker.busy_with.index, steps, loss)
            case _:
                self.workers.remove(worker)
                worker.kill()
                worker.free().found = message

    def on_death(self, worker: Worker) -> None:
        """Report the death of a worker, or start another in its place if it had not begun."""
        self.workers.remove(worker)
        cause = worker.cause_of_death()
        if worker.unit is None:
            return
        unit = worker.free()
        if worker.ready:
            unit.found = WorkerDied(f"its worker ended by {cause}")
        elif self.failed_starts:
            what = f"a worker process ended before it began, by {cause}"
            unit.found = RunError(f"{what}; try --workers 1")
        else:
            self.failed_starts += 1
            self._idle_worker().give(unit)

    def stop(self) -> None:
        """End the workers: those without work by themselves, the others at once."""
        for worker in self.workers:
            if worker.unit is None:
                worker.pipe.close()
            else:
                worker.kill()
        end = time.monotonic() + PATIENCE
        for worker in self.workers:
            worker.process.join(max(end - time.monotonic(), 0))
            worker.kill()


def workers_for(run: Run, todo: Sequence[int], monitor: RunMonitor) -> int:
    """Return how many processes are to compute batches; 1 is this one."""
    asked = run.options.workers
    most = min(asked or _cores(), len(todo))
    if most <= 1 or run.device != "cpu" or not _here():
        return 1
    if asked is None and not _pays(run, todo, most):
        return 1
    fitting = _fitting(run)
    if fitting < most:
        monitor.progress.note(f"memory is enough for {fitting} of {most} workers")
    return max(min(most, fitting), 1)


def _cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _here() -> bool:
    """Return whether the working directory exists, in which a worker begins."""
    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


def _pays(run: Run, todo: Sequence[int], workers: int) -> bool:
    """Return whether so many workers would finish some seconds earlier than one process."""
    torch = any(on_torch(batch.trials[0]) for batch in run.batches)
    start = START[torch]
    worth = (start + GAIN) / (1 - 1 / workers)
    batches = [run.batches[index] for index in todo]
    if not torch and numpy_seconds(batches) < worth:
        return False  # not worth an estimate, which takes longer than many such grids
    return quick_estimate(batches, run.device, enough=worth) >= worth


def _fitting(run: Run) -> int:
    """Return how many batches fit into the memory at a time."""
    room = allowance(run.options.memory)
    return room // max(stack_memory(batch, room) for batch in run.batches)
