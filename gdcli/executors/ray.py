"""Batches as tasks of a Ray cluster: a node that is killed costs its batches a retry.

The nodes compute and this process stores, so that they need not share a file system.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

from gdcli import __version__
from gdcli.datasets.contents import human
from gdcli.engine.estimate import stack_memory
from gdcli.errors import RunError
from gdcli.executors.cluster import Address, joined
from gdcli.executors.remote import Refusal, compute, order_of
from gdcli.executors.supervisor import Queue
from gdcli.runs.run import Done
from gdcli.runs.store import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdcli.executors.supervisor import Tally
    from gdcli.runs.run import Run

MOST_DEATHS = 4  # of the tasks of one batch: as many as Ray's own default
AHEAD = 2  # tasks for each CPU of the cluster, that none waits for this process
GLANCE = 0.5  # seconds between two looks at whether a signal came
# How Ray says, in the last lines of some traceback, that a node could not import the task.
LACKING = re.compile(r"(No module named|cannot import name|Can't get attribute) '\S+'")
CAUSES = {
    NodeDiedError: "the node ended",
    ObjectLostError: "the node ended that held its result",
    OutOfMemoryError: "the node was out of memory",
    WorkerCrashedError: "the worker ended",
}


def on_ray(
    address: Address, run: Run, todo: Sequence[int], tally: Tally, stopping: Callable[[], bool]
) -> None:
    """Compute batches on a cluster that is there already."""
    if todo:
        with joined(address):
            _Tasks(run, todo, tally).work(stopping)


class _Tasks:
    """The tasks of a run that the cluster has, and the batches that are still to be given to it.

    Ray is asked for no retries of its own: it would tell nobody, and where memory is short retry
    without end.
    """

    def __init__(self, run: Run, todo: Sequence[int], tally: Tally) -> None:
        self.run, self.tally = run, tally
        self.queue = Queue(todo, tally)
        self.order = order_of(run)
        needs = _needs(run)
        self.task = ray.remote(max_retries=0, **needs)(compute)
        self.out: dict[Any, int] = {}
        self.called_off: set[Any] = set()
        self.deaths: Counter[int] = Counter()
        self.error: Exception | None = None
        if not any(_has(node, needs) for node in ray.nodes()):
            wanted = f"a free CPU and {human(needs['memory'])} of memory"
            tally.progress.note(f"waiting for a node with {wanted}: the cluster has none")

    def work(self, stopping: Callable[[], bool]) -> None:
        """Give batches to the cluster until all are done; raises what went wrong there."""
        while (self.queue.left() and not (self.error or stopping())) or self.out:
            if self.error or stopping():
                self.call_off()
            else:
                self.give()
            self.hear()
        if self.error:
            raise self.error

    def give(self) -> None:
        """Give out as many batches as keep the cluster busy."""
        most = AHEAD * max(int(ray.cluster_resources().get("CPU", 0)), 1)
        while len(self.out) < most and (index := self.queue.next()) is not None:
            self.begin(index)

    def begin(self, index: int) -> None:
        """Claim a batch and give it out, unless another process is at it or has done it."""
        if not self.run.claims.take(index) and not self.run.signs.missing(index):
            self.queue.put_off(index)
            return
        held = self.run.store.load(index)
        if held is not None and not self.run.wanted(held):
            self.finish(index, held, computed=False)
        else:
            self.out[self.task.remote(self.order, index, held)] = index

    def call_off(self) -> None:
        """Take back the tasks that are not computed yet; the others ignore it.

        Once each: Ray 2.60 aborts where a task is taken back at the moment that it begins.
        """
        for task in self.out.keys() - self.called_off:
            ray.cancel(task)
            self.called_off.add(task)

    def hear(self) -> None:
        """Wait a moment for tasks to end, and take in what they return."""
        pause = self.queue.pause()
        pause = GLANCE if pause is None else min(pause, GLANCE)
        if not self.out:
            time.sleep(pause)
            return
        ended, _ = ray.wait([*self.out], timeout=pause)
        for task in ended:
            self.take_in(self.out.pop(task), task)

    def take_in(self, index: int, task: Any) -> None:
        """Store the batch of a task that ended, or see what became of it."""
        try:
            found = ray.get(task)
        except TaskCancelledError:
            self.run.claims.release(index)
        except tuple(CAUSES) as error:
            self.bury(index, next(text for kind, text in CAUSES.items() if isinstance(error, kind)))
        except RayError as error:
            self.run.claims.release(index)
            self.error = self.error or _unexpected(error)
        else:
            if isinstance(found, Shard):
                self.run.store.save(index, found)
                self.tally.advance(index, self.tally.steps(index))
                self.finish(index, found, computed=True)
            else:
                self.run.claims.release(index)
                wrong = found.error(self.run) if isinstance(found, Refusal) else found
                self.error = self.error or wrong

    def finish(self, index: int, shard: Shard, *, computed: bool) -> None:
        """Tell of a batch that is in the store."""
        self.run.claims.release(index)
        self.tally.done(index, Done(computed, self.run.failures(index, shard)))

    def bury(self, index: int, cause: str) -> None:
        """Give the batch of a task that was killed again, some times."""
        self.run.claims.release(index)
        self.deaths[index] += 1
        if self.deaths[index] < MOST_DEATHS:
            self.queue.retry(index)
            self.tally.progress.warn(f"batch {index} is given again: {cause}")
        else:
            self.tally.lose(index, f"it was given {MOST_DEATHS} times, at last {cause}")


def _needs(run: Run) -> dict[str, int]:
    """Return what a node must have free for a batch."""
    memory = max(stack_memory(batch, sys.maxsize) for batch in run.batches)
    return {"num_cpus": 1, "num_gpus": int(run.device != "cpu"), "memory": memory}


def _has(node: dict[str, Any], needs: dict[str, int]) -> bool:
    """Return whether a node could ever do a batch."""
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    has = node["Resources"]
    return node["Alive"] and all(has.get(names[name], 0) >= n for name, n in needs.items())


def _unexpected(error: RayError) -> Exception:
    """Return an error that no batch is to blame for."""
    text = str(error.cause if isinstance(error, RayTaskError) else error).strip()
    if lacking := LACKING.search(text):
        what = f"a node of the cluster has another gdcli, or none ({lacking[0]})"
        return RunError(f"{what}; install this one there: gdcli {__version__}")
    return RuntimeError(f"on the cluster: {text.splitlines()[-1]}")
