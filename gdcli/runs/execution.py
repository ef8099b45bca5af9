"""Runs an experiment: every batch that is not stored yet, then the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli import experiment_file
from gdcli.engine.batch import batches_of
from gdcli.engine.device import resolve
from gdcli.engine.examples import examples_of
from gdcli.engine.families import needs_torch
from gdcli.engine.memory import check_memory
from gdcli.engine.plan import plan_of
from gdcli.errors import RunError
from gdcli.runs import atomic, manifest
from gdcli.runs.checksums import data_checksums
from gdcli.runs.fingerprint import fingerprint
from gdcli.runs.reuse import reusing
from gdcli.runs.rows import curve_columns, header, summary_columns
from gdcli.runs.shard import Shard
from gdcli.runs.store import Store
from gdcli.runs.work import Work, plan_for

if TYPE_CHECKING:
    from gdcli.experiment import Experiment
    from gdcli.runs.options import RunOptions
    from gdcli.runs.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """Where the results are, and how the trials ended."""

    folder: Path
    trials: int
    failed: int
    diverged: int
    computed: int  # batches that this call trained; the others were there


def execute(experiment: Experiment, options: RunOptions, progress: Progress) -> Outcome:
    """Run an experiment in its folder and return how it went.

    Raises UserError before anything is written for a batch larger than the data, a device that
    is not there, memory that does not suffice, and a folder that holds something else.
    """
    run = _Run(experiment, options)
    if not options.overwrite and (counts := manifest.counts(run.folder, run.store.id)):
        return Outcome(run.folder, counts["all"], counts["failed"], counts["diverged"], 0)
    check_memory(run.batches, options.memory)
    run.store.open(overwrite=options.overwrite)
    computed = run.train(progress)
    return run.finish(computed)


def check(experiment: Experiment, options: RunOptions) -> None:
    """Raise the UserError that `execute` would raise before it writes anything."""
    run = _Run(experiment, options)
    if options.overwrite or manifest.counts(run.folder, run.store.id) is None:
        check_memory(run.batches, options.memory)


class _Run:
    """One experiment on its way into one folder."""

    def __init__(self, experiment: Experiment, options: RunOptions) -> None:
        """Check all that can be checked before anything is written."""
        self.experiment = experiment
        problem = experiment.grid.trials[0].problem
        self.metrics = problem.curve_columns
        device = resolve(options.device, networks=needs_torch(problem))
        self.work = Work(experiment.varied, self.metrics, device)
        self.batches = batches_of(experiment.grid.cohorts)
        for cohort in experiment.grid.cohorts:
            plan_of(cohort.trials[0], examples_of(cohort.trials[0]).examples)
        name = options.name or f"{experiment.problem}-{experiment.hash[:8]}"
        self.folder = options.output / name
        spec = {
            "format": manifest.FORMAT,
            "experiment": experiment.hash,
            "settings": experiment.tables(),
            "batches": len(self.batches),
            "data": data_checksums(experiment),
            "fingerprint": fingerprint(device, torch=needs_torch(problem) or device != "cpu"),
        }
        self.work = reusing(self.work, spec, options)
        self.store = Store(self.folder, spec)

    def train(self, progress: Progress) -> int:
        """Train the batches that are not stored; return how many they were."""
        computed = 0
        steps = [len(batch.trials) * plan_for(batch).steps for batch in self.batches]
        progress.start(sum(steps))
        try:
            for batch, count in zip(self.batches, steps, strict=True):
                if self.store.load(batch.index) is not None:
                    progress.advance(batch.cohort, count)
                    continue
                shard = self.work.shard(batch, partial(progress.advance, batch.cohort))
                self.store.save(batch.index, shard)
                computed += 1
        finally:
            progress.stop()
        return computed

    def finish(self, computed: int) -> Outcome:
        """Write the tables from the shards, in order, and the manifest."""
        experiment, folder = self.experiment, self.folder
        columns = curve_columns(experiment, self.metrics)
        atomic.write(folder / "curves.csv", self._lines(columns, "curves"))
        columns = summary_columns(experiment, self.metrics)
        atomic.write(folder / "summary.csv", self._lines(columns, "summary"))
        atomic.write(folder / "experiment.toml", [experiment_file.dump(experiment).encode()])
        counts = {"all": len(experiment.grid.trials), "failed": 0, "diverged": 0}
        timings = ["batch,cohort,trials,seconds\n"]
        for batch in self.batches:
            shard = self._shard(batch.index)
            counts["failed"] += shard.failed
            counts["diverged"] += shard.diverged
            line = f"{batch.index},{batch.cohort},{len(batch.trials)},{shard.seconds!r}\n"
            timings.append(line)
        atomic.write(folder / "timings.csv", ["".join(timings).encode()])
        content = manifest.manifest(experiment, self.store.id, self.store.spec, counts)
        manifest.write(folder, content, manifest.FILES)
        self.store.clear_temporaries()
        return Outcome(folder, counts["all"], counts["failed"], counts["diverged"], computed)

    def _lines(self, columns: tuple[str, ...], part: str) -> Iterator[bytes]:
        yield header(columns).encode()
        for batch in self.batches:
            yield getattr(self._shard(batch.index), part)

    def _shard(self, index: int) -> Shard:
        shard = self.store.load(index)
        if shard is None:
            what = f"{self.folder}: batch {index} was damaged while the run went on"
            raise RunError(f"{what}; run the same command again to compute it anew")
        return shard
