"""Small grids that laws are tried on, trained in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gdcli.engine.batch import batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.grid import Axes, Grid, Trial, cohorts_of
from gdcli.laws.law import require
from gdcli.problem import Problem
from gdcli.training import Training

Curve = dict[str, np.ndarray]
FEW = Training(steps=5, record="step")


def trials_of(
    problem: type[Problem], options: Mapping[str, Any], training: Training = FEW, **axes: Any
) -> tuple[Trial, ...]:
    """Return the trials of a grid on a problem with some options."""
    return Grid(problem, options, Axes(**axes), {}, (), training).trials


def train(trials: tuple[Trial, ...], engine: str = "auto") -> dict[str, Curve]:
    """Return the curves of trials, by their ids."""
    found = {}
    for batch in batches_of(cohorts_of(trials), engine):
        _, curves = train_batch(batch, examples_of(batch.trials[0]), "cpu", lambda _: None)
        for i, trial in enumerate(batch.trials):
            length = int(curves.length[i])
            found[trial.id] = {name: v[:length, i] for name, v in curves.values.items()}
    return found


def alone_as_together(trials: tuple[Trial, ...], chosen: Trial) -> str:
    """Require the same bits of a trial alone as in a grid, in which another one diverges."""
    neighbour = replace(chosen, lr=1e30)
    together = train((*trials, neighbour))[chosen.id]
    for name, values in train((chosen,))[chosen.id].items():
        same = values.tobytes() == together[name].tobytes()
        require(same, f"{name} of {chosen.method} is another one in a grid than alone")
    return f"{chosen.method}: the same bits among {len(trials) + 1} trials"
