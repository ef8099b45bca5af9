"""Trials that raised an exception: what is said of them, and how they get another chance."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence

from gdcli.axis import text
from gdcli.discovery import name_of
from gdcli.engine.batch import TrialBatch
from gdcli.grid import Trial, setting
from gdcli.runs.shard import Shard


def failed_trials(batch: TrialBatch, shard: Shard) -> Iterator[tuple[Trial, str]]:
    """Yield the trials of a batch that failed, each with its message."""
    if shard.failed:
        for trial, record in zip(batch.trials, records(shard.summary), strict=True):
            # Only a trial that failed has a message, in the last column.
            if message := next(csv.reader([record.decode()]))[-1]:
                yield trial, message


def failure_lines(batch: TrialBatch, shard: Shard, varied: Sequence[str]) -> list[str]:
    """Return a line for each trial of a batch that failed: its settings, and what it raised."""
    return [
        f"failed: trial {trial.id} ({_described(trial, varied)}): {message}"
        for trial, message in failed_trials(batch, shard)
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
    curves: dict[str, list[bytes]] = {}
    for record in records(held.curves):
        curves.setdefault(record.partition(b",")[0].decode(), []).append(record)
    summary = zip(batch.trials, records(held.summary), strict=True)
    ids = [trial.id for trial in batch.trials]
    return Shard(
        b"".join(again[i].curves if i in again else b"".join(curves.get(i, ())) for i in ids),
        b"".join(again[t.id].summary if t.id in again else line for t, line in summary),
        held.seconds + sum(shard.seconds for shard in again.values()),
        failed=sum(shard.failed for shard in again.values()),
        diverged=held.diverged + sum(shard.diverged for shard in again.values()),
    )


def records(table: bytes) -> Iterator[bytes]:
    """Yield the records of a CSV table: lines, but where quotes hold a line's end."""
    record = b""
    for line in table.splitlines(keepends=True):
        record += line
        if record.count(b'"') % 2 == 0:
            yield record
            record = b""
