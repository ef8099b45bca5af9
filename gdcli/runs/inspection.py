"""What a run's folder shows without running anything: whether it is whole and of one piece."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gdcli.engine.batch import batches_of
from gdcli.errors import UserError
from gdcli.runs.finding import Finding
from gdcli.runs.manifest import changed
from gdcli.runs.recorded import Recorded
from gdcli.runs.spec import read_spec
from gdcli.runs.store import Store


def inspect(run: Recorded, *, own_code: bool = True) -> Iterator[Finding]:
    """Yield what every check of a finished run's files finds, the cheapest first.

    `own_code` says whether code of the user's own may be run for those that need it.
    """
    yield Finding("manifest", "ok", f"finished {run.manifest.get('finished', 'at a time unknown')}")
    yield _files(run)
    if run.manifest.get("code") and not own_code:
        what = "its trials are told by code of the user's own, which is not run for this"
        yield Finding("experiment", "skipped", what)
        return
    for check in (_experiment, _trials, _shards):
        try:
            yield check(run)
        except UserError as error:
            yield Finding(check.__name__.strip("_"), "damaged", str(error))


def _files(run: Recorded) -> Finding:
    files = changed(run.folder, run.manifest)
    if not files:
        return Finding("files", "ok", f"{', '.join(run.manifest['files'])}: checksums hold")
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        return Finding("files", "missing", f"{', '.join(missing)}: not there")
    names = ", ".join(file.name for file in files)
    return Finding("files", "damaged", f"{names}: not what the run wrote")


def _experiment(run: Recorded) -> Finding:
    if run.experiment.hash == run.manifest["experiment"]["hash"]:
        return Finding("experiment", "ok", "experiment.toml gives the trials of the manifest")
    what = "experiment.toml gives other trials than those of the manifest"
    return Finding("experiment", "different", what)


def _trials(run: Recorded) -> Finding:
    """Compare the trials of both tables, in order, with those of the experiment."""
    wanted = [trial.id for trial in run.experiment.grid.trials]
    if missing := [trial for trial in wanted if trial not in run.summary.places]:
        what = f"summary.csv lacks {len(missing)} of {len(wanted)} trials, {missing[0]} first"
        return Finding("trials", "missing", what)
    if list(run.summary.places) != wanted:
        return Finding("trials", "different", "summary.csv has more trials, or another order")
    # A trial that failed has no curve.
    if list(run.curves.places) != [trial for trial in wanted if trial in run.curves.places]:
        return Finding("trials", "different", "curves.csv has more trials, or another order")
    return Finding("trials", "ok", f"all {len(wanted)}, in the experiment's order")


def _shards(run: Recorded) -> Finding:
    """Check that the shards are whole, and that the tables are made of them."""
    hidden = run.folder / ".gdcli"
    if not hidden.is_dir():
        return Finding("shards", "skipped", "the folder has none; the tables stand for themselves")
    try:
        spec = read_spec(run.folder)
    except OSError:
        spec = None
    if spec is None:
        return Finding("shards", "damaged", ".gdcli/spec.json is not what the run wrote")
    store = Store(run.folder, spec)
    if store.id != run.manifest.get("spec"):
        return Finding("shards", "different", ".gdcli is of another run than manifest.json")
    batches = batches_of(run.experiment.grid.cohorts, run.engine)
    if broken := [batch.index for batch in batches if store.load(batch.index) is None]:
        what = f"{len(broken)} of {len(batches)} are not whole, {broken[0]:06d} first"
        return Finding("shards", "damaged", what)
    for table, part in zip(run.tables, ("curves", "summary"), strict=True):
        made = hashlib.sha256(table.header())
        for batch in batches:
            made.update(getattr(store.load(batch.index), part))
        if made.hexdigest() != run.manifest["files"][table.path.name]["sha256"]:
            return Finding("shards", "different", f"{table.path.name} is not made of them")
    return Finding("shards", "ok", f"{len(batches)} of {len(batches)} whole; they make the tables")
