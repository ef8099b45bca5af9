"""Runs an experiment: every batch that is not stored yet, then the tables."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli import experiment_file
from gdcli.engine.batch import TrialBatch, batches_of, train_batch
from gdcli.engine.device import resolve
from gdcli.engine.examples import examples_of
from gdcli.engine.families import needs_torch
from gdcli.engine.memory import check_memory
from gdcli.engine.plan import plan_of
from gdcli.errors import GdcliError
from gdcli.runs import atomic, manifest
from gdcli.runs.fingerprint import fingerprint
from gdcli.runs.rows import Rows, curve_columns, header, summary_columns
from gdcli.runs.store import Shard, Store

if TYPE_CHECKING:
    from gdcli.experiment import Experiment
    from gdcli.problem import Data
    from gdcli.runs.options import RunOptions
    from gdcli.runs.progress import Progress

FILES = ("curves.csv", "summary.csv", "experiment.toml")


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
    if not options.overwrite and manifest.is_complete(run.folder, experiment):
        return run.recorded()
    run.store.open(options.overwrite)
    progress.start(sum(len(b.trials) * run.plan(b).steps for b in run.batches))
    try:
        computed = sum(run.compute(batch, progress.advance) for batch in run.batches)
    finally:
        progress.stop()
    return run.finish(computed)


class _Run:
    """One experiment on its way into one folder."""

    def __init__(self, experiment: Experiment, options: RunOptions) -> None:
        """Check all that can be checked before anything is written."""
        self.experiment, self.options = experiment, options
        trials = experiment.grid.trials
        self.metrics = trials[0].problem.curve_columns
        self.torch = needs_torch(trials[0].problem)
        self.device = resolve(options.device, self.torch)
        self.batches = batches_of(experiment.grid.cohorts)
        for cohort in experiment.grid.cohorts:
            plan_of(cohort.trials[0], examples_of(cohort.trials[0]).examples)
        check_memory(self.batches, options.memory)
        self.fingerprint = fingerprint(self.device, self.torch or self.device != "cpu")
        name = options.name or f"{experiment.problem}-{experiment.hash[:8]}"
        self.folder = options.output / name
        spec = {
            "format": manifest.FORMAT,
            "experiment": experiment.hash,
            "settings": experiment.tables(),
            "data": self._checksums(),
            "fingerprint": self.fingerprint,
        }
        self.store = Store(self.folder, spec)

    def _checksums(self) -> dict[str, str]:
        """Return the SHA-256 of the examples of every problem, by the cohort's first trial."""
        firsts = {c.trials[0].problem: c.trials[0] for c in self.experiment.grid.cohorts}
        return {trial.id: _checksum(examples_of(trial)) for trial in firsts.values()}

    def plan(self, batch: TrialBatch) -> Any:
        """Return the plan that a batch's trials share."""
        return plan_of(batch.trials[0], examples_of(batch.trials[0]).examples)

    def compute(self, batch: TrialBatch, advance: Callable[[str, int], None]) -> bool:
        """Train a batch unless it is stored; return whether it was trained."""
        if self.store.load(batch.index) is not None:
            advance(batch.cohort, len(batch.trials) * self.plan(batch).steps)
            return False
        begun = time.perf_counter()
        curves, summary, failed, diverged = self._tables(batch, advance)
        seconds = time.perf_counter() - begun
        self.store.save(batch.index, Shard(curves, summary, seconds, failed, diverged))
        return True

    def _tables(
        self, batch: TrialBatch, advance: Callable[[str, int], None]
    ) -> tuple[bytes, bytes, int, int]:
        """Return the batch's lines of both tables, and how many trials failed and diverged.

        An exception is some trial's: each is then trained alone, and only those that raise it
        again have failed.
        """
        rows = Rows(self.experiment.varied, self.metrics, self.plan(batch))
        data = examples_of(batch.trials[0])
        try:
            _, curves = train_batch(batch, data, self.device, lambda n: advance(batch.cohort, n))
        except GdcliError:
            raise
        except Exception as error:  # a user's problem may raise anything
            if len(batch.trials) == 1:
                return b"", rows.failed(batch.trials[0], _message(error)).encode(), 1, 0
            alone = (TrialBatch(batch.index, batch.cohort, (trial,)) for trial in batch.trials)
            parts = [self._tables(one, advance) for one in alone]
            text = b"".join(part[0] for part in parts), b"".join(part[1] for part in parts)
            return *text, sum(part[2] for part in parts), sum(part[3] for part in parts)
        text = [line for i, t in enumerate(batch.trials) for line in rows.curve(t, curves, i)]
        lines = [rows.summary(trial, curves, i) for i, trial in enumerate(batch.trials)]
        diverged = sum(",diverged," in line for line in lines)
        return "".join(text).encode(), "".join(lines).encode(), 0, diverged

    def finish(self, computed: int) -> Outcome:
        """Write the tables from the shards, in order, and the manifest."""
        experiment, folder = self.experiment, self.folder
        shards = {batch.index: self._shard(batch) for batch in self.batches}
        columns = curve_columns(experiment, self.metrics)
        atomic.write(folder / "curves.csv", self._lines(columns, "curves"))
        columns = summary_columns(experiment, self.metrics)
        atomic.write(folder / "summary.csv", self._lines(columns, "summary"))
        timings = (f"{b.index},{b.cohort},{len(b.trials)},{shards[b.index][0]!r}\n" for b in self.batches)
        text = "".join(["batch,cohort,trials,seconds\n", *timings])
        atomic.write(folder / "timings.csv", [text.encode()])
        atomic.write(folder / "experiment.toml", [experiment_file.dump(experiment).encode()])
        failed, diverged = (sum(shard[i] for shard in shards.values()) for i in (1, 2))
        count = len(experiment.grid.trials)
        counts = {"all": count, "failed": failed, "diverged": diverged}
        content = manifest.manifest(experiment, self.fingerprint, self.store.spec["data"], counts)
        manifest.write(folder, content, FILES)
        self.store.clear_temporaries()
        return Outcome(folder, count, failed, diverged, computed)

    def _shard(self, batch: TrialBatch) -> tuple[float, int, int]:
        shard = self._whole(batch)
        return shard.seconds, shard.failed, shard.diverged

    def _whole(self, batch: TrialBatch) -> Shard:
        shard = self.store.load(batch.index)
        if shard is None:
            what = f"batch {batch.index} of {self.folder} was damaged while the run went on"
            raise GdcliError(f"{what}; run the same command again to compute it anew")
        return shard

    def _lines(self, columns: tuple[str, ...], part: str) -> Iterator[bytes]:
        yield header(columns).encode()
        for batch in self.batches:
            yield getattr(self._whole(batch), part)

    def recorded(self) -> Outcome:
        """Return the outcome that the folder's manifest tells."""
        content = manifest.read(self.folder) or {}
        counts = content["trials"]
        return Outcome(self.folder, counts["all"], counts["failed"], counts["diverged"], 0)


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".encode("unicode_escape").decode()


def _checksum(data: Data) -> str:
    digest = hashlib.sha256()
    for part in (data.train, data.test, data.constants):
        for name, array in part.items():
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
