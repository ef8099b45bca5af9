"""The examples of a trial's problem."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gdcli.datasets.notes import collected
from gdcli.discovery import name_of
from gdcli.engine.streams import stream

if TYPE_CHECKING:
    from gdcli.grid import Trial
    from gdcli.problem import Data, Problem


def examples_of(trial: Trial) -> Data:
    """Return the examples: drawn, and split, from the data seed alone."""
    return load(trial.problem, trial.training.data_seed)


def notes_of(trials: Iterable[Trial]) -> list[str]:
    """Return what there is to say about the examples of trials, each line once."""
    asked = {(trial.problem, trial.training.data_seed): None for trial in trials}
    for one in asked:
        if one not in _SAID:
            load(*one)
    return list(dict.fromkeys(line for one in asked for line in _SAID[one]))


_SAID: dict[tuple[Problem, int], tuple[str, ...]] = {}  # of examples that were read


@lru_cache(maxsize=8)  # a grid over problem options has a data set each; they come in order
def load(problem: Problem, data_seed: int) -> Data:
    """Return the examples of a problem that this seed of the data makes."""
    # Extreme data are the user's; what they lead to is shown.
    with np.errstate(all="ignore"), collected() as notes:
        data = problem.load(stream(name_of(problem), data_seed, "data"))
    _SAID[problem, data_seed] = tuple(notes)
    return data
