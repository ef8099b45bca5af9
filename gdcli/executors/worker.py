"""A worker: a process that computes the batches it is given, one at a time, and stores them."""

from __future__ import annotations

import os
import threading
import time
import traceback
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.catalog.user_code import fault_of
from gdcli.engine.examples import take
from gdcli.errors import GdcliError, RunError
from gdcli.experiment.toml import loads
from gdcli.fields import said
from gdcli.runs.fingerprint import problem_key
from gdcli.runs.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

    from gdcli.problem import Data
    from gdcli.runs.options import RunOptions
    from gdcli.runs.run import Done

INTERVAL = 0.1  # seconds between two messages of progress


class Order(NamedTuple):
    """A run as the process tells a worker of it that starts it."""

    experiment: str  # as TOML
    options: RunOptions
    store_id: str
    streamed: Mapping[int, Data]  # examples that stay on disk, by the place of their cohort
    checksums: Mapping[str, str]  # of all examples, by the problem's key

    def run(self) -> Run:
        """Return the run, whose examples on disk are neither converted nor hashed again."""
        experiment = loads(self.experiment, Path("experiment.toml"))
        known = {}
        for place, data in self.streamed.items():
            trial = experiment.grid.cohorts[place].trials[0]
            take(trial, data)
            key = problem_key(trial.problem)
            known[key] = self.checksums[key]
        return Run(experiment, self.options, known)


def serve(pipe: Connection[Any, Any], order: Order) -> None:
    """Compute batches for the process at the other end of a pipe, until it closes it.

    Takes an index at a time. Sends None when it is ready for the first, trial-steps done and the
    last loss as a tuple, a Done or "busy" at the end of a batch, and an exception that ends it.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _serve(pipe, order.run(), order.store_id)
    except (EOFError, BrokenPipeError):
        return  # the parent has closed the pipe
    except BaseException as error:  # noqa: BLE001 -- the parent tells the user
        pipe.send(portable(error))


def _serve(pipe: Connection[Any, Any], run: Run, store_id: str) -> None:
    if run.store.id != store_id:
        what = "the data or the code changed while the run began"
        raise RunError(f"{what}; give the same command again")
    with run.attended():
        pipe.send(None)
        while True:
            pipe.send(_complete(run, pipe.recv(), pipe))


def _complete(run: Run, index: int, pipe: Connection[Any, Any]) -> Done | str:
    steps = _Steps(pipe)
    done = run.complete(index, steps.add, steps.hear)
    steps.send()
    return done or "busy"


class _Steps:
    """Sends trial-steps done, a few times a second: they come by the thousand."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._send, self._count = pipe.send, 0
        self._loss: float | None = None
        self._next = time.monotonic() + INTERVAL

    def hear(self, loss: float) -> None:
        self._loss = loss
        self.add(0)

    def add(self, steps: int) -> None:
        self._count += steps
        if time.monotonic() >= self._next:
            self.send()

    def send(self) -> None:
        self._send((self._count, self._loss))
        self._count, self._next = 0, time.monotonic() + INTERVAL


def _end_with_parent() -> None:
    """End this process with its parent, even one that was killed."""
    if parent := parent_process():
        wait([parent.sentinel])
        os._exit(1)


def portable(error: BaseException) -> BaseException:
    """Return an exception that survives the way to another process, with its traceback."""
    if not isinstance(error, GdcliError) and (fault := fault_of(error)):
        return fault
    if not isinstance(error, GdcliError | OSError | MemoryError):
        error = RuntimeError(said(error))
    error.add_note("".join(traceback.format_exc()))
    return error
