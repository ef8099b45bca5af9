"""The shards of one experiment, from several folders, put into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.engine.batch import batches_of
from gdcli.errors import UserError
from gdcli.runs.claims import Claims
from gdcli.runs.lines import lines_of
from gdcli.runs.options import RunOptions
from gdcli.runs.settings import experiment_of
from gdcli.runs.spec import AGAIN, differences, identity, read_spec, spec_file
from gdcli.runs.store import Store
from gdcli.runs.tables import write_tables

if TYPE_CHECKING:
    from gdcli.engine.batch import TrialBatch
    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial
    from gdcli.runs.shard import Shard


@dataclass
class Assembly:
    """A run whose batches come from elsewhere."""

    folder: Path
    store: Store
    origin: Path  # the folder that the spec comes from
    trust: bool = False
    options: RunOptions = field(default_factory=RunOptions)

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the spec says."""
        return experiment_of(self.store.spec, str(spec_file(self.origin)), trust=self.trust)

    @cached_property
    def batches(self) -> list[TrialBatch]:
        """The fixed batches of the experiment."""
        return batches_of(self.experiment.grid.cohorts, self.store.spec["engine"])

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The names of what the problem measures besides losses."""
        return self.experiment.grid.metrics

    @cached_property
    def claims(self) -> Claims:
        """The locks of this process in the folder."""
        return Claims(self.folder)


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
    assembly = Assembly(out, Store(out, sources[0].spec), sources[0].folder, trust)
    for batch in assembly.batches:
        _refuse_conflict(batch, sources)
    _open(assembly.store)
    with closing(assembly.claims) as claims:
        claims.attend()
        missing = [batch for batch in assembly.batches if not _copied(assembly, batch, sources)]
        if not missing:
            write_tables(assembly)
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


def _copied(assembly: Assembly, batch: TrialBatch, sources: Sequence[Store]) -> bool:
    """See that a batch is in the folder; return False where no source has it."""
    if assembly.store.load(batch.index):
        return True
    for _, shard in _shards(batch.index, sources):
        assembly.store.save(batch.index, shard)
        return True
    return False
