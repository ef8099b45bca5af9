"""Batches and trials of other runs: `gdcli merge` and `--reuse`.

A trial's numbers do not depend on what else is in its grid: the lines that another run has of it
are the lines it would get here, except for the columns that name its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.engine.batch import batches_of
from gdcli.engine.estimate import numpy_seconds, quick_estimate
from gdcli.engine.families.family import on_torch
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.runs.atomic import Claims
from gdcli.runs.csv_read import cells, lines_of
from gdcli.runs.csv_write import Rows
from gdcli.runs.fingerprint import problem_key
from gdcli.runs.finish import write_tables
from gdcli.runs.spec import AGAIN, differences, experiment_of, identity, read_spec, spec_file
from gdcli.runs.store import Shard, Store
from gdcli.runs.work import BatchRunner, plan_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdcli.engine.batch import TrialBatch
    from gdcli.engine.train import OnLoss
    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial
    from gdcli.runs.options import RunOptions
    from gdcli.runs.work import Keep


def merge(folders: Sequence[Path], out: Path, *, trust: bool = False) -> list[Trial]:
    """Put the whole shards of several folders into one; return the trials that are missing.

    `trust` lets code be run that the folders name.

    Where none is, the tables are written. Raises UserError, before anything is written, for a
    folder that holds no shards or another run, and for two folders that hold different results
    of the same batch.
    """
    sources = [_store(folder) for folder in folders]
    if spec_file(out).exists():
        sources.append(_store(out))
    for other in sources[1:]:
        _refuse_another(sources[0], other)
    spec, origin = sources[0].spec, str(spec_file(sources[0].folder))
    experiment, store = experiment_of(spec, origin, trust=trust), Store(out, spec)
    batches = batches_of(experiment.grid.cohorts, spec["engine"])
    for batch in batches:
        _refuse_conflict(batch, sources)
    _open(store)
    with closing(Claims(out)) as claims:
        claims.lock_folder()
        missing = [batch for batch in batches if not _copied(store, batch, sources)]
        if not missing:
            with claims.tables() as certain:
                write_tables(experiment, batches, store, clear=certain)
    return [trial for batch in missing for trial in batch.trials]


def _store(folder: Path) -> Store:
    """Return the store of a run's folder."""
    try:
        spec = read_spec(folder)
    except FileNotFoundError:
        what = "it holds no shards, as the hidden folder .gdcli of a run does"
        raise UserError(str(folder), what, "give folders that gdcli run has made") from None
    return Store(folder, spec)


def _refuse_another(first: Store, other: Store) -> None:
    if first.id == other.id:
        return
    specs = first.spec, other.spec
    if first.spec.get("experiment") == other.spec.get("experiment"):
        # The same trials, perhaps said in other words: these are not what differs.
        specs = identity(first.spec), identity(other.spec)
    what = f"it is another run than {first.folder}: {differences(*specs)}"
    raise UserError(str(other.folder), what, "merge the parts of one run")


def _refuse_conflict(batch: TrialBatch, sources: Sequence[Store]) -> None:
    first: tuple[Path, Shard] | None = None
    for folder, shard in _shards(batch.index, sources):
        if first is None:
            first = folder, shard
        elif (shard.curves, shard.summary) != (first[1].curves, first[1].summary):
            what = f"its batch {batch.index:06d} differs from that of {first[0]}"
            raise UserError(str(folder), what, "leave out the one that is wrong")
    if first and [*lines_of(first[1].summary)] != [trial.id for trial in batch.trials]:
        what = f"its batch {batch.index:06d} does not hold the trials of the experiment"
        raise UserError(str(first[0]), what, AGAIN)


def _shards(index: int, sources: Sequence[Store]) -> Iterator[tuple[Path, Shard]]:
    """Yield the whole shards that there are of a batch."""
    for source in sources:
        if shard := source.load(index):
            yield source.folder, shard


def _open(store: Store) -> None:
    try:
        store.open(overwrite=False)
    except UserError as error:
        raise UserError("--output", error.what, "give another --output") from None


def _copied(store: Store, batch: TrialBatch, sources: Sequence[Store]) -> bool:
    """See that a batch is stored; return False where no source has it."""
    if store.load(batch.index):
        return True
    for _, shard in _shards(batch.index, sources):
        store.save(batch.index, shard)
        return True
    return False


# Seconds, rather too many: to make a trial of a run's grid, and to read a byte of its batches.
TRIAL, BYTE = 4e-5, 3e-8
UNFELT = 0.1  # seconds: start-up takes longer
TOO_MANY = 100  # times as long as batches take, at most, is what `numpy_seconds` says
NOTHING = Shard(b"", b"", seconds=0.0, failed=0, diverged=0)


class CopiedTrial(NamedTuple):
    """What a run recorded of a trial: its lines without the settings they begin with."""

    curves: tuple[bytes, ...]
    summary: bytes
    diverged: bool
    path: str  # which way the engine computed it


class ReusedRun:
    """A run that trials can be copied from, finished or not."""

    def __init__(self, folder: Path, spec: dict[str, Any], *, trust: bool) -> None:
        """Take a run's folder and its spec; `trust` lets code be run that they name."""
        self.folder, self.spec, self.trust = folder, spec, trust
        self.store = Store(folder, spec)
        self._index: dict[int, _Index] = {}

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the run is of."""
        return experiment_of(self.spec, str(spec_file(self.folder)), trust=self.trust)

    @cached_property
    def _batches(self) -> dict[str, TrialBatch]:
        batches = batches_of(self.experiment.grid.cohorts, self.spec["engine"])
        return {trial.id: batch for batch in batches for trial in batch.trials}

    def measured(self, trial: Trial, data: str) -> CopiedTrial | None:
        """Return what the run recorded of a trial on data of this checksum.

        None for a trial that it does not hold, or that failed there.
        """
        batch = self._batches.get(trial.id)
        if batch is None or self.spec["data"].get(problem_key(trial.problem)) != data:
            return None
        path, curves, summary = self._lines(batch.index, trial)
        rows = Rows(self.experiment.varied, self.experiment.grid.metrics, plan_for(batch))
        prefix = f"{rows.prefix(trial)},".encode()
        points, ends = tuple(_without(prefix, curves)), _without(prefix, summary)
        if not points or len(ends) != 1:
            return None
        table = rows.summary_table(trial)
        status = cells(ends[0])[0][table.place("status") - len(table.settings)]
        return CopiedTrial(points, ends[0], status == "diverged", path)

    def _lines(self, index: int, trial: Trial) -> tuple[str, bytes, bytes]:
        """Return the way that a batch was computed, and a trial's lines of both tables.

        A batch is read whole once, whatever the order in which its trials are asked for.
        """
        if index not in self._index:
            shard = self.store.load(index) or NOTHING
            tables = _places(shard.curves, 0), _places(shard.summary, len(shard.curves))
            self._index[index] = _Index(shard.path, *tables)
        held = self._index[index]
        places = [table.get(trial.id, (0, 0)) for table in (held.curves, held.summary)]
        lines = self.store.parts(index, places)
        return held.path, lines[0], lines[1]


class _Index(NamedTuple):
    """Where each trial's lines are in a batch: offset and length."""

    path: str
    curves: dict[str, tuple[int, int]]
    summary: dict[str, tuple[int, int]]


def _places(part: bytes, offset: int) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    for trial, lines in lines_of(part).items():
        places[trial] = offset, len(lines)
        offset += len(lines)
    return places


def _without(prefix: bytes, lines: bytes) -> list[bytes]:
    """Return lines without the prefix of all of them; none at all if one lacks it."""
    parts = lines.split(prefix)
    return parts[1:] if parts[0] == b"" else []


@dataclass(frozen=True)
class ReusingRunner(BatchRunner):
    """Trains what other runs do not hold, and copies the rest from them."""

    sources: Sequence[ReusedRun] = ()
    data: dict[str, str] | None = None  # the checksums of the examples, by the problem's key

    def shard(
        self,
        batch: TrialBatch,
        advance: Callable[[int], None],
        keep: Keep | None = None,
        hear: OnLoss | None = None,
        longer: Sequence[TrialBatch] = (),
    ) -> Shard:
        """Return a batch's shard, of which only the trials are trained that no source holds."""
        held = {trial.id: found for trial in batch.trials if (found := self._held(trial))}
        if not held:
            return super().shard(batch, advance, keep, hear, longer)
        advance(len(held) * plan_for(batch).steps)
        rest = tuple(trial for trial in batch.trials if trial.id not in held)
        left = replace(batch, trials=rest)
        trained = super().shard(left, advance, keep, hear) if rest else NOTHING
        return self._woven(batch, held, trained)

    def _held(self, trial: Trial) -> CopiedTrial | None:
        checksum = (self.data or {}).get(problem_key(trial.problem), "")
        alike = [s for s in self.sources if s.experiment.grid.metrics == tuple(self.metrics)]
        found = (source.measured(trial, checksum) for source in alike)
        return next((measured for measured in found if measured), None)

    def _woven(self, batch: TrialBatch, held: dict[str, CopiedTrial], trained: Shard) -> Shard:
        """Return one shard of trials that were copied and trials that were trained, in order."""
        own = [lines_of(part) for part in (trained.curves, trained.summary)]
        rows = Rows(self.varied, self.metrics, plan_for(batch))
        curves, summary = [], []
        for trial in batch.trials:
            prefix = f"{rows.prefix(trial)},".encode()
            if found := held.get(trial.id):
                curves += [prefix + line for line in found.curves]
                summary.append(prefix + found.summary)
            else:
                curves.append(own[0].get(trial.id, b""))
                summary.append(own[1].get(trial.id, b""))
        diverged = trained.diverged + sum(found.diverged for found in held.values())
        return Shard(
            b"".join(curves),
            b"".join(summary),
            trained.seconds,
            trained.failed,
            diverged,
            path=trained.path or next(found.path for found in held.values()),
        )


def reusing(
    runner: BatchRunner, spec: dict[str, Any], options: RunOptions, batches: Sequence[TrialBatch]
) -> BatchRunner:
    """Return a runner that copies from the runs of `--reuse` the trials that they hold.

    A run that takes longer to read than the batches to compute is left alone.

    Raises UserError for what is not a run, or a run whose numbers would not be those of this one.
    """
    if runner.device != "cpu":
        what = f"on {runner.device} a trial's last digits depend on the others of its batch"
        raise UserError("--reuse", what, "give --device cpu, or leave it out")
    held = [_source(name, spec, options) for name in options.reuse]
    sources = [source for source in held if _pays(source, batches)]
    for source in sources:
        _ = source.experiment  # an error in it is raised before anything is written
    return ReusingRunner(
        runner.varied, runner.metrics, runner.device, runner.memory, sources, spec["data"]
    )


def _source(name: str, spec: dict[str, Any], options: RunOptions) -> ReusedRun:
    for folder in (Path(name), options.output / name):
        if (folder / ".gdcli").is_dir():
            break
    else:
        what = f"{show(name)} is not a run with its hidden folder .gdcli"
        raise UserError("--reuse", what, "give the folder of a run, or its name in --output")
    held = _spec(folder)
    kept = (
        {key: part.get(key) for key in ("format", "engine", "fingerprint")} for part in (held, spec)
    )
    if different := differences(*kept):
        what = f"{folder} would have other numbers: {different}"
        raise UserError("--reuse", what, "leave it out")
    own, theirs = (part.get("code", {}) for part in (spec, held))
    if other := [what for what in own if what in theirs and own[what] != theirs[what]]:
        what = f"{folder} has other code of {other[0]}"
        raise UserError("--reuse", what, "leave it out")
    return ReusedRun(folder, held, trust=options.trust)


def _pays(source: ReusedRun, batches: Sequence[TrialBatch]) -> bool:
    """Return whether a run is read in less time than batches are computed in.

    Where neither the most nor the least that they may take tells, a few of their steps are timed.
    The bytes of the results are the same either way.
    """
    reading: float = TRIAL * source.spec.get("trials", 0) + BYTE * source.store.size()
    if reading < UNFELT or any(on_torch(batch.trials[0]) for batch in batches):
        return True
    most = numpy_seconds(batches)
    if not most / TOO_MANY < reading < most:
        return reading < most
    return reading < quick_estimate(batches, "cpu", enough=2 * reading)


def _spec(folder: Path) -> dict[str, Any]:
    try:
        return read_spec(folder)
    except UserError as error:
        raise UserError(
            "--reuse", f"{error.where} {error.what.removeprefix('it ')}", AGAIN
        ) from None
    except OSError:
        raise UserError("--reuse", f"{spec_file(folder)} cannot be read", AGAIN) from None
