"""What the bits of a result depend on besides the experiment: versions, machine, examples.

To compute the checksum of the examples takes as long as reading their file, minutes for gigabytes
of text. A run's folder therefore keeps the stamps of large files, and an unchanged file is not read
again.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import platform
import struct
from contextlib import suppress
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import gdcli
from gdcli import __version__, door
from gdcli.catalog.user_code import source_of
from gdcli.datasets.contents import Stamp, stamp_of
from gdcli.datasets.out_of_core import Streamed
from gdcli.datasets.sparse import Sparse
from gdcli.datasets.tabular import Source
from gdcli.engine.device import torch_facts
from gdcli.engine.examples import examples_of, stamp_when_read
from gdcli.errors import UserError
from gdcli.experiment.grid import digest
from gdcli.fields import settings_of
from gdcli.runs import atomic
from gdcli.runs.spec import line, read_spec, spec_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data, Problem
    from gdcli.runs.store import Store

# Where numbers and the lines of the tables are made.
FOLDERS = (
    *("datasets", "engine", "measures"),
    *("optimizers", "problems", "schedules", "wrappers"),
)
FILES = (
    *("arrays.py", "assembly.py", "formula.py", "measure.py", "method.py"),
    *("mapped.py", "optimizer.py", "parameter_groups.py", "problem.py"),
    *("schedule.py", "trees.py"),
    *("catalog/catalog.py", "catalog/composed.py", "experiment/grid.py"),
    *("experiment/training.py", "runs/csv_write.py", "runs/table.py", "runs/work.py"),
)
OPENBLAS = "scipy_openblas_get_corename64_"  # as the wheels of NumPy bring it along


def fingerprint(device: str, *, torch: bool, packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return versions, the processor's vector units, device and threads.

    `packages` are those that a problem brings along, by the names that they are imported under.
    """
    import numpy as np

    found = {
        "gdcli": __version__,
        "source": source(),
        "libm": _libm(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": _blas(),
        "machine": platform.machine(),
        "simd": np.show_config(mode="dicts")["SIMD Extensions"].get("found", []),
        "device": device,
        "threads": os.environ.get("OMP_NUM_THREADS", ""),  # also a list, such as 4,2
    }
    found |= {name: _version(name) for name in packages}
    return found | torch_facts(device) if torch else found


@cache
def source() -> str:
    """Return 12 hex digits of the hash of the code that makes the numbers."""
    digest, home = hashlib.sha256(), Path(gdcli.__file__).parent
    files = [home / name for name in FILES]
    files += [file for folder in FOLDERS for file in (home / folder).rglob("*.py")]
    for file in sorted(files):
        content = file.read_bytes().replace(b"\r\n", b"\n")  # as git may write them
        digest.update(f"{file.relative_to(home).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


@cache
def _libm() -> str:
    """Return 12 hex digits of the hash of some values of the C library's functions."""
    numbers = [0.37 * k for k in range(1, 60)]
    found = [f(x) for f in (math.exp, math.log, math.sin, math.cos, math.tanh) for x in numbers]
    found += [math.pow(x, y) for x, y in pairwise(numbers)]
    return hashlib.sha256(struct.pack(f"{len(found)}d", *found)).hexdigest()[:12]


def _version(package: str) -> str:
    """Return a package's version, which may be distributed under several names; "" if missing."""
    from importlib import metadata  # as slow to import as typer

    names = metadata.packages_distributions().get(package, [])
    return metadata.version(names[0]) if names else ""


def _blas() -> str:
    """Return the library that NumPy multiplies matrices with, and the processor it chose.

    OpenBLAS has a kernel for each kind of processor, chosen when it is loaded, and each adds up
    in an order of its own. Of another library only the name is known.
    """
    import numpy as np

    for file in (Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*"):
        core = getattr(ctypes.CDLL(str(file)), OPENBLAS, None)
        if core is not None:
            core.restype = ctypes.c_char_p
            return f"openblas {core().decode()}"
    return str(np.show_config(mode="dicts")["Build Dependencies"]["blas"].get("name", ""))


def data_checksums(experiment: Experiment, known: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the SHA-256 of the examples of every problem, by the problem's key.

    Those that are known are not read for it.
    """
    firsts = (cohort.trials[0] for cohort in experiment.grid.cohorts)
    problems = {trial.problem: trial for trial in firsts}
    keyed = {problem_key(problem): trial for problem, trial in problems.items()}
    return {key: known.get(key) or data_checksum(trial) for key, trial in keyed.items()}


def data_checksum(trial: Trial) -> str:
    """Return the SHA-256 of the examples of a trial."""
    return _checksum(examples_of(trial))


@lru_cache(maxsize=1024)  # a trial at a time is asked for
def problem_key(problem: Problem) -> str:
    """Return a hash of a problem's options."""
    return digest(settings_of(problem))[:12]


def _checksum(data: Data) -> str:
    import numpy as np

    digest = hashlib.sha256()
    for part in (data.train, data.test, data.constants):
        for name, array in part.items():
            if isinstance(array, Streamed):
                _add_streamed(digest, name, array)
                continue
            if isinstance(array, Sparse):
                digest.update(f"{name} sparse {array.dtype} {array.shape}\n".encode())
                for held in (array.starts, array.columns, array.values):
                    digest.update(np.ascontiguousarray(held).data)
                continue
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)  # whose copy may be large
    return digest.hexdigest()


def _add_streamed(digest: Any, name: str, array: Streamed) -> None:
    """Add an array that is read from disk in parts, in the order of the file."""
    digest.update(f"{name} streamed {array.shape}\n".encode())
    for positions, part in array.parts():
        digest.update(positions.tobytes())
        digest.update(part.tobytes())


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
    return [
        (problem_key(trial.problem), trial)
        for trial in {trial.problem: trial for trial in firsts}.values()
        if isinstance(trial.problem, Source) and source_of(type(trial.problem)) is None
    ]


def _stamp(trial: Trial) -> Stamp | None:
    """Return the stamp of the table that a trial reads, None unless it is a large file."""
    stamp = stamp_of(trial.problem.data)  # type: ignore[attr-defined]  # it has one: `_trials`
    return stamp if stamp and stamp[0] >= LARGE else None
