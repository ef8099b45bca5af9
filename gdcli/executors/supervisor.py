"""Supervision: which batches are computed next, which are tried again, and what is stored.

An executor computes batches and reports how each one ended. Everything else is done here, once for
all executors: the queue, the claims that processes sharing a folder make, the second try of a
batch whose worker died, progress, and the files of finished batches.

A file of this folder that defines a class of `Executor` is an executor: `--executor` takes the
name of the file. Such a file is all that a new one needs.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from gdcli.catalog.classes import import_part, only_class
from gdcli.errors import UserError
from gdcli.fields import counted
from gdcli.runs.atomic import patience_said
from gdcli.runs.options import FOR_EXECUTORS, executor_names
from gdcli.runs.store import Shard
from gdcli.runs.work import plan_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gdcli.runs.options import Progress, RunOptions
    from gdcli.runs.run import Run

Owned: TypeAlias = Literal["memory", "data", "fingerprint"]

GLANCE = 0.5  # seconds between two looks at whether a signal came
POLL = 0.02  # seconds between two looks at units that cannot be waited for
MOST_LINES = 20  # of failed trials: all of them are in summary.csv
SHORTEST, LONGEST = 0.02, 0.5  # seconds between two looks at what other processes compute


class WorkerDied(Exception):  # noqa: N818 -- an event: the batch is tried again
    """The process that computed a batch ended; the text says how, such as "its node ended"."""


@dataclass(eq=False)
class Unit:
    """A batch in hand, for executors that have no handles of their own."""

    index: int
    found: Shard | Exception | None = None  # None: it has not ended


class Executor(ABC):
    """Computes batches somewhere.

    A unit is what `submit` returns for a batch: a `concurrent.futures.Future`, or anything with
    its methods `done`, `result` and `cancel`. An executor with other handles overrides `wait`,
    `result` and `cancel`.
    """

    reads: ClassVar[frozenset[str]] = frozenset()  # of the options in `FOR_EXECUTORS`
    # What the places that compute have apart from this process: memory of their own, examples
    # that they read themselves, and packages and processors that may differ from those here.
    owns: ClassVar[frozenset[Owned]] = frozenset()
    goes_on: ClassVar[bool] = False  # True: it computes with the checkpoints of the run's folder
    attempts: ClassVar[int] = 2  # a batch is given up when its worker has died so many times

    def __init__(self, options: RunOptions) -> None:
        """Take the options of a run; raises UserError where the executor cannot be used."""
        self.options = options

    def start(self, run: Run, todo: Sequence[int], monitor: RunMonitor) -> None:
        """Prepare to compute the batches `todo` of a run, whose `monitor` shows progress."""
        self.run, self.monitor = run, monitor

    def capacity(self) -> int:
        """Return how many units may be submitted at a time."""
        return self.options.workers or 1

    @abstractmethod
    def submit(self, index: int, held: Shard | None) -> Any:
        """Begin to compute a batch and return its unit.

        The unit's result is the batch's shard, as `Run.compute` or `worker.compute` returns it.
        `held` is the shard that is stored already, of which only the failed trials are trained
        again. Where `Run.compute` is called in this process, it is given
        `partial(self.monitor.advance, index)`, and progress shows the steps as they are done.
        """

    def wait(self, units: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Return the units that have ended; wait so many seconds if none has."""
        end = time.monotonic() + seconds
        while not (ended := [unit for unit in units if unit.done()]) and time.monotonic() < end:
            time.sleep(POLL)
        return ended

    def result(self, unit: Any) -> Shard | Exception:
        """Return the shard of a unit that has ended, or the error that ends the run.

        An error may be raised as well; WorkerDied stands for a batch to be tried again.
        """
        found: Shard | Exception = unit.result()
        return found

    def cancel(self, unit: Any) -> None:
        """Take back a unit that has not begun; one that has is finished."""
        unit.cancel()

    def stop(self) -> None:  # noqa: B027 -- where there is nothing to end, nothing is written
        """End what `start` began, at once; called in any case, even if `start` raised."""


def executor_class(name: str) -> type[Executor]:
    """Return the executor class of a file in this folder."""
    module = import_part(f"{__package__}.{name.replace('-', '_')}")
    return only_class(module, Executor, options=False)


def executor_of(options: RunOptions) -> Executor:
    """Return the executor that the options name.

    Raises UserError where it cannot be used here, and for an option that it does not read.
    """
    cls = executor_class(options.executor)
    for name in FOR_EXECUTORS:
        if getattr(options, name) is not None and name not in cls.reads:
            readers = [one for one in executor_names() if name in executor_class(one).reads]
            fix = f"leave it out, or give --executor {' or '.join(readers)}"
            what = f"--executor {options.executor} does not use it"
            raise UserError(f"--{name.replace('_', '-')}", what, fix)
    return cls(options)


def supervise(
    executor: Executor,
    run: Run,
    todo: Sequence[int],
    monitor: RunMonitor,
    stopping: Callable[[], bool],
) -> None:
    """See that the batches `todo` of a run are stored, or in `monitor.lost`.

    No further batch is begun once `stopping` returns True. Raises what a unit's result raised,
    after the units in hand are finished.
    """
    if not todo:
        return
    monitor.begin(todo[0])  # workers take seconds to start
    try:
        executor.start(run, todo, monitor)
        _Supervisor(executor, run, todo, monitor).work(stopping)
    finally:
        executor.stop()


class _Supervisor:
    """The units in hand, and the batches that are still to be submitted."""

    def __init__(
        self, executor: Executor, run: Run, todo: Sequence[int], monitor: RunMonitor
    ) -> None:
        self.executor, self.run, self.monitor = executor, run, monitor
        # The longest first, lest one of them is begun last and all wait for it.
        order = sorted(todo, key=monitor.steps, reverse=True) if executor.capacity() > 1 else todo
        self.queue = _Queue(order, monitor)
        self.units: dict[Any, int] = {}
        self.cancelled: set[Any] = set()
        self.deaths: Counter[int] = Counter()
        self.error: BaseException | None = None

    def work(self, stopping: Callable[[], bool]) -> None:
        while (self.queue.left() and not (self.error or stopping())) or self.units:
            if self.error or stopping():
                self.cancel()
            else:
                self.submit()
            self.wait()
        if self.error:
            raise self.error

    def submit(self) -> None:
        """Submit as many batches as the executor takes."""
        most = self.executor.capacity()
        while len(self.units) < most and (index := self.queue.next(self.waits)) is not None:
            if not self.run.claims.take(index) and not self.run.signs.missing(index):
                self.queue.put_off(index)
                continue
            held = self.run.store.load(index)  # another process may have put it there
            if held is not None and not self.run.wanted(held):
                self.finish(index, held, computed=False)
            else:
                self.monitor.begin(index)
                self.units[self.executor.submit(index, held)] = index

    def waits(self, index: int) -> bool:
        """Return whether a batch goes on from the state in which a shorter one will leave it."""
        if not self.executor.goes_on:
            return False
        shorter = [one for one, longer in self.run.longer.items() if index in longer]
        return any(one in self.units.values() or one in self.queue.todo for one in shorter)

    def cancel(self) -> None:
        """Take back the units that have not begun.

        Once each: Ray 2.60 aborts where a task is taken back at the moment that it begins.
        """
        for unit in self.units.keys() - self.cancelled:
            self.executor.cancel(unit)
            self.cancelled.add(unit)

    def wait(self) -> None:
        """Wait a moment for units to end, and take in their results."""
        seconds = min(self.queue.pause(), GLANCE)
        if not self.units:
            time.sleep(seconds)
            return
        for unit in self.executor.wait([*self.units], seconds):
            self.on_end(unit, self.units.pop(unit))

    def on_end(self, unit: Any, index: int) -> None:
        """Store the batch of a unit that has ended, or see what became of it."""
        try:
            self.store(index, self.executor.result(unit))
        except Exception as error:  # noqa: BLE001 -- it is raised when the others are finished
            self.run.claims.release(index)
            if unit in self.cancelled:
                return  # taken back, or failed while the run stops: the next run computes it
            if isinstance(error, WorkerDied):
                self.on_death(index, str(error))
            else:
                self.error = self.error or error

    def store(self, index: int, found: Shard | Exception) -> None:
        """Store the shard of a batch; raises the error that was returned in its place."""
        if isinstance(found, Exception):
            raise found
        self.run.save(index, found)
        self.finish(index, found, computed=True)

    def finish(self, index: int, shard: Shard, *, computed: bool) -> None:
        """Report a batch that is stored."""
        self.run.claims.release(index)
        self.monitor.done(index, self.run.failures(index, shard), computed=computed)

    def on_death(self, index: int, cause: str) -> None:
        """Queue a batch again whose worker died, or give it up."""
        self.deaths[index] += 1
        if self.deaths[index] < self.executor.attempts:
            self.queue.retry(index)
            self.monitor.progress.warn(f"batch {index} is tried again: {cause}")
        else:
            self.monitor.lose(index, f"it was tried {self.deaths[index]} times; at last {cause}")


class _Queue:
    """Batches to be submitted, and those that other processes compute."""

    def __init__(self, todo: Iterable[int], monitor: RunMonitor) -> None:
        self.todo, self._monitor = deque(todo), monitor  # to be submitted, in this order
        self._elsewhere: list[int] = []
        self._again = 0.0  # when to ask for those once more

    def left(self) -> int:
        """Return how many batches are not submitted."""
        return len(self.todo) + len(self._elsewhere)

    def next(self, waits: Callable[[int], bool]) -> int | None:
        """Return a batch to submit, None if there is none now; one that `waits` comes later."""
        if self._elsewhere and time.monotonic() >= self._again:
            self.todo.extend(self._elsewhere)
            self._elsewhere.clear()
        index = next((index for index in self.todo if not waits(index)), None)
        if index is not None:
            self.todo.remove(index)
        return index

    def put_off(self, index: int) -> None:
        """Take back a batch that another process computes, until a while later."""
        self._elsewhere.append(index)
        self._again = time.monotonic() + self._monitor.wait(len(self._elsewhere))

    def retry(self, index: int) -> None:
        """Take back a batch, to be tried again last: if memory was short, less runs then."""
        self.todo.append(index)

    def pause(self) -> float:
        """Return the seconds until others' batches are asked for again, infinite without such."""
        return max(self._again - time.monotonic(), 0) if self._elsewhere else float("inf")


class RunMonitor:
    """Counts what becomes of the batches of a run, and shows it as progress."""

    def __init__(self, run: Run, progress: Progress) -> None:
        """Show the batches of a run in `progress`."""
        self.progress = progress
        self.computed = 0
        self.lost: list[str] = []  # a line for each batch that is given up
        self._batches = run.batches
        self._left: dict[int, int] = {}  # trial-steps of a batch that are not reported yet
        self._lines = 0
        self._wait_noted = False
        self._pause = SHORTEST

    def steps(self, index: int) -> int:
        """Return the trial-steps of a batch."""
        batch = self._batches[index]
        return len(batch.trials) * plan_for(batch).steps

    def begin(self, index: int) -> None:
        """Show a batch that is going to be computed."""
        self.advance(index, 0)

    def hear(self, index: int, loss: float) -> None:
        """Show the lowest loss of a batch that is being computed."""
        self.advance(index, 0, loss)

    def advance(self, index: int, steps: int, loss: float | None = None) -> None:
        """Add trial-steps of a batch, none of them twice, and the lowest loss of its trials."""
        if index not in self._left:
            self._left[index] = self.steps(index)
        steps = min(steps, self._left[index])
        self._left[index] -= steps
        self.progress.advance(self._batches[index].label, steps, loss)

    def done(self, index: int, failures: Sequence[str], *, computed: bool) -> None:
        """Add a batch that is in the store, with a line for each trial that failed."""
        self._pause = SHORTEST
        self.computed += computed
        self.begin(index)
        self.advance(index, self._left[index])
        self.failed(failures)

    def failed(self, lines: Sequence[str]) -> None:
        """Show trials that failed, but not very many."""
        for line in lines[: max(MOST_LINES - self._lines, 0)]:
            self.progress.warn(line)
        if self._lines <= MOST_LINES < self._lines + len(lines):
            self.progress.warn("failed: further trials, which summary.csv lists")
        self._lines += len(lines)

    def lose(self, index: int, cause: str) -> None:
        """Add a batch that cannot be computed."""
        batch = self._batches[index]
        first, more = batch.trials[0].id, len(batch.trials) - 1
        named = f"{first} and {more} more" if more else first
        self.lost.append(f"batch {index} of {batch.cohort} (trials {named}): {cause}")

    def wait(self, others: int) -> float:
        """Show, once, that other processes compute what is left; return the seconds to wait."""
        if not self._wait_noted:
            self._wait_noted = True
            batches = "batch that another process computes", "batches that other processes compute"
            self.progress.note(f"waiting for {counted(others, *batches)}, {patience_said()}")
        self._pause = min(2 * self._pause, LONGEST)
        return self._pause
