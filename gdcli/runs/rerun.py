"""A finished run, computed again and compared with what it recorded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gdcli.engine.batch import batches_of
from gdcli.engine.device import resolve
from gdcli.engine.families import needs_torch, on_torch
from gdcli.engine.memory import check_memory
from gdcli.errors import UserError
from gdcli.fields import counted
from gdcli.runs.checksums import data_checksums
from gdcli.runs.code import changed_code
from gdcli.runs.finding import Difference, Finding
from gdcli.runs.fingerprint import fingerprint
from gdcli.runs.judge import Judge
from gdcli.runs.lines import lines_of
from gdcli.runs.spec import FORMAT
from gdcli.runs.work import Work, plan_for

if TYPE_CHECKING:
    from gdcli.engine.batch import TrialBatch
    from gdcli.runs.progress import Progress
    from gdcli.runs.recorded import Recorded


UNKNOWN = "not recorded"


def run_again(run: Recorded, sample: int | None, seed: int, progress: Progress) -> Finding:
    """Train a finished run's batches again, or a `sample` of them, and compare every trial.

    Where the fingerprint is that of the run, the bytes must be the same; elsewhere the values,
    as closely as `Judge` says. Nothing is written.
    """
    device, changes = surroundings(run)
    if changed := changed_code(run.experiment, run.manifest):
        return Finding("rerun", "different", changed)
    # Elsewhere the means that the features are scaled by may differ in the last digit.
    if not changes and data_checksums(run.experiment) != run.manifest.get("data"):
        return Finding("rerun", "different", "the data are not those that the run was trained on")
    batches = _chosen(batches_of(run.experiment.grid.cohorts, run.engine), sample, seed)
    check_memory(batches, None, device)
    work = Work(run.experiment.varied, run.experiment.grid.metrics, device)
    again = _Rerun(run, work, Judge(run, exact=not changes))
    again.train(batches, progress)
    return again.finding(changes)


def surroundings(run: Recorded) -> tuple[str, list[str]]:
    """Return the device to run on, and where the fingerprint differs from the run's, in words."""
    was: dict[str, Any] = run.manifest["fingerprint"]
    problem = run.experiment.grid.trials[0].problem
    networks = needs_torch(problem)
    try:
        device = resolve(str(was["device"]), networks=networks)
    except UserError:  # the run's GPU is elsewhere
        device = "cpu"
    torch = any(on_torch(cohort.trials[0]) for cohort in run.experiment.grid.cohorts)
    torch = torch or device != "cpu" or run.engine == "reference"
    packages = run.experiment.grid.trials[0].problem.packages
    now = fingerprint(device, torch=torch, packages=packages)
    # The tables of another format have other columns.
    was, now = was | {"format": run.manifest["format"]}, now | {"format": FORMAT}
    keys = sorted(key for key in {*was, *now} if was.get(key) != now.get(key))
    return device, [f"{k} was {was.get(k, UNKNOWN)} and is {now.get(k, UNKNOWN)}" for k in keys]


def _chosen(batches: list[TrialBatch], sample: int | None, seed: int) -> list[TrialBatch]:
    if sample is None or sample >= len(batches):
        return batches
    chosen = random.Random(seed).sample(range(len(batches)), sample)  # noqa: S311 -- no secret
    return [batches[index] for index in sorted(chosen)]


class _Rerun:
    """Batches on their way through training and comparison."""

    def __init__(self, run: Recorded, work: Work, judge: Judge) -> None:
        self.run, self.work, self.judge = run, work, judge
        self.ways: Counter[str] = Counter()  # trials by how they were found to be the same
        self.differing = 0
        self.first: Difference | None = None

    def train(self, batches: Sequence[TrialBatch], progress: Progress) -> None:
        """Train and compare, batch by batch."""
        progress.start(sum(len(batch.trials) * plan_for(batch).steps for batch in batches))
        try:
            for batch in batches:
                shard = self.work.shard(batch, partial(progress.advance, batch.label))
                self._compare(batch, shard.curves, shard.summary)
        finally:
            progress.stop()

    def _compare(self, batch: TrialBatch, curves: bytes, summary: bytes) -> None:
        found = [lines_of(part) for part in (curves, summary)]
        for trial in batch.trials:
            verdict = self.judge.compare(trial, *(part.get(trial.id, b"") for part in found))
            if isinstance(verdict, Difference):
                self.differing += 1
                self.first = self.first or verdict
            else:
                self.ways[verdict] += 1

    def finding(self, changes: Sequence[str]) -> Finding:
        """Return what the comparison came to, how it was made and why so."""
        why = "; ".join(changes)
        why = f"not of the same fingerprint: {why}" if changes else "the fingerprint is the run's"
        ways = ", ".join(f"{count} {way}" for way, count in self.ways.items())
        total = self.differing + self.ways.total()
        if self.first is None:
            return Finding("rerun", "same", f"{counted(total, 'trial', 'trials')}: {ways} ({why})")
        what = f"{self.differing} of {total} trials differ, the first in {self.first} ({why})"
        return Finding("rerun", "different", what, self.first)
