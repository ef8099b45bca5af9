"""Runs an experiment: every batch that is not stored yet, then the tables.

What a run would do and take, without running it.

Whether an experiment's file is read whole or in parts: its size and the memory decide.

Never the grid: a trial has the same bits in every grid that is run with the same memory. What was
decided is part of the experiment (`--stream`), so that workers, `verify` and whoever runs the
folder's experiment.toml compute the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.datasets.contents import human
from gdcli.engine.device import resolve
from gdcli.engine.estimate import Estimate, allowance, check_memory, estimate
from gdcli.engine.examples import notes_of
from gdcli.engine.families import needs_torch, not_stacked
from gdcli.errors import RunError
from gdcli.executors.supervisor import Tally, inline
from gdcli.fields import show
from gdcli.problem import LinearModel
from gdcli.runs import manifest
from gdcli.runs.fingerprint import remember
from gdcli.runs.finish import write_tables
from gdcli.runs.run import Run, finished_unread, folder_of
from gdcli.runs.signals import patience

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gdcli.executors.supervisor import Executor
    from gdcli.experiment.experiment import Experiment
    from gdcli.runs.options import RunOptions
    from gdcli.runs.progress import Progress


def fitted(experiment: Experiment, memory: str | None) -> tuple[Experiment, str]:
    """Return the experiment as it fits into the memory, and what there is to say about it.

    A file is read in parts if reading it whole would take more than is allowed, unless --stream
    or --no-stream says what to do.
    """
    problems = {cohort.trials[0].problem for cohort in experiment.grid.cohorts}
    if not any(isinstance(problem, LinearModel) for problem in problems):
        return experiment, ""
    from gdcli.datasets.tabular import Streamable  # it brings readers along

    files = [p for p in problems if isinstance(p, Streamable) and p.stream is None and p.streams]
    needed, file = max(((p.whole(), str(p.data)) for p in files), default=(0, ""))
    if not needed or needed <= (allowed := allowance(memory)):
        return experiment, ""
    options = {**experiment.grid.options, "stream": True}
    what = f"{show(file)} takes {human(needed)} in memory, more than {human(allowed)}"
    csv = "" if file.lower().endswith(".npy") else "; it becomes a temporary .npy file first"
    grid = replace(experiment.grid, options=options)
    return replace(experiment, grid=grid), f"{what}: it is read in parts (--stream){csv}"


class Outcome(NamedTuple):
    """Where the results are, and how the trials ended."""

    folder: Path
    trials: int
    failed: int
    diverged: int
    computed: int  # batches that this call trained; the others were there
    missing: int = 0  # batches of other shards: until they are there, no tables are written
    ready: bool = False  # all was there before


class LostBatches(RunError):  # noqa: N818 -- not an error of one batch: the report of all of them
    """Batches that ended the process that computed them, more than once."""

    def __init__(self, lost: Sequence[str]) -> None:
        """Take what is to be said of each."""
        super().__init__("; ".join(lost))
        self.lost = tuple(lost)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be the same in another process."""
        return type(self), (self.lost,), self.__dict__

    @property
    def lines(self) -> tuple[str, ...]:
        """One line a batch."""
        fix = "all others are kept: mend the cause, then give the same command"
        return tuple(f"{line}; {fix}" for line in self.lost)


def execute(
    experiment: Experiment, options: RunOptions, progress: Progress, executor: Executor = inline
) -> Outcome:
    """Run an experiment in its folder and return how it went.

    Raises UserError before anything is written for a batch larger than the data, a device that
    is not there, memory that does not suffice, and a folder that holds something else.
    """
    experiment, said = _fitted(experiment, options)
    if counts := _unless_retried(finished_unread(experiment, options), options):
        return _outcome(experiment, options, counts)._replace(ready=True)
    run = Run(experiment, options)
    if counts := _finished(run):
        remember(run.store, experiment)
        return _outcome(experiment, options, counts)._replace(ready=True)
    _check_memory(run)
    for line in (*([said] if said else []), *_notes(run)):
        progress.note(line)
    run.open()
    with run.attended():
        tally = _train(run, progress, executor)
        if missing := _missing(run):
            found = _outcome(experiment, options, _counts_here(run))
            return found._replace(computed=tally.computed, missing=missing)
        found = _outcome(experiment, options, write_tables(run, progress.note))
        return found._replace(computed=tally.computed)


def check(experiment: Experiment, options: RunOptions) -> None:
    """Raise the UserError that `execute` would raise before it writes anything."""
    experiment, _ = _fitted(experiment, options)
    if _unless_retried(finished_unread(experiment, options), options):
        return
    run = Run(experiment, options)
    if not _finished(run):
        _check_memory(run)


def _fitted(experiment: Experiment, options: RunOptions) -> tuple[Experiment, str]:
    """Return the experiment as it fits into this machine; a cluster's nodes have their own."""
    return fitted(experiment, options.memory) if options.executor == "local" else (experiment, "")


def _notes(run: Run) -> list[str]:
    """Return what there is to say of the examples that this process has read."""
    if run.options.executor != "local":
        return []
    return notes_of(cohort.trials[0] for cohort in run.experiment.grid.cohorts)


def _finished(run: Run) -> dict[str, int] | None:
    """Return the trials by how they ended if nothing is left to do."""
    if run.options.overwrite:
        return None
    return _unless_retried(manifest.counts(run.folder, run.store.id), run.options)


def _unless_retried(counts: dict[str, int] | None, options: RunOptions) -> dict[str, int] | None:
    """Return the counts of a finished run, None where trials that failed are to be run again."""
    return None if counts and counts["failed"] and options.retry_failed else counts


def _check_memory(run: Run) -> None:
    """Raise UserError where a batch does not fit; a cluster knows the memory of its nodes."""
    if run.options.executor == "local":
        check_memory(run.batches, run.options.memory, run.device)


def _train(run: Run, progress: Progress, executor: Executor) -> Tally:
    """Train the batches of this process's share that are not stored."""
    share = [batch.index for batch in run.batches if run.share.takes(batch.index)]
    tally = Tally(run, progress)
    for line in _one_by_one(run):
        progress.note(line)
    progress.start(sum(map(tally.steps, share)))
    try:
        todo = _todo(run, share, tally)
        for first in todo[:1]:  # workers take seconds to start
            tally.begin(first)
        with patience() as stopping:
            executor(run, todo, tally, stopping)
    finally:
        progress.stop()
    if tally.lost:
        raise LostBatches(tally.lost)
    return tally


def _one_by_one(run: Run) -> list[str]:
    """Return a line for each problem whose trials cannot be stacked."""
    if run.options.engine == "reference":
        return []
    trials = {cohort.trials[0].problem: cohort.trials[0] for cohort in run.experiment.grid.cohorts}
    return [line for trial in trials.values() if (line := not_stacked(trial))]


def _todo(run: Run, share: Sequence[int], tally: Tally) -> list[int]:
    """Return the batches that are still to be computed; tell of the failures in the others."""
    todo = []
    for index in share:
        shard = run.store.load(index)
        if shard is None or run.wanted(shard):
            todo.append(index)
            continue
        tally.advance(index, tally.steps(index))
        tally.failed(run.failures(index, shard))
    return todo


def _missing(run: Run) -> int:
    """Return how many batches of other shares are not there."""
    others = (batch.index for batch in run.batches if not run.share.takes(batch.index))
    return sum(run.store.load(index) is None for index in others)


def _counts_here(run: Run) -> dict[str, int]:
    """Return the trials of this process's share by how they ended."""
    own = (batch.index for batch in run.batches if run.share.takes(batch.index))
    shards = [shard for index in own if (shard := run.store.load(index))]
    return {name: sum(getattr(s, name) for s in shards) for name in ("failed", "diverged")}


def _outcome(experiment: Experiment, options: RunOptions, counts: dict[str, int]) -> Outcome:
    folder, trials = folder_of(experiment, options), len(experiment.grid.trials)
    return Outcome(folder, trials, counts["failed"], counts["diverged"], computed=0)


def plan_run(experiment: Experiment, options: RunOptions) -> Estimate:
    """Return the estimate of an experiment on the device that the options name.

    Raises the UserError that running it would raise before anything is written.
    """
    check(experiment, options)
    experiment, _ = fitted(experiment, options.memory)
    networks = needs_torch(experiment.grid.trials[0].problem)
    device = resolve(options.device, networks=networks)
    return estimate(experiment.grid.cohorts, device, options.engine, options.memory)
