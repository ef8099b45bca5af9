"""How many steps a trial takes, how many examples each step sees, and which steps are recorded.

Some steps are watched whatever is recorded: a diagnosis is made from the facts at these. A batch
size with a schedule gives each step a number of examples of its own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from gdcli.errors import UserError
from gdcli.experiment.training import BATCH_SIZE, MOST_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gdcli.experiment.grid import Trial
    from gdcli.schedule import Schedule

MOST = 10_000_000  # steps of such a run: each has a place of its own


@dataclass(frozen=True, eq=False)
class Growth:
    """The examples seen before every step and after the last, and the first step of each epoch.

    A step takes the next examples of its epoch, fewer where the epoch ends.
    """

    seen: array[int]
    firsts: array[int]  # the end of the run among them, if an epoch ends there

    def epoch(self, step: int) -> int:
        """Return the number of the epoch that a step is in."""
        return bisect_right(self.firsts, step) - 1

    def next_epoch(self, step: int) -> int:
        """Return the first step of the epoch after that of a step, the run's end if none begins."""
        epoch = self.epoch(step) + 1
        return self.firsts[epoch] if epoch < len(self.firsts) else len(self.seen) - 1

    def place(self, step: int) -> int:
        """Return how many examples of its epoch were seen before a step."""
        return self.seen[step] - self.seen[self.firsts[self.epoch(step)]]

    def size(self, step: int) -> int:
        """Return the batch size of a step."""
        return self.seen[step + 1] - self.seen[step]

    def end_of_block(self, first: int, last: int) -> int:
        """Return the end of the steps after `first` that share its epoch and its batch size."""
        last = min(last, self.next_epoch(first))
        stop = first + 1
        while stop < last and self.size(stop) == self.size(first):
            stop += 1
        return stop


@lru_cache(maxsize=64)
def growth_of(schedule: Schedule, size: int, examples: int, steps: int, *, drop: bool) -> Growth:
    """Return the steps of a run whose batches have `size` times the multiplier, rounded.

    `drop`: whether an epoch ends where fewer examples are left than a batch takes. Raises UserError
    for more than 10 million steps.
    """
    if steps > MOST:
        what = f"{steps} steps are too many for a schedule of the batch size"
        raise UserError("--steps", what, f"at most {MOST}")
    seen, firsts = array("q", [0]), array("q", [0])
    left = examples
    for step in range(steps + 1):
        wanted = round(size * schedule.multiplier(min(step, steps - 1), steps))
        wanted = min(max(wanted, 1), examples)
        if left == 0 or (drop and left < wanted):
            firsts.append(step)
            left = examples
        taken = min(wanted, left)
        left -= taken
        seen.append(seen[-1] + taken)
    seen.pop()  # of the step after the last, which tells whether an epoch ends there
    return Growth(seen, firsts)


MOST_POINTS = 10_000_000


class Plan(NamedTuple):
    """The steps of a trial: the same for every trial of a cohort."""

    examples: int  # training examples there are
    batch_size: int  # of every step but an epoch's last; with a schedule, before its multiplier
    steps_per_epoch: int
    steps: int
    record: str  # "epoch", "step", "log" or a number of steps
    growth: Growth | None = None  # the steps, where the batch size has a schedule

    @property
    def examples_per_epoch(self) -> int:
        """Examples that an epoch sees: fewer than there are when the remainder is dropped."""
        if self.growth:  # no two epochs drop as many
            return self.examples
        return min(self.steps_per_epoch * self.batch_size, self.examples)

    def points(self) -> Iterable[int]:
        """Return the recorded steps, ascending: 0, ..., the last."""
        if self.record == "log":
            return chain(
                [0],
                (2**i for i in range(self.steps.bit_length()) if 2**i < self.steps),
                [self.steps],
            )
        if self.growth and self.record == "epoch":
            return [*(step for step in self.growth.firsts if step < self.steps), self.steps]
        return chain(range(0, self.steps, self.interval or 1), [self.steps])

    def next_point(self, step: int) -> int:
        """Return the first recorded step after a step; the last one after the end."""
        if self.growth and self.record == "epoch":
            return self.growth.next_epoch(step)
        found = 1 << step.bit_length()
        if self.record != "log":
            interval = self.interval or 1
            found = (step // interval + 1) * interval
        return min(found, self.steps)

    @property
    def recorded(self) -> int:
        """The number of recorded points."""
        if self.record == "log":
            return (self.steps - 1).bit_length() + 2
        if self.growth and self.record == "epoch":
            return len([*self.points()])
        return -(-self.steps // (self.interval or 1)) + 1

    @property
    def interval(self) -> int | None:
        """The steps between two recorded points; None for `log`, where they grow."""
        words = {"epoch": self.steps_per_epoch, "step": 1, "log": None}
        return words[self.record] if self.record in words else int(self.record)

    def epoch_at(self, step: int) -> float:
        """Return the passes over the data before a step; an int where it is whole."""
        if self.growth:
            epoch, place = self.growth.epoch(step), self.growth.place(step)
            return epoch + place / self.examples if place else epoch
        whole, rest = divmod(step, self.steps_per_epoch)
        return step / self.steps_per_epoch if rest else whole

    def examples_at(self, step: int) -> int:
        """Return the examples seen before a step, each as often as it was seen."""
        if self.growth:
            return self.growth.seen[step]
        whole, rest = divmod(step, self.steps_per_epoch)
        return whole * self.examples_per_epoch + rest * self.batch_size


def plan_of(trial: Trial, examples: int) -> Plan:
    """Return the plan of a trial on a number of training examples.

    Raises UserError for a batch larger than the data, a stochastic method on a function without
    data, and budgets beyond 2^53 - 1 steps or 10 million recorded points a trial.
    """
    training = trial.training
    if examples == 1 and trial.method != "gd":
        what = f"{trial.method} is the same as gd here: there is only one example"
        raise UserError("--method", what, "use --method gd")
    size = {"gd": examples, "sgd": 1}.get(trial.method) or trial.batch_size or 1
    if size > examples:
        what = f"{size} is larger than the {examples} training examples"
        raise UserError("--batch-size", what, f"use --method gd or at most {examples}")
    per_epoch = examples // size + (training.remainder == "keep" and examples % size > 0)
    epochs = training.epochs or trial.problem.default_epochs
    plan = Plan(examples, size, per_epoch, training.steps or epochs * per_epoch, training.record)
    scheduled = [s for name, s in training.scheduled if name == BATCH_SIZE]
    if scheduled and trial.method == "minibatch":
        drop = training.remainder == "drop"
        plan = plan._replace(growth=growth_of(scheduled[0], size, examples, plan.steps, drop=drop))
    if plan.steps > MOST_STEPS:
        raise UserError(
            "--epochs", f"{epochs} epochs are {plan.steps} steps", f"at most {MOST_STEPS}"
        )
    if plan.recorded > MOST_POINTS:
        what = f"{training.record} records {plan.recorded} points a trial"
        raise UserError("--record", what, f"record less often: at most {MOST_POINTS}")
    return plan


POINTS = 64  # regular points at most, besides the start
SINGLES = 8  # last steps of full-batch descent that are watched one by one


class Watched(NamedTuple):
    """Which steps of a trial are watched, ascending."""

    regular: tuple[int, ...]  # the start, equal intervals, the last step
    singles: tuple[int, ...] = ()  # the last steps of full-batch descent, one by one
    early: tuple[int, ...] = ()  # powers of two, for what happens fast

    @property
    def steps(self) -> tuple[int, ...]:
        """All watched steps, each once, ascending."""
        return tuple(sorted({*self.regular, *self.singles, *self.early}))


def watched(plan: Plan, *, stochastic: bool) -> Watched:
    """Return the steps at which a trial is watched: some hundred at most.

    Descent on mini-batches is watched at ends of epochs, where a record by epochs is evaluated
    anyway. Descent on all examples is also watched at its last single steps.
    """
    unit = plan.steps_per_epoch if stochastic else 1
    interval = unit * -(-plan.steps // (unit * POINTS))
    regular = (*range(0, plan.steps, interval), plan.steps)
    first = plan.steps if stochastic else max(0, plan.steps - SINGLES)
    last = min(plan.steps, unit * POINTS) // unit
    early = tuple(unit * 2**k for k in range(last.bit_length()))
    return Watched(regular, tuple(range(first, plan.steps)), early)
