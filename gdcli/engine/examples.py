"""The examples of a trial's problem."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gdcli.catalog.catalog import name_of
from gdcli.datasets.cells import collected
from gdcli.datasets.contents import Stamp, stamp_of
from gdcli.datasets.out_of_core import Streamed
from gdcli.datasets.sparse import Sparse
from gdcli.engine.sampling import stream
from gdcli.errors import UserError
from gdcli.problem import Data, Network

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gdcli.experiment.grid import Trial
    from gdcli.problem import Problem

MOST_HELD = 8  # problems whose examples stay in memory


def examples_of(trial: Trial) -> Data:
    """Return a trial's examples, which depend on its problem and its data seed alone."""
    return load(trial.problem, trial.training.data_seed)


def take(trial: Trial, data: Data) -> None:
    """Use a trial's examples as the parent process has read them."""
    key = trial.problem, trial.training.data_seed
    _TAKEN[key], _SAID[key] = data, ()  # the parent has printed the notes


def is_streamed(data: Data) -> bool:
    """Return whether some of the examples stay on disk."""
    arrays = (array for part in (data.train, data.test) for array in part.values())
    return any(isinstance(array, Streamed) for array in arrays)


def stamp_when_read(trial: Trial) -> Stamp | None:
    """Return the stamp that a trial's --data had before this process read it."""
    return _STAMPS.get((trial.problem, trial.training.data_seed))


def notes_of(trials: Iterable[Trial]) -> list[str]:
    """Return the notes on reading the examples of trials, each line once."""
    asked = {(trial.problem, trial.training.data_seed): None for trial in trials}
    for one in asked:
        if one not in _SAID:
            load(*one)
    return list(dict.fromkeys(line for one in asked for line in _SAID[one]))


_SAID: dict[tuple[Problem, int], tuple[str, ...]] = {}  # of examples that were read
_STAMPS: dict[tuple[Problem, int], Stamp | None] = {}  # of the files that they were read from
_TAKEN: dict[tuple[Problem, int], Data] = {}


@lru_cache(
    maxsize=MOST_HELD
)  # a grid over problem options has one data set for each; they come in order
def load(problem: Problem, data_seed: int) -> Data:
    """Return a problem's examples for a data seed, read or drawn once."""
    if (problem, data_seed) in _TAKEN:
        return _TAKEN[problem, data_seed]
    file = getattr(problem, "data", None)
    _STAMPS[problem, data_seed] = stamp_of(file) if isinstance(file, Path) else None
    # Extreme data may overflow: the run shows what follows.
    with np.errstate(all="ignore"), collected() as notes:
        data = problem.load(stream(name_of(problem), data_seed, "data"))
    _check(problem, data)
    _SAID[problem, data_seed] = tuple(notes)
    return data


def _check(problem: Problem, data: Data) -> None:
    """Raise UserError for a user's `load` that returned no valid examples."""
    fix = (
        "mend `load`: Data(train, test), each a dict of NumPy arrays by name, as long as each other"
    )
    if not isinstance(data, Data):
        raise UserError(name_of(problem), f"its `load` returns {type(data).__name__}", fix)
    for which, part in (("training", data.train), ("test", data.test)):
        for name, array in part.items():
            if not isinstance(array, np.ndarray | Streamed | Sparse):
                what = f'"{name}" of its {which} examples is {type(array).__name__}, and no array'
                raise UserError(name_of(problem), what, fix)
        counts = {name: len(array) for name, array in part.items()}
        if len(set(counts.values())) > 1:
            said = ", ".join(f'"{name}" has {count}' for name, count in counts.items())
            raise UserError(name_of(problem), f"of its {which} examples {said}", fix)
    if isinstance(problem, Network):
        wanted = {"x"} | data.train.keys() & {"y"}
        for which, part in (("training", data.train), ("test", data.test)):
            lacks = sorted(wanted - part.keys())
            if part and lacks:
                raise UserError(name_of(problem), f'its {which} examples have no "{lacks[0]}"', fix)
