"""What a run's folder shows without running anything: whether it is whole and of one piece."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import zip_longest

from gdcli.catalog.user_code import Untrusted
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.runs.finding import Finding
from gdcli.runs.manifest import changed
from gdcli.runs.recorded import Recorded
from gdcli.runs.rows import curve_columns, summary_columns
from gdcli.runs.spec import FORMAT, SHOWN, read_spec
from gdcli.runs.store import Store


def inspect(run: Recorded) -> Iterator[Finding]:
    """Yield what every check of a finished run's files finds, the cheapest first.

    A check that needs code which the folder names, and which is not to be run, is not done.
    """
    yield Finding("manifest", "ok", f"finished {run.manifest.get('finished', 'at a time unknown')}")
    yield _files(run)
    for check in (_experiment, _columns, _trials, _shards):
        name = check.__name__.strip("_")
        try:
            yield check(run)
        except Untrusted as error:
            yield Finding(name, "not done", f"{error.what}; {error.fix}")
        except (UserError, OSError) as error:
            yield Finding(name, "damaged", str(error))


def _files(run: Recorded) -> Finding:
    files = changed(run.folder, run.manifest)
    if not files:
        return Finding("files", "ok", f"{', '.join(run.manifest['files'])}: checksums hold")
    missing = [file.name for file in files if not file.exists()]
    if missing:
        return Finding("files", "missing", f"{', '.join(missing)}: not there")
    names = ", ".join(file.name for file in files)
    return Finding("files", "damaged", f"{names}: not what the run wrote")


def _experiment(run: Recorded) -> Finding:
    if run.experiment.hash == run.manifest["experiment"]["hash"]:
        return Finding("experiment", "ok", "experiment.toml gives the trials of the manifest")
    what = "experiment.toml gives other trials than those of the manifest"
    return Finding("experiment", "different", what)


def _columns(run: Recorded) -> Finding:
    """Compare the headers of both tables with those that the run would write."""
    experiment, exact = run.experiment, run.manifest["format"] == FORMAT
    metrics = experiment.grid.metrics
    for table, columns in zip(
        run.tables,
        (curve_columns(experiment, metrics), summary_columns(experiment, metrics)),
        strict=True,
    ):
        held, wanted = table.columns, columns
        if not exact:  # other columns there may be, but what is named alike is in the same order
            held = tuple(name for name in held if name in columns)
            wanted = tuple(name for name in columns if name in table.columns)
        for found, name in zip_longest(held, wanted, fillvalue=""):
            if found != name:
                what = f"{table.path.name}: column {show(found)} is where {show(name)} belongs"
                return Finding("columns", "different", what)
    return Finding("columns", "ok", "both tables have the columns of the experiment, in order")


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
        spec = read_spec(run.folder, SHOWN)
    except (UserError, OSError):
        return Finding("shards", "damaged", ".gdcli/spec.json is not what the run wrote")
    store, total = Store(run.folder, spec), spec["batches"]
    if store.id != run.manifest.get("spec"):
        return Finding("shards", "different", ".gdcli is of another run than manifest.json")
    whole, made = 0, [hashlib.sha256(table.header()) for table in run.tables]
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
        return Finding("shards", "damaged", what)
    for table, digest in zip(run.tables, made, strict=True):
        if digest.hexdigest() != run.manifest["files"][table.path.name]["sha256"]:
            return Finding("shards", "different", f"{table.path.name} is not made of them")
    return Finding("shards", "ok", f"{total} of {total} whole; they make the tables")
