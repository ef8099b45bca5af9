"""Runs an experiment: computes every batch that is not stored yet, then writes the tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.datasets.contents import human
from gdcli.datasets.tabular import Streamable
from gdcli.engine.device import resolve
from gdcli.engine.estimate import Estimate, allowance, check_memory, estimate
from gdcli.engine.examples import notes_of
from gdcli.engine.families.family import family_of, needs_torch, not_stacked, shares_of
from gdcli.errors import RunError
from gdcli.executors.supervisor import RunMonitor, executor_of, supervise
from gdcli.fields import show
from gdcli.process import patience
from gdcli.runs import manifest
from gdcli.runs.fingerprint import remember
from gdcli.runs.run import Run, finished_unread, folder_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gdcli.executors.supervisor import Executor
    from gdcli.experiment.experiment import Experiment
    from gdcli.runs.options import Progress, RunOptions


class Outcome(NamedTuple):
    """Where the results are, and how the trials ended."""

    folder: Path
    trials: int
    failed: int
    diverged: int
    computed: int  # batches that this call trained; the others were stored before
    missing: int = 0  # batches of other parts: until they are stored, no tables are written
    ready: bool = False  # the run was finished before


class LostBatches(RunError):  # noqa: N818 -- not an error of one batch: the report of all of them
    """Batches that were given up: each ended the process that computed it, more than once."""

    def __init__(self, lost: Sequence[str]) -> None:
        """Take a line for each batch."""
        super().__init__("; ".join(lost))
        self.lost = tuple(lost)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle rebuilds the error from."""
        return type(self), (self.lost,), self.__dict__

    @property
    def lines(self) -> tuple[str, ...]:
        """One line a batch."""
        fix = "all others are kept: remove the cause, then give the same command"
        return tuple(f"{line}; {fix}" for line in self.lost)


def execute(experiment: Experiment, options: RunOptions, progress: Progress) -> Outcome:
    """Run an experiment in its folder and return how it went.

    Raises UserError before anything is written for an executor that cannot be used, a batch larger
    than the data, a device that is not there, too little memory, and a folder that holds something
    else.
    """
    executor = executor_of(options)
    experiment, said = _fitted(experiment, executor)
    if counts := _unless_retried(finished_unread(experiment, options), options):
        return _outcome(experiment, options, counts)._replace(ready=True)
    run = Run(experiment, options)
    if counts := _finished(run):
        remember(run.store, experiment)
        return _outcome(experiment, options, counts)._replace(ready=True)
    _check_memory(run, executor)
    for line in (*([said] if said else []), *_notes(run, executor)):
        progress.note(line)
    run.open()
    with run.locked():
        monitor = _train(run, progress, executor)
        if missing := _missing(run):
            found = _outcome(experiment, options, _counts_here(run))
            return found._replace(computed=monitor.computed, missing=missing)
        found = _outcome(experiment, options, run.write_tables(progress.note))
        return found._replace(computed=monitor.computed)


def check(experiment: Experiment, options: RunOptions) -> None:
    """Raise the UserError that `execute` would raise before it writes anything."""
    executor = executor_of(options)
    experiment, _ = _fitted(experiment, executor)
    if _unless_retried(finished_unread(experiment, options), options):
        return
    run = Run(experiment, options)
    if not _finished(run):
        _check_memory(run, executor)


def _fitted(experiment: Experiment, executor: Executor) -> tuple[Experiment, str]:
    """Return the experiment as it fits into this machine, where its memory counts."""
    if "memory" in executor.owns:
        return experiment, ""
    return fitted(experiment, executor.options.memory)


def _notes(run: Run, executor: Executor) -> list[str]:
    """Return notes on the examples that this process has read, where it trains on them."""
    if "data" in executor.owns:
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


def _check_memory(run: Run, executor: Executor) -> None:
    """Raise UserError for a batch that does not fit into this machine, where its memory counts."""
    if "memory" not in executor.owns:
        check_memory(run.batches, run.options.memory, run.device)


def _train(run: Run, progress: Progress, executor: Executor) -> RunMonitor:
    """Train the batches of this process's part that are not stored."""
    part = [batch.index for batch in run.batches if run.partition.takes(batch.index)]
    monitor = RunMonitor(run, progress)
    for line in _one_by_one(run):
        progress.note(line)
    progress.start(sum(map(monitor.steps, part)))
    try:
        todo = _todo(run, part, monitor)
        with patience() as stopping:
            supervise(executor, run, todo, monitor, stopping)
    finally:
        progress.stop()
    if monitor.lost:
        raise LostBatches(monitor.lost)
    return monitor


def _one_by_one(run: Run) -> list[str]:
    """Return a line for each problem whose trials cannot be stacked."""
    if run.options.engine == "reference":
        return []
    return not_stacked(cohort.trials[0] for cohort in run.experiment.grid.cohorts)


def _todo(run: Run, part: Sequence[int], monitor: RunMonitor) -> list[int]:
    """Return the batches that are still to be computed; show the failures in the others."""
    todo = []
    for index in part:
        shard = run.store.load(index)
        if shard is None or run.wanted(shard):
            todo.append(index)
            continue
        monitor.done(index, run.failures(index, shard), computed=False)
    return todo


def _missing(run: Run) -> int:
    """Return how many batches of other parts are not there."""
    others = (batch.index for batch in run.batches if not run.partition.takes(batch.index))
    return sum(run.store.load(index) is None for index in others)


def _counts_here(run: Run) -> dict[str, int]:
    """Return the trials of this process's part by how they ended."""
    own = (batch.index for batch in run.batches if run.partition.takes(batch.index))
    shards = [shard for index in own if (shard := run.store.load(index))]
    return {name: sum(getattr(s, name) for s in shards) for name in ("failed", "diverged")}


def _outcome(experiment: Experiment, options: RunOptions, counts: dict[str, int]) -> Outcome:
    folder, trials = folder_of(experiment, options), len(experiment.grid.trials)
    return Outcome(folder, trials, counts["failed"], counts["diverged"], computed=0)


def plan_run(experiment: Experiment, options: RunOptions) -> tuple[Estimate, list[str]]:
    """Return the estimate on the device that the options name, and notes on the examples.

    Raises the UserError that running it would raise before anything is written.
    """
    check(experiment, options)
    cohorts = _fitted(experiment, executor_of(options))[0].grid.cohorts
    device = resolve(options.device, networks=needs_torch(cohorts[0].trials[0].problem))
    found = estimate(cohorts, device, options.engine, options.memory)
    firsts = [cohort.trials[0] for cohort in experiment.grid.cohorts]
    return replace(found, shares=shares_of(firsts)), notes_of(firsts)


def fitted(experiment: Experiment, memory: str | None) -> tuple[Experiment, str]:
    """Return the experiment as it fits into the memory, and a note on it, "" if there is none.

    A file is read in parts if reading it whole would take more than is allowed, unless --stream
    or --no-stream is given. The grid does not matter: a trial has the same bits in every grid that
    is run with the same memory. The decision becomes part of the experiment (`--stream`), so that
    workers, `verify` and a run of the folder's experiment.toml compute the same.
    """
    problems = {cohort.trials[0].problem for cohort in experiment.grid.cohorts}
    if not any(family_of(problem).reads_in_parts for problem in problems):
        return experiment, ""
    files = [p for p in problems if isinstance(p, Streamable) and p.stream is None and p.streams]
    needed, file = max(((p.whole(), str(p.data)) for p in files), default=(0, ""))
    if not needed or needed <= (allowed := allowance(memory)):
        return experiment, ""
    options = {**experiment.grid.options, "stream": True}
    what = f"{show(file)} takes {human(needed)} in memory, more than {human(allowed)}"
    csv = "" if file.lower().endswith(".npy") else "; it becomes a temporary .npy file first"
    grid = replace(experiment.grid, options=options)
    return replace(experiment, grid=grid), f"{what}: it is read in parts (--stream){csv}"
