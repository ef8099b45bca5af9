"""The results of a run: its tables, written from the shards in order, and its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gdcli.errors import RunError
from gdcli.experiment import toml
from gdcli.runs import atomic, manifest
from gdcli.runs.commit import commit
from gdcli.runs.rows import curve_columns, header, summary_columns
from gdcli.runs.theory import theory_of

if TYPE_CHECKING:
    from gdcli.engine.batch import TrialBatch
    from gdcli.runs.merge import Assembly
    from gdcli.runs.run import Run
    from gdcli.runs.shard import Shard


def write_tables(
    run: Run | Assembly, note: Callable[[str], object] = lambda _: None
) -> dict[str, int]:
    """Write the results unless another process has; return the trials by how they ended.

    `note` is told where another process is waited for.
    Raises RunError where a shard was damaged, UserError where the folder became another run's.
    """
    with run.claims.tables(note) as certain:
        run.store.check_spec()
        written = manifest.counts(run.folder, run.store.id)
        if written and not run.options.retry_failed:
            return written
        return _written(run, clear=certain)


def _written(run: Run | Assembly, *, clear: bool) -> dict[str, int]:
    experiment, folder = run.experiment, run.folder
    with commit() as name:
        rest = _write_files(run)
        if clear:
            # Before the manifest, with which the run is finished: nobody would come back for them.
            run.store.clear_temporaries()
        made_at = manifest.made_at(name)
    counts = {"all": len(experiment.grid.trials), "failed": rest.failed, "diverged": rest.diverged}
    content = manifest.manifest(experiment, run.store.id, run.store.spec, counts, rest.paths)
    content |= {**made_at, "theory": theory_of(experiment)}
    manifest.write(folder, content, manifest.FILES)
    return counts


def _write_files(run: Run | Assembly) -> _Rest:
    """Write the tables, durable once the manifest is; return the shards' counts and timings."""
    experiment, rest = run.experiment, _Rest()

    def write(name: str, chunks: Iterable[bytes]) -> None:
        atomic.write(run.folder / name, chunks, lasting=False)

    columns = curve_columns(experiment, run.metrics)
    write("curves.csv", _lines(run, header(columns), rest))
    columns = summary_columns(experiment, run.metrics)
    write("summary.csv", [header(columns).encode(), *rest.summary])
    write("experiment.toml", [toml.dump(experiment).encode()])
    timings = ["batch,cohort,trials,seconds\n", *rest.timings]
    write("timings.csv", ["".join(timings).encode()])
    return rest


@dataclass
class _Rest:
    """What the shards hold besides the curves: little enough to keep."""

    summary: list[bytes] = field(default_factory=list)
    timings: list[str] = field(default_factory=list)
    failed: int = 0
    diverged: int = 0
    paths: dict[str, list[str]] = field(default_factory=dict)  # of every cohort, in order

    def add(self, batch: TrialBatch, shard: Shard) -> None:
        held = self.paths.setdefault(batch.cohort, [])
        held += [shard.path] if shard.path not in ("", *held) else []
        self.summary.append(shard.summary)
        place = f"{batch.index},{batch.cohort},{len(batch.trials)}"
        self.timings.append(f"{place},{shard.seconds!r}\n")
        self.failed += shard.failed
        self.diverged += shard.diverged


def _lines(run: Run | Assembly, head: str, rest: _Rest) -> Iterator[bytes]:
    """Yield the curves, and keep the rest of every shard."""
    yield head.encode()
    for batch in run.batches:
        shard = run.store.load(batch.index)
        if shard is None:
            what = f"{run.folder}: batch {batch.index} was damaged while the run went on"
            raise RunError(f"{what}; run the same command again to compute it anew")
        rest.add(batch, shard)
        yield shard.curves
