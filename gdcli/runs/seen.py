"""Which large data files a run has read, as they were then: while they are, it need not read again.

A run is known by the checksum of its examples. To compute it takes as long as reading the file, in
minutes for gigabytes of text, so that a run's folder keeps the file's stamp beside it. Small files
are read each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from gdcli import door
from gdcli.catalog.user_code import source_of
from gdcli.datasets.contents import Stamp, stamp_of
from gdcli.engine.examples import stamp_when_read
from gdcli.errors import UserError
from gdcli.runs import atomic
from gdcli.runs.checksums import problem_key
from gdcli.runs.spec import line, read_spec, spec_id

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial
    from gdcli.runs.store import Store

LARGE = 2**24  # bytes; a smaller file is read within a second or two


class Seen(TypedDict):
    """What seen.json holds: the run that it is about, and stamps by the problem's key."""

    spec: str
    files: dict[str, list[int]]


def known_checksums(folder: Path, experiment: Experiment) -> Mapping[str, str]:
    """Return the checksums of those examples whose file a run of this folder has read.

    By the problem's key, as the run's spec has them; the file must be as it was then.
    """
    stamps = {key: found for key, trial in _trials(experiment) if (found := _stamp(trial))}
    if not stamps:
        return {}
    try:
        spec = read_spec(folder)
        seen: Seen | None = door.json_of(_file(folder), Seen)
    except (OSError, UserError):
        return {}
    if seen is None or seen["spec"] != spec_id(spec):
        return {}
    same = (key for key, stamp in stamps.items() if seen["files"].get(key) == stamp)
    return {key: spec["data"][key] for key in same if key in spec["data"]}


def remember(store: Store, experiment: Experiment) -> None:
    """Keep the stamps of the files that this process has read for a run, if they are the same.

    A folder that cannot be written to is none the worse: its files are read again.
    """
    trials = _trials(experiment)
    read = {key: stamp for key, trial in trials if (stamp := stamp_when_read(trial))}
    files = {key: read[key] for key, trial in trials if key in read and read[key] == _stamp(trial)}
    if files:
        seen: Seen = {"spec": store.id, "files": files}
        with suppress(OSError):
            atomic.write(_file(store.folder), [line(seen)])


def _file(folder: Path) -> Path:
    return folder / ".gdcli" / "seen.json"


def _trials(experiment: Experiment) -> list[tuple[str, Trial]]:
    """Return a trial of each problem that reads a table, by the problem's key.

    A class of the user's own may read other files, too.
    """
    firsts = [cohort.trials[0] for cohort in experiment.grid.cohorts]
    if not any(isinstance(getattr(trial.problem, "data", None), Path) for trial in firsts):
        return []
    from gdcli.datasets.tabular import Source  # it brings readers along

    return [
        (problem_key(trial.problem), trial)
        for trial in {trial.problem: trial for trial in firsts}.values()
        if isinstance(trial.problem, Source) and source_of(type(trial.problem)) is None
    ]


def _stamp(trial: Trial) -> Stamp | None:
    """Return the stamp of the table that a trial reads, None unless it is a large file."""
    stamp = stamp_of(trial.problem.data)  # type: ignore[attr-defined]  # it has one: `_trials`
    return stamp if stamp and stamp[0] >= LARGE else None
