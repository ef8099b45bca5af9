"""The work of one batch: train it, and write its lines of both tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gdcli.engine.batch import TrialBatch, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.isolation import isolated
from gdcli.engine.memory import allowance, stacks_of
from gdcli.engine.plan import Plan, plan_of
from gdcli.runs.csv_write import Rows
from gdcli.runs.failures import failed_trials, spliced
from gdcli.runs.store import Shard

if TYPE_CHECKING:
    from gdcli.engine.checkpoint import Keeper
    from gdcli.engine.train import Hear
    from gdcli.experiment.grid import Trial

    Keep = Callable[[TrialBatch], Keeper]


@dataclass(frozen=True)
class Work:
    """What the batches of a run have in common."""

    varied: Sequence[str]  # settings with a column of their own
    metrics: Sequence[str]
    device: str  # a resolved name
    memory: str | None = None  # that may be used, as it was asked for

    def shard(
        self,
        batch: TrialBatch,
        advance: Callable[[int], None],
        keep: Keep | None = None,
        hear: Hear | None = None,
    ) -> Shard:
        """Train a batch and return its shard; `keep` is asked for the keeper of its state.

        The trials that raise an exception have failed; those beside them have not. As many of them
        are stacked as the memory is enough for.
        """
        begun = time.perf_counter()
        room = allowance(self.memory, self.device)
        stacks = stacks_of(batch, examples_of(batch.trials[0]), room, self.device)

        def train(part: TrialBatch) -> Shard:
            if any(part is stack for stack in stacks):
                return self._trained(part, advance, keep(part) if keep else None, hear)
            return self._trained(part, lambda _: None, None, None)

        def failed(trial: Trial, message: str) -> Shard:
            line = Rows(self.varied, self.metrics, plan_for(batch)).failed(trial, message)
            return Shard(b"", line.encode(), 0.0, failed=1, diverged=0)

        shard = joined(
            [part for stack in stacks for part in isolated(stack, self.device, train, failed)]
        )
        return shard._replace(seconds=time.perf_counter() - begun)

    def again(self, batch: TrialBatch, held: Shard) -> Shard:
        """Return a batch's shard after its failed trials, and they alone, were trained again."""
        failed = [replace(batch, trials=(trial,)) for trial, _ in failed_trials(batch, held)]
        shards = {one.trials[0].id: self.shard(one, lambda _: None) for one in failed}
        return spliced(batch, held, shards)

    def _trained(
        self,
        batch: TrialBatch,
        advance: Callable[[int], None],
        keeper: Keeper | None,
        hear: Hear | None,
    ) -> Shard:
        data, rows = examples_of(batch.trials[0]), Rows(self.varied, self.metrics, plan_for(batch))
        _, curves = train_batch(batch, data, self.device, advance, keeper, hear)
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
