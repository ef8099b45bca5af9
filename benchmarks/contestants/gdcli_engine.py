"""gdcli's engine, as `gdcli run` calls it: batch by batch, recording the start and the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contestants.contestant import Run
from benchmarks.loaded import Losses, load
from gdcli.engine.batch import batches_of, train_batch
from gdcli.experiment.grid import Cohort

if TYPE_CHECKING:
    from benchmarks.workload import Task


def prepare(task: Task) -> Run:
    """Cut the trials into the engine's batches."""
    loaded = load(task)
    batches = batches_of((Cohort(loaded.trials),))

    def train() -> Losses:
        losses = Losses([], [])
        for batch in batches:
            _, curves = train_batch(batch, loaded.data, task.device, lambda _: None)
            points = curves.values["train_loss"]
            losses.before.extend(points[0].tolist())
            losses.after.extend(points[-1].tolist())
        return losses

    return Run(train, loaded.dtype)
