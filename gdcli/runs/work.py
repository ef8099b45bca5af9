"""The work of one batch: train it, and write its lines of both tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gdcli.engine.batch import TrialBatch, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.least_loss import least_loss_of
from gdcli.engine.plan import Plan, plan_of
from gdcli.errors import GdcliError, RunError
from gdcli.runs.failures import failed_trials, spliced
from gdcli.runs.rows import Rows
from gdcli.runs.shard import Shard

if TYPE_CHECKING:
    from gdcli.engine.checkpoint import Keeper
    from gdcli.engine.train import Hear

    Keep = Callable[[TrialBatch], Keeper]


@dataclass(frozen=True)
class Work:
    """What the batches of a run have in common."""

    varied: Sequence[str]  # settings with a column of their own
    metrics: Sequence[str]
    device: str  # a resolved name

    def shard(
        self,
        batch: TrialBatch,
        advance: Callable[[int], None],
        keep: Keep | None = None,
        hear: Hear | None = None,
    ) -> Shard:
        """Train a batch and return its shard; `keep` is asked for the keeper of its state.

        An exception is some trial's: the halves are then trained apart, and theirs, down to the
        trials that raise it alone, which have failed.
        """
        begun = time.perf_counter()
        try:
            shard = self._trained(batch, advance, keep(batch) if keep else None, hear)
        except (GdcliError, MemoryError, OSError):
            raise  # the machine's doing, not a trial's
        except Exception as error:
            if type(error).__name__ == "OutOfMemoryError":  # torch's; it may not be imported
                raise RunError(f"{self.device}: {error}; stack fewer trials") from error
            if len(batch.trials) > 1:
                half = len(batch.trials) // 2
                parts = (batch.trials[:half], batch.trials[half:])
                halves = (replace(batch, trials=part) for part in parts)
                shard = joined([self.shard(part, lambda _: None) for part in halves])
            else:
                rows = Rows(self.varied, self.metrics, plan_for(batch))
                line = rows.failed(batch.trials[0], _message(error))
                shard = Shard(b"", line.encode(), 0.0, failed=1, diverged=0)
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
        data, lowest = examples_of(batch.trials[0]), least_loss_of(batch.trials[0])
        rows = Rows(self.varied, self.metrics, plan_for(batch), lowest)
        _, curves = train_batch(batch, data, self.device, advance, keeper, hear)
        lines = [rows.curve(trial, curves, i) for i, trial in enumerate(batch.trials)]
        summary = [rows.summary(trial, curves, i) for i, trial in enumerate(batch.trials)]
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


def _message(error: Exception) -> str:
    """Return what an exception says, in one line."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
