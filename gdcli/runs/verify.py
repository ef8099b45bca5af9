"""Whether a run is what it says: its files, the run computed again, or another run beside it."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from gdcli.catalog.user_code import Untrusted
from gdcli.engine.batch import batches_of
from gdcli.engine.device import resolve
from gdcli.engine.estimate import check_memory
from gdcli.engine.families.family import needs_torch, on_torch
from gdcli.errors import UserError
from gdcli.fields import counted, show
from gdcli.runs.csv_read import lines_of
from gdcli.runs.differences import (
    CheckResult,
    Difference,
    Tolerance,
    TrialComparison,
    compare_runs,
)
from gdcli.runs.fingerprint import data_checksums, fingerprint
from gdcli.runs.folder import RunFolder, state_of
from gdcli.runs.manifest import changed
from gdcli.runs.spec import FORMAT, SHOWN, changed_code, read_spec
from gdcli.runs.store import Store
from gdcli.runs.table import tables_of
from gdcli.runs.work import BatchRunner, plan_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gdcli.engine.batch import TrialBatch
    from gdcli.runs.options import Progress


def check_files(run: RunFolder) -> Iterator[CheckResult]:
    """Yield what every check of a finished run's files finds, the cheapest first.

    A check that needs code which the folder names, and which is not to be run, is not done.
    """
    yield CheckResult(
        "manifest", "ok", f"finished {run.manifest.get('finished', 'at a time unknown')}"
    )
    yield _files(run)
    for check in (_experiment, _columns, _trials, _shards):
        name = check.__name__.strip("_")
        try:
            yield check(run)
        except Untrusted as error:
            yield CheckResult(name, "not done", f"{error.what}; {error.fix}")
        except (UserError, OSError) as error:
            yield CheckResult(name, "damaged", str(error))


def _files(run: RunFolder) -> CheckResult:
    files = changed(run.path, run.manifest)
    if not files:
        return CheckResult("files", "ok", f"{', '.join(run.manifest['files'])}: checksums hold")
    missing = [file.name for file in files if not file.exists()]
    if missing:
        return CheckResult("files", "missing", f"{', '.join(missing)}: not there")
    names = ", ".join(file.name for file in files)
    return CheckResult("files", "damaged", f"{names}: not what the run wrote")


def _experiment(run: RunFolder) -> CheckResult:
    if run.experiment.hash == run.manifest["experiment"]["hash"]:
        return CheckResult("experiment", "ok", "experiment.toml gives the trials of the manifest")
    what = "experiment.toml gives other trials than those of the manifest"
    return CheckResult("experiment", "different", what)


def _columns(run: RunFolder) -> CheckResult:
    """Compare the headers of both tables with those that the run would write."""
    exact = run.manifest["format"] == FORMAT
    for table, columns in zip(run.lines, tables_of(run.experiment), strict=True):
        held, wanted = table.table.names, columns.names
        if not exact:  # other columns there may be, but what is named alike is in the same order
            held = tuple(name for name in held if name in columns.names)
            wanted = tuple(name for name in columns.names if name in table.table.names)
        for found, name in zip_longest(held, wanted, fillvalue=""):
            if found != name:
                what = f"{table.path.name}: column {show(found)} is where {show(name)} belongs"
                return CheckResult("columns", "different", what)
    return CheckResult("columns", "ok", "both tables have the columns of the experiment, in order")


def _trials(run: RunFolder) -> CheckResult:
    """Compare the trials of both tables, in order, with those of the experiment."""
    wanted = [trial.id for trial in run.experiment.grid.trials]
    if missing := [trial for trial in wanted if trial not in run.summary_lines.places]:
        what = f"summary.csv lacks {len(missing)} of {len(wanted)} trials, {missing[0]} first"
        return CheckResult("trials", "missing", what)
    if list(run.summary_lines.places) != wanted:
        return CheckResult("trials", "different", "summary.csv has more trials, or another order")
    # A trial that failed has no curve.
    if list(run.curve_lines.places) != [
        trial for trial in wanted if trial in run.curve_lines.places
    ]:
        return CheckResult("trials", "different", "curves.csv has more trials, or another order")
    return CheckResult("trials", "ok", f"all {len(wanted)}, in the experiment's order")


def _shards(run: RunFolder) -> CheckResult:
    """Check that the shards are whole, and that the tables are made of them."""
    hidden = run.path / ".gdcli"
    if not hidden.is_dir():
        return CheckResult(
            "shards", "skipped", "the folder has none; the tables stand for themselves"
        )
    try:
        spec = read_spec(run.path, SHOWN)
    except (UserError, OSError):
        return CheckResult("shards", "damaged", ".gdcli/spec.json is not what the run wrote")
    store, total = Store(run.path, spec), spec["batches"]
    if store.id != run.manifest.get("spec"):
        return CheckResult("shards", "different", ".gdcli is of another run than manifest.json")
    whole, made = 0, [hashlib.sha256(table.header()) for table in run.lines]
    broken = None
    there = set(store.there(total))
    for index in range(total):
        if index in there and (shard := store.load(index)):
            whole += 1
            made[0].update(shard.curves)
            made[1].update(shard.summary)
        elif broken is None:
            broken = index
    if broken is not None:
        what = f"{total - whole} of {total} are not whole, {broken:06d} first"
        return CheckResult("shards", "damaged", what)
    for table, digest in zip(run.lines, made, strict=True):
        if digest.hexdigest() != run.manifest["files"][table.path.name]["sha256"]:
            return CheckResult("shards", "different", f"{table.path.name} is not made of them")
    return CheckResult("shards", "ok", f"{total} of {total} whole; they make the tables")


UNKNOWN = "not recorded"


def recompute(run: RunFolder, sample: int | None, seed: int, progress: Progress) -> CheckResult:
    """Train a finished run's batches again, or a `sample` of them, and compare every trial.

    Where the fingerprint is that of the run, the bytes must be the same; elsewhere the values,
    as closely as `TrialComparison` says. Nothing is written.
    """
    device, changes = surroundings(run)
    if changed := changed_code(run.experiment, run.manifest):
        return CheckResult("rerun", "different", changed)
    # Elsewhere the means that the features are scaled by may differ in the last digit.
    if not changes and data_checksums(run.experiment) != run.manifest.get("data"):
        return CheckResult(
            "rerun", "different", "the data are not those that the run was trained on"
        )
    batches = _chosen(batches_of(run.experiment.grid.cohorts, run.engine), sample, seed)
    check_memory(batches, None, device)
    work = BatchRunner(run.experiment.varied, run.experiment.grid.metrics, device)
    again = _Rerun(run, work, TrialComparison(run, exact=not changes))
    again.train(batches, progress)
    return again.result(changes)


def surroundings(run: RunFolder) -> tuple[str, list[str]]:
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

    def __init__(self, run: RunFolder, work: BatchRunner, judge: TrialComparison) -> None:
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

    def result(self, changes: Sequence[str]) -> CheckResult:
        """Return what the comparison came to, how it was made and why so."""
        why = "; ".join(changes)
        why = f"not of the same fingerprint: {why}" if changes else "the fingerprint is the run's"
        ways = ", ".join(f"{count} {way}" for way, count in self.ways.items())
        total = self.differing + self.ways.total()
        if self.first is None:
            return CheckResult(
                "rerun", "same", f"{counted(total, 'trial', 'trials')}: {ways} ({why})"
            )
        what = f"{self.differing} of {total} trials differ, the first in {self.first} ({why})"
        return CheckResult("rerun", "different", what, self.first)


NEEDED = ("experiment", "columns", "trials")  # by those that are run again


def verify(
    folder: Path, sample: int | None, seed: int, progress: Progress, *, trust: bool = False
) -> list[CheckResult]:
    """Check a run's folder, then run it again, or `sample` of its batches, and compare.

    Code that the folder names is run only if `trust` is: else nothing is run again.
    """
    run, results = _inspected(folder, trust=trust)
    needed = [f for f in results if f.check in NEEDED]
    if run is None or not all(f.sound for f in needed):
        return [*results, CheckResult("rerun", "skipped", "there is nothing whole to compare with")]
    if not all(f.done for f in needed):
        return [*results, CheckResult("rerun", "not done", "its code is not run without --trust")]
    return [*results, recompute(run, sample, seed, progress)]


def verify_against(
    folder: Path, other: Path, rtol: float = 0.0, atol: float = 0.0
) -> list[CheckResult]:
    """Check the folders of two runs and compare what they recorded; nothing is run."""
    (run, results), (held, more) = (_inspected(f, trust=False) for f in (folder, other))
    broken = [*_broken(folder, results), *_broken(other, more)]
    files = broken or [CheckResult("files", "ok", f"{folder} and {other} are whole")]
    if run is None or held is None:
        return files
    try:
        return [*files, *compare_runs(run, held, Tolerance(rtol, atol))]
    except UserError as error:
        return [*files, CheckResult("values", "damaged", str(error))]


def _broken(folder: Path, results: list[CheckResult]) -> list[CheckResult]:
    """Return what speaks against a run, with its folder."""
    return [replace(f, detail=f"{folder}: {f.detail}") for f in results if not f.sound]


def _inspected(folder: Path, *, trust: bool) -> tuple[RunFolder | None, list[CheckResult]]:
    """Return a run with what its files show; None for one without a manifest that can be read."""
    if not (folder / "manifest.json").exists():
        try:
            said = state_of(folder).unfinished
        except OSError as error:
            said = str(error)
        return None, [CheckResult("manifest", "missing", said)]
    run = RunFolder(folder, trust=trust)
    try:
        _ = run.engine
    except UserError as error:
        return None, [CheckResult("manifest", "damaged", str(error))]
    return run, list(check_files(run))
