"""A worker as the process sees it that supervises it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from gdcli.executors.worker import Order, serve
from gdcli.experiment.toml import dump
from gdcli.runs.interruption import shielded

if TYPE_CHECKING:
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
