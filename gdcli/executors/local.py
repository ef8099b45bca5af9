"""This machine: as many processes as --workers says or the work is worth, or this one alone.

`compute` is one batch in any process or node that knows no more of a run than a `JobSpec` tells it.
`Worker` is a worker process of this machine as its parent sees it, `serve` is its inside.

Each worker has a pipe of its own, whose end reports its death; a queue that workers share stays
locked when one of them is killed while it holds the lock. Pebble's pools survive deaths, too, but
report no progress, and their workers end at SIGTERM, where ours finish the batch in hand.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from multiprocessing import parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gdcli.catalog.user_code import content_of, fault_of, receive
from gdcli.engine.estimate import allowance, numpy_seconds, quick_estimate, stack_memory
from gdcli.engine.examples import take
from gdcli.engine.families.family import on_torch
from gdcli.errors import GdcliError, RunError
from gdcli.executors.supervisor import Executor, Owned, Unit, WorkerDied
from gdcli.experiment.toml import dump, loads
from gdcli.fields import said
from gdcli.problem import Data
from gdcli.process import shielded
from gdcli.runs.fingerprint import problem_key
from gdcli.runs.options import RunOptions
from gdcli.runs.run import Run
from gdcli.runs.spec import differences, line, sources_of
from gdcli.runs.store import Shard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.executors.supervisor import RunMonitor


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


Pipe: TypeAlias = "Connection[Any, Any]"

INTERVAL = 0.1  # seconds between two messages of progress
SAFE_PATH = "PYTHONSAFEPATH"


@dataclass(frozen=True)
class JobSpec:
    """All that another process needs to know of a run, without seeing its folder; picklable."""

    experiment: str  # as TOML
    options: RunOptions
    spec: bytes  # what the run's numbers depend on, as JSON
    spec_id: str
    directory: Path  # the working directory, from which relative paths to data count
    owns: frozenset[Owned]  # as the executor does
    code: tuple[tuple[str, bytes], ...] = ()  # the user's own files, where they cannot be seen
    # Examples that stay on disk, by the place of their cohort.
    streamed: Mapping[int, Data] = field(default_factory=dict, compare=False)

    def open(self) -> Run:
        """Return the run; raises RunError if this process would compute other bits."""
        with suppress(OSError):  # it is there where the file system is shared
            os.chdir(self.directory)
        receive(self.code)
        experiment = loads(self.experiment, Path("experiment.toml"))
        known, checksums = {}, json.loads(self.spec)["data"]
        for place, data in self.streamed.items():  # neither converted nor hashed again
            trial = experiment.grid.cohorts[place].trials[0]
            take(trial, data)
            key = problem_key(trial.problem)
            known[key] = checksums[key]
        run = Run(experiment, self.options, known)
        if run.store.id == self.spec_id:
            return run
        if "fingerprint" not in self.owns:
            what = "the data or the code changed while the run began"
            raise RunError(f"{what}; give the same command again")
        found = differences(json.loads(self.spec), json.loads(line(run.store.spec)))
        fix = "make the two alike, or leave that node out"
        raise RunError(f"it would compute other bits than the machine of the run: {found}; {fix}")


def job_of(run: Run, owns: frozenset[Owned]) -> JobSpec:
    """Return what an executor's processes need to know of a run.

    Raises UserError if one of the user's own files, which are sent to where the data are read
    anew, was changed since it was read.
    """
    # A process may itself be a task of a job array.
    options = replace(run.options, device=run.device, shard="1/1")
    if "memory" in owns:
        options = replace(options, memory=None)
    text, spec = dump(run.experiment), line(run.store.spec)
    job = JobSpec(text, options, spec, run.store.id, Path.cwd(), owns)
    if "data" not in owns:
        return replace(job, streamed=run.streamed())
    sources = sources_of(run.experiment).values()
    code = tuple((source.file, content_of(source)) for source in sources)
    return replace(job, options=replace(options, reuse=()), code=code)


def compute(job: JobSpec, index: int, held: Shard | None) -> Shard | RunError:
    """Return the shard of a batch, or the error that ends the run.

    With `held` only the failed trials of that shard are trained again. An error is returned, since
    a cluster would wrap what is raised in an exception of its own. A main thread ignores SIGINT
    from here on: a batch that has begun is finished.
    """
    with suppress(ValueError):  # another thread may not set it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return _opened(job).compute(index, held, lambda _: None)
    except (GdcliError, OSError, MemoryError) as error:
        lines = error.lines if isinstance(error, GdcliError) else [str(error) or "out of memory"]
        return RunError(f"node {platform.node()}: {'; '.join(lines)}")


@lru_cache(maxsize=1)  # the batches that a process is given are mostly of one run
def _opened(job: JobSpec) -> Run:
    return job.open()


@dataclass(eq=False)
class Worker:
    """A worker process, the pipe to it, and the batch that it computes."""

    process: BaseProcess
    pipe: Pipe
    ready: bool = False
    unit: Unit | None = None  # None: the worker is idle

    @classmethod
    def start(cls, job: JobSpec) -> Worker:
        """Start a process that reads the experiment anew and then waits for batches.

        It never sees the signals that end a run, which a terminal sends to all its processes.
        """
        context = multiprocessing.get_context("spawn")  # forking after torch has begun may hang
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, job), daemon=True)
        with _safe_path():
            resource_tracker.ensure_running()  # else `start` does, and unblocks the signals
            with shielded():
                process.start()
        theirs.close()
        return cls(process, ours)

    def give(self, unit: Unit) -> None:
        """Let the worker compute a batch."""
        self.unit = unit
        with suppress(OSError):  # if it has died, its pipe will tell
            self.pipe.send(unit.index)

    @property
    def busy_with(self) -> Unit:
        """The unit that it computes."""
        if self.unit is None:
            raise RuntimeError("a worker told of a batch that it was not given")
        return self.unit

    def free(self) -> Unit:
        """Return the unit that it computed; the worker is idle from here on."""
        unit, self.unit = self.busy_with, None
        return unit

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


def serve(pipe: Pipe, job: JobSpec) -> None:
    """Compute batches for the process at the other end of a pipe, until it closes it.

    Takes an index at a time. Sends None when it is ready, trial-steps done and the last loss as a
    tuple, a shard at the end of a batch, and an exception that ends the worker.
    """
    if parent := parent_process():
        end_with_parent(partial(wait, [parent.sentinel]))
    try:
        _serve(pipe, job)
    except (EOFError, BrokenPipeError):
        return  # the parent has closed the pipe
    except BaseException as error:  # noqa: BLE001 -- the parent raises it
        pipe.send(portable(error))


def _serve(pipe: Pipe, job: JobSpec) -> None:
    run = job.open()
    pipe.send(None)
    while True:
        index = pipe.recv()
        reports = StepReports(lambda _, steps, loss: pipe.send((steps, loss)))
        advance, held = partial(reports.add, ""), run.store.load(index)
        shard = run.compute(index, held, advance, run.checkpoint, partial(advance, 0))
        reports.flush()
        pipe.send(shard)


@dataclass
class StepReports:
    """Sends trial-steps done, a few times a second: they come by the thousand."""

    send: Callable[[str, int, float | None], object]  # takes a label, its steps, its last loss
    steps: dict[str, tuple[int, float | None]] = field(default_factory=dict)
    next: float = 0.0

    def add(self, label: str, steps: int, loss: float | None = None) -> None:
        """Add trial-steps done, and the lowest loss of the trials, if it is known."""
        before, last = self.steps.get(label, (0, None))
        self.steps[label] = before + steps, last if loss is None else loss
        if time.monotonic() >= self.next:
            self.flush()

    def flush(self) -> None:
        """Send what was added."""
        for label, (steps, loss) in self.steps.items():
            self.send(label, steps, loss)
        self.steps.clear()
        self.next = time.monotonic() + INTERVAL


def end_with_parent(wait_for_end: Callable[[], object]) -> None:
    """End this process when `wait_for_end` returns, as it does when the parent has ended."""

    def end() -> None:
        wait_for_end()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def portable(error: BaseException) -> BaseException:
    """Return an exception that survives the way to another process, with its traceback."""
    if not isinstance(error, GdcliError) and (fault := fault_of(error)):
        return fault
    if not isinstance(error, GdcliError | OSError | MemoryError):
        error = RuntimeError(said(error))
    error.add_note("".join(traceback.format_exc()))
    return error
