"""One batch: its trials are trained, and become lines of both tables.

A trial that raises an exception fails alone; `again` trains the failed trials once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from gdcli.engine.batch import BatchHooks, TrialBatch, train_batch
from gdcli.engine.estimate import allowance, stacks_of
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import Plan, plan_of
from gdcli.errors import GdcliError, RunError
from gdcli.experiment.grid import Trial, described
from gdcli.process import lacks_memory, message_of
from gdcli.runs.csv_read import cells, lines_of
from gdcli.runs.csv_write import Rows
from gdcli.runs.store import Shard
from gdcli.runs.table import MESSAGE, summary_table, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gdcli.engine.recorder import Checkpointer
    from gdcli.engine.train import OnLoss
    from gdcli.experiment.experiment import Experiment
    from gdcli.runs.table import RunTable

    Keep = Callable[[TrialBatch], Checkpointer]


T = TypeVar("T")


@dataclass(frozen=True)
class BatchRunner:
    """Trains batches of a run and writes their lines of both tables."""

    varied: Sequence[str]  # settings with a column of their own
    metrics: Sequence[str]
    device: str  # a resolved name
    memory: str | None = None  # the value of --memory

    def shard(
        self,
        batch: TrialBatch,
        advance: Callable[[int], None],
        keep: Keep | None = None,
        hear: OnLoss | None = None,
        longer: Sequence[TrialBatch] = (),
    ) -> Shard:
        """Train a batch and return its shard.

        A trial that raises an exception fails alone. As many trials are stacked as fit into the
        memory. `advance` is called with trial-steps done, `hear` with the lowest loss, `keep`
        returns what keeps the state of a stack. `longer` are batches of the same trials with larger
        budgets: the state in which they part from this one is kept for them.
        """
        begun = time.perf_counter()
        room = allowance(self.memory, self.device)
        stacks = stacks_of(batch, examples_of(batch.trials[0]), room, self.device)

        def train(part: TrialBatch) -> Shard:
            if any(part is stack for stack in stacks):
                later = parted(batch, part, longer, keep) if keep else []
                hooks = BatchHooks(keep(part) if keep else None, hear, longer=later)
                return self._trained(part, advance, hooks)
            return self._trained(part, lambda _: None, BatchHooks())

        def failed(trial: Trial, message: str) -> Shard:
            line = Rows(self.varied, self.metrics, plan_for(batch)).failed(trial, message)
            return Shard(b"", line.encode(), 0.0, failed=1, diverged=0)

        shard = joined(
            [part for stack in stacks for part in isolated(stack, self.device, train, failed)]
        )
        return shard._replace(seconds=time.perf_counter() - begun)

    def again(self, batch: TrialBatch, held: Shard) -> Shard:
        """Return a batch's shard after training its failed trials again, and no others."""
        asked = batch.trials[0].training.columns
        table = summary_table(tuple(self.varied), tuple(self.metrics), asked)
        failed = [replace(batch, trials=(trial,)) for trial, _ in failed_trials(batch, held, table)]
        shards = {one.trials[0].id: self.shard(one, lambda _: None) for one in failed}
        return spliced(batch, held, shards)

    def _trained(
        self, batch: TrialBatch, advance: Callable[[int], None], hooks: BatchHooks
    ) -> Shard:
        data, rows = examples_of(batch.trials[0]), Rows(self.varied, self.metrics, plan_for(batch))
        _, curves = train_batch(batch, data, self.device, advance, hooks)
        rows.check(curves)
        lines = [rows.curve(trial, curves, i) for i, trial in enumerate(batch.trials)]
        summary = rows.summaries(batch.trials, curves)
        return Shard(
            curves="".join(lines).encode(),
            summary="".join(summary).encode(),
            seconds=0.0,
            failed=0,
            diverged=rows.diverged,
            path=curves.path,
        )


def parted(
    batch: TrialBatch, stack: TrialBatch, longer: Sequence[TrialBatch], keep: Keep
) -> list[tuple[tuple[Trial, ...], Checkpointer]]:
    """Return the trials of a stack in each longer batch, and what keeps their state."""
    first = batch.trials.index(stack.trials[0])
    places = slice(first, first + len(stack.trials))
    stacks = [replace(other, trials=other.trials[places]) for other in longer]
    return [(other.trials, keep(other)) for other in stacks]


def plan_for(batch: TrialBatch) -> Plan:
    """Return the plan that a batch's trials share."""
    return plan_of(batch.trials[0], examples_of(batch.trials[0]).examples)


def joined(shards: Sequence[Shard]) -> Shard:
    """Return the shards of a batch's parts as one."""
    return Shard(
        curves=b"".join(shard.curves for shard in shards),
        summary=b"".join(shard.summary for shard in shards),
        seconds=sum(shard.seconds for shard in shards),
        failed=sum(shard.failed for shard in shards),
        diverged=sum(shard.diverged for shard in shards),
        path=next((shard.path for shard in shards if shard.path), ""),
    )


def failed_trials(batch: TrialBatch, shard: Shard, table: RunTable) -> Iterator[tuple[Trial, str]]:
    """Yield the trials of a batch that failed, each with its message, a column of `table`."""
    if shard.failed:
        summary, place = lines_of(shard.summary), table.place(MESSAGE.name)
        for trial in batch.trials:
            rows = cells(summary.get(trial.id, b""))
            if rows and (message := rows[0][place]):  # only a trial that failed has one
                yield trial, message


def failure_lines(batch: TrialBatch, shard: Shard, experiment: Experiment) -> list[str]:
    """Return a line for each trial of a batch that failed: its settings, and what it raised."""
    _, table = tables_of(experiment)
    return [
        f"failed: trial {trial.id} ({described(trial, experiment.varied)}): {message}"
        for trial, message in failed_trials(batch, shard, table)
    ]


def spliced(batch: TrialBatch, held: Shard, again: Mapping[str, Shard]) -> Shard:
    """Return a batch's shard with the lines of the trials in `again`, by id, replaced."""
    curves = lines_of(held.curves) | {i: shard.curves for i, shard in again.items()}
    summary = lines_of(held.summary) | {i: shard.summary for i, shard in again.items()}
    return Shard(
        b"".join(curves.get(trial.id, b"") for trial in batch.trials),
        b"".join(summary.get(trial.id, b"") for trial in batch.trials),
        held.seconds + sum(shard.seconds for shard in again.values()),
        failed=sum(shard.failed for shard in again.values()),
        diverged=held.diverged + sum(shard.diverged for shard in again.values()),
        path=held.path or next((shard.path for shard in again.values() if shard.path), ""),
    )


def isolated(
    batch: TrialBatch,
    device: str,
    train: Callable[[TrialBatch], T],
    failed: Callable[[Trial, str], T],
) -> list[T]:
    """Return what `train` gives for a batch, or for its parts where the whole batch raises.

    An exception belongs to some trial: the batch is halved, again and again, down to the trials
    that raise it alone; `failed` makes their results from the exception's message. Where memory
    runs out, the batch is halved in the same way, but no trial fails for that. Raises errors of the
    machine: GdcliError, OSError, and a lack of memory for a single trial.
    """
    one = len(batch.trials) == 1
    try:
        return [train(batch)]
    except (GdcliError, OSError):
        raise
    except Exception as error:
        if lacks_memory(error):
            if one and device != "cpu":
                what = f"{device}: its memory is not enough for one trial ({message_of(error)})"
                raise RunError(f"{what}; give smaller batches, or --device cpu") from error
            if one:
                raise MemoryError(message_of(error)) from error
        elif one:
            return [failed(batch.trials[0], message_of(error))]
    half = len(batch.trials) // 2
    parts = (batch.trials[:half], batch.trials[half:])
    halves = [isolated(replace(batch, trials=part), device, train, failed) for part in parts]
    return [*halves[0], *halves[1]]
