"""Checksums of the examples that an experiment's trials learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.datasets.out_of_core import Streamed
from gdcli.engine.examples import examples_of
from gdcli.experiment.grid import digest
from gdcli.fields import settings_of

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Data, Problem


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
    digest = hashlib.sha256()
    for part in (data.train, data.test, data.constants):
        for name, array in part.items():
            if isinstance(array, Streamed):
                _add_streamed(digest, name, array)
                continue
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)  # whose copy may be large
    return digest.hexdigest()


def _add_streamed(digest: Any, name: str, array: Streamed) -> None:
    """Add what is read from disk in parts, in the order of the file."""
    digest.update(f"{name} streamed {array.shape}\n".encode())
    for positions, part in array.parts():
        digest.update(positions.tobytes())
        digest.update(part.tobytes())
