"""One experiment being run into one folder: its batches, and how each is computed."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gdcli.engine.batch import batches_of, check_rules, longer_runs
from gdcli.engine.device import resolve
from gdcli.engine.examples import MOST_HELD, examples_of, is_streamed
from gdcli.engine.families.family import check_trial, needs_torch, on_torch
from gdcli.engine.plan import plan_of
from gdcli.errors import UserError
from gdcli.runs import manifest
from gdcli.runs.atomic import Claims, Signs, at_work
from gdcli.runs.fingerprint import data_checksums, fingerprint, known_checksums, remember
from gdcli.runs.finish import write_tables
from gdcli.runs.options import partition_of
from gdcli.runs.spec import FORMAT, code_checksums, spec_id
from gdcli.runs.store import Checkpoint, Store
from gdcli.runs.table import tables_of
from gdcli.runs.work import BatchRunner, failure_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from gdcli.engine.batch import TrialBatch
    from gdcli.engine.train import OnLoss
    from gdcli.experiment.experiment import Experiment
    from gdcli.problem import Data
    from gdcli.runs.options import RunOptions
    from gdcli.runs.store import Shard
    from gdcli.runs.work import Keep


def device_of(experiment: Experiment, options: RunOptions) -> str:
    """Return the resolved name of the device that an experiment is run on."""
    return resolve(options.device, networks=needs_torch(experiment.grid.trials[0].problem))


def folder_of(experiment: Experiment, options: RunOptions) -> Path:
    """Return the folder that an experiment is run in."""
    return options.output / (options.name or f"{experiment.name}-{experiment.hash[:8]}")


def spec_of(
    experiment: Experiment, options: RunOptions, batches: int, known: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a run's numbers depend on; `known` are checksums of examples."""
    device, (curves, summary) = device_of(experiment, options), tables_of(experiment)
    torch = device != "cpu" or options.engine == "reference"
    torch = torch or any(on_torch(cohort.trials[0]) for cohort in experiment.grid.cohorts)
    packages = experiment.grid.trials[0].problem.packages
    return {
        "format": FORMAT,
        "experiment": experiment.hash,
        "settings": experiment.tables(),
        "batches": batches,
        "trials": len(experiment.grid.trials),
        "columns": {
            "curves": list(curves.names),
            "summary": list(summary.names),
        },
        "data": data_checksums(experiment, known),
        "engine": options.engine,
        "fingerprint": fingerprint(device, torch=torch, packages=packages),
        **code_checksums(experiment),
    }


def finished_unread(experiment: Experiment, options: RunOptions) -> dict[str, int] | None:
    """Return the trials by how they ended if a run is finished, and its large files are unchanged.

    None where they have to be read to know, as well as where something is left to do.
    """
    if options.overwrite or options.reuse:
        return None
    folder = folder_of(experiment, options)
    known = known_checksums(folder, experiment)
    if not known:
        return None
    batches = len(batches_of(experiment.grid.cohorts, options.engine))
    return manifest.counts(folder, spec_id(spec_of(experiment, options, batches, known)))


class Run:
    """An experiment, its folder, and the options that it is run with."""

    def __init__(
        self, experiment: Experiment, options: RunOptions, known: Mapping[str, str] = {}
    ) -> None:
        """Check all that can be checked before anything is written; raises UserError.

        `known` are checksums of examples that need not be computed, by the problem's key.
        """
        self.experiment, self.options = experiment, options
        self.partition = partition_of(options.shard, os.environ)
        self.metrics = experiment.grid.metrics
        self.device = device_of(experiment, options)
        self.runner = BatchRunner(experiment.varied, self.metrics, self.device, options.memory)
        self.batches = batches_of(experiment.grid.cohorts, options.engine)
        self.longer = {} if options.engine == "reference" else longer_runs(self.batches)
        for cohort in experiment.grid.cohorts:
            plan_of(cohort.trials[0], examples_of(cohort.trials[0]).examples)
            check_trial(cohort.trials[0])
            check_rules(cohort.trials)
        self.folder = folder_of(experiment, options)
        spec = spec_of(experiment, options, len(self.batches), known)
        if options.reuse:
            from gdcli.runs.others import reusing

            self.runner = reusing(self.runner, spec, options, self.batches)
        self.store = Store(self.folder, spec)

    def open(self) -> None:
        """Make the folder, or take up what lies there; raises UserError if that is another's."""
        if self.options.overwrite and at_work(self.folder):
            what = f"another process is at work in {self.folder}"
            raise UserError(
                "--overwrite", what, "wait for it, stop it first, or give another --name"
            )
        self.store.open(overwrite=self.options.overwrite)
        remember(self.store, self.experiment)
        if self.options.retry_failed:
            # If this process is killed, the run counts as unfinished: its tables are the old ones.
            (self.folder / "manifest.json").unlink(missing_ok=True)

    def streamed(self) -> dict[int, Data]:
        """Return the examples that stay on disk, by the place of their cohort, to be handed on.

        None at all of more problems than this process holds: it would read them again for it.
        """
        firsts = [cohort.trials[0] for cohort in self.experiment.grid.cohorts]
        if len({(trial.problem, trial.training.data_seed) for trial in firsts}) > MOST_HELD:
            return {}
        held = {place: examples_of(trial) for place, trial in enumerate(firsts)}
        return {place: data for place, data in held.items() if is_streamed(data)}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold this process's lock on the folder, so that others see that it is in use."""
        self.claims, self.signs = Claims(self.folder), Signs(self.folder)
        try:
            self.claims.lock_folder()
            yield
        finally:
            self.claims.close()

    def wanted(self, shard: Shard | None) -> bool:
        """Return whether a batch is still to be computed, or again for its failures."""
        return shard is None or (self.options.retry_failed and shard.failed > 0)

    def save(self, index: int, shard: Shard) -> None:
        """Store a batch that is computed; the state it was kept in meanwhile is removed."""
        self.store.save(index, shard)
        for state in self.store.checkpoints.glob(f"{index:06d}*"):
            state.unlink(missing_ok=True)

    def compute(
        self,
        index: int,
        held: Shard | None,
        advance: Callable[[int], None],
        keep: Keep | None = None,
        hear: OnLoss | None = None,
    ) -> Shard:
        """Return the shard of a batch, or the held one with its failed trials trained again."""
        batch = self.batches[index]
        if held:
            return self.runner.again(batch, held)
        longer = [self.batches[other] for other in self.longer.get(index, ())]
        return self.runner.shard(batch, advance, keep, hear, longer)

    def checkpoint(self, batch: TrialBatch) -> Checkpoint:
        """Return where the state of a batch, or of a stack of it, is kept while it is computed."""
        first = self.batches[batch.index].trials.index(batch.trials[0])
        name = f"{batch.index:06d}" + (f".{first}" if first else "")
        key = [self.store.id, str(batch.index), *(trial.id for trial in batch.trials)]
        return Checkpoint(self.store.checkpoints / name, " ".join(key))

    def write_tables(self, note: Callable[[str], object]) -> dict[str, int]:
        """Write the results once all batches are there; return the trials by how they ended.

        `note` is called where another process is waited for. Raises as `finish.write_tables`.
        """
        again = self.options.retry_failed
        with self.claims.tables(note) as certain:
            given = (self.experiment, self.batches, self.store)
            return write_tables(*given, clear=certain, again=again)

    def failures(self, index: int, shard: Shard) -> tuple[str, ...]:
        """Return a line for each trial of a batch that failed."""
        return tuple(failure_lines(self.batches[index], shard, self.experiment))
