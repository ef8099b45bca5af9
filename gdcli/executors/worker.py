"""Processes that compute batches for another one: what they know of a run, and what they do.

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
from gdcli.engine.examples import take
from gdcli.errors import GdcliError, RunError
from gdcli.executors.supervisor import Owned, Unit
from gdcli.experiment.toml import dump, loads
from gdcli.fields import said
from gdcli.problem import Data
from gdcli.runs.fingerprint import problem_key
from gdcli.runs.options import RunOptions
from gdcli.runs.process import shielded
from gdcli.runs.run import Run
from gdcli.runs.spec import differences, line, sources_of

if TYPE_CHECKING:
    from gdcli.runs.store import Shard

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
