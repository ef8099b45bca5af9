"""Grids trained in memory, for tests that look at curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcli.engine.batch import batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.experiment import Experiment, Given, read
from gdcli.grid import Trial


@dataclass(frozen=True)
class Trained:
    """One trial's curve: recorded steps, columns of their length, and how it ended."""

    trial: Trial
    steps: list[int]
    values: dict[str, np.ndarray]
    ended: int

    @property
    def losses(self) -> np.ndarray:
        """The training losses."""
        return self.values["train_loss"]


def experiment(problem: str, options: dict[str, Any] | None = None, **grid: Any) -> Experiment:
    """Return an experiment; `vary` and `zip` are taken apart from the axes."""
    vary = grid.pop("vary", {})
    zips = tuple(grid.pop("zip", ()))
    named = {name.replace("_", "-"): value for name, value in grid.items()}
    return read(Given(problem, options or {}, named, vary, zips, lambda name: f"--{name}"))


def train(problem: str, options: dict[str, Any] | None = None, **grid: Any) -> dict[str, Trained]:
    """Train a grid, on the CPU if no device is named; return its trials by id, in grid order."""
    device = grid.pop("device", "cpu")
    return train_experiment(experiment(problem, options, **grid), device)


def train_experiment(given: Experiment, device: str = "cpu") -> dict[str, Trained]:
    """Train an experiment's trials on a resolved device."""
    trained = {}
    for batch in batches_of(given.grid.cohorts):
        data = examples_of(batch.trials[0])
        _, curves = train_batch(batch, data, device, lambda _: None)
        for i, trial in enumerate(batch.trials):
            n = int(curves.length[i])
            values = {name: v[:n, i] for name, v in curves.values.items()}
            trained[trial.id] = Trained(trial, curves.steps[:n], values, int(curves.ended[i]))
    return trained


def only(trained: dict[str, Trained]) -> Trained:
    """Return the one trial of a grid of one."""
    (one,) = trained.values()
    return one
