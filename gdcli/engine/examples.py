"""The examples of a trial's problem."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gdcli.discovery import name_of
from gdcli.engine.streams import stream

if TYPE_CHECKING:
    from gdcli.grid import Trial
    from gdcli.problem import Data, Problem


def examples_of(trial: Trial) -> Data:
    """Return the examples: drawn, and split, from the data seed alone."""
    return load(trial.problem, trial.training.data_seed)


@lru_cache(maxsize=8)  # a grid over problem options has a data set each; they come in order
def load(problem: Problem, data_seed: int) -> Data:
    """Return the examples of a problem that this seed of the data makes."""
    with np.errstate(all="ignore"):  # extreme data are the user's; what they lead to is shown
        return problem.load(stream(name_of(problem), data_seed, "data"))
