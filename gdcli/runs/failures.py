"""Trials that raised an exception: what is said of them, and how they get another chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gdcli.catalog.catalog import name_of
from gdcli.engine.batch import TrialBatch
from gdcli.experiment.axis import text
from gdcli.experiment.grid import Trial, setting
from gdcli.fields import counted
from gdcli.runs.csv_read import cells, lines_of
from gdcli.runs.store import Shard


def failed_trials(batch: TrialBatch, shard: Shard) -> Iterator[tuple[Trial, str]]:
    """Yield the trials of a batch that failed, each with its message."""
    if shard.failed:
        summary = lines_of(shard.summary)
        for trial in batch.trials:
            # Only a trial that failed has a message, in the last column.
            if message := next(iter(cells(summary.get(trial.id, b""))), [""])[-1]:
                yield trial, message


def failure_lines(batch: TrialBatch, shard: Shard, varied: Sequence[str]) -> list[str]:
    """Return a line for each trial of a batch that failed: its settings, and what it raised."""
    return [
        f"failed: trial {trial.id} ({_described(trial, varied)}): {message}"
        for trial, message in failed_trials(batch, shard)
    ]


def left_out(failed: Mapping[Trial, str], varied: Sequence[str]) -> list[str]:
    """Return a line for each thing that trials of a study raised: how many did, and the first."""
    groups: dict[str, list[Trial]] = {}
    for trial, message in failed.items():
        groups.setdefault(message, []).append(trial)
    return [
        f"left out: {counted(len(trials), 'trial', 'trials')} that failed"
        f" ({'' if len(trials) == 1 else 'the first: '}{_described(trials[0], varied)}): {message}"
        for message, trials in groups.items()
    ]


def _described(trial: Trial, varied: Sequence[str]) -> str:
    size = f" {trial.batch_size}" if trial.batch_size else ""
    own = [(name, setting(trial, name)) for name in varied]
    return ", ".join(
        [
            f"{trial.method}{size} {name_of(trial.optimizer)}",
            f"lr {trial.lr!r}",
            *(f"{name} {text(value)}" for name, value in own if value is not None),
            f"seed {trial.seed}",
        ]
    )


def spliced(batch: TrialBatch, held: Shard, again: Mapping[str, Shard]) -> Shard:
    """Return a batch's shard with the trials that were trained again, by id, in their places."""
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
