"""One contestant in the race of one workload: its short run, its long run and what they took.

The difference of the two runs' times over the difference of their steps is what a step costs;
what a run costs besides, its set-up and the two evaluations of all examples, is kept apart.
Times are CPU seconds of a process of one thread, which others on the machine disturb least, and
on a GPU seconds of the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from benchmarks.worker import Timing, Worker
from benchmarks.workload import Task, Workload

# Trials are independent: two tell of all.
LOOPS = {"tutorial": 2, "lean": 2, "scikit-learn": 2, "scipy": 2}
MOST_STEPS = 100_000
SHORT, LONG = "short", "long"
NOISE = 0.05  # of a run's time: a difference that is smaller tells no more than that


@dataclass
class Entry:
    """A contestant, and its times so far."""

    worker: Worker
    task: Task  # of the short run
    dtype: str
    steps: int = 0  # of the long run
    compile_seconds: float = 0.0
    costs: list[float] = field(default_factory=list)  # seconds a trial-step, one a repeat
    overheads: list[float] = field(default_factory=list)  # seconds a run

    def _seconds(self, slot: str) -> float:
        timing: Timing = self.worker.train(slot)
        return timing.cpu if self.task.device == "cpu" else timing.wall

    def prolong(self, target: float) -> None:
        """Choose the long run: its further steps take about the target's seconds, or more.

        More where the short run takes long, whose time is subtracted.
        """
        short = self._seconds(SHORT)
        target = max(target, short)
        more = round(self.task.steps * min(max(target / short, 1), 100))
        while True:
            self.steps = min(self.task.steps + more, MOST_STEPS)
            prepared = self.worker.prepare(LONG, replace(self.task, steps=self.steps))
            self.compile_seconds = prepared["compile_seconds"]
            spent = max(self._seconds(LONG) - short, 1e-4)
            if spent > 0.7 * target or self.steps == MOST_STEPS:
                return
            more = round(more * min(max(target / spent, 1.5), 32))

    def measure(self) -> None:
        """Time both runs once."""
        short, long = self._seconds(SHORT), self._seconds(LONG)
        each = max(long - short, NOISE * long) / (self.steps - self.task.steps)
        self.costs.append(each / self.task.trials)
        self.overheads.append(max(short - each * self.task.steps, 0.0))


def enter(worker: Worker, workload: Workload) -> Entry:
    """Prepare a contestant's short run of a workload."""
    most = workload.most.get(worker.name, LOOPS.get(worker.name, workload.trials))
    task = Task(workload, min(most, workload.trials), workload.first, worker.device)
    return Entry(worker, task, worker.prepare(SHORT, task)["dtype"])
