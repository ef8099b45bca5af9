"""Grids trained in memory, for tests that look at curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcli.catalog.catalog import PROBLEMS
from gdcli.engine.batch import TrialBatch, batches_of, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import check_trial
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment, Given, read
from gdcli.experiment.grid import Trial

# The problems that train with what is always there; tests/yolo has the laws for the other one.
TRAINABLE = [name for name in PROBLEMS.names() if not PROBLEMS.find(name, "problem").packages]


@dataclass(frozen=True)
class Trained:
    """One trial's curve: recorded steps, columns of their length, and how it ended."""

    trial: Trial
    steps: list[int]
    values: dict[str, np.ndarray]
    ended: int
    seen: Sequence[int] = ()  # examples asked for before each point; empty where the plan tells

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
    device, engine = grid.pop("device", "cpu"), grid.pop("engine", "auto")
    return train_experiment(experiment(problem, options, **grid), device, engine)


def train_experiment(
    given: Experiment, device: str = "cpu", engine: str = "auto"
) -> dict[str, Trained]:
    """Train an experiment's trials on a resolved device."""
    return train_batches(batches_of(given.grid.cohorts, engine), device)


def train_batches(batches: Sequence[TrialBatch], device: str = "cpu") -> dict[str, Trained]:
    """Train batches on a resolved device."""
    trained = {}
    for batch in batches:
        data = examples_of(batch.trials[0])
        _, curves = train_batch(batch, data, device, lambda _: None)
        for i, trial in enumerate(batch.trials):
            n = int(curves.length[i])
            values = {name: v[:n, i] for name, v in curves.values.items()}
            seen = [] if curves.seen is None else curves.seen[:n, i].tolist()
            trained[trial.id] = Trained(trial, curves.steps[:n], values, int(curves.ended[i]), seen)
    return trained


def assert_agree(found: dict[str, Trained], expected: dict[str, Trained]) -> None:
    """Assert that two ways to compute the same trials agree, to rounding, and end them alike."""
    assert found.keys() == expected.keys()
    for key, run in expected.items():
        other = found[key]
        assert (other.steps, other.ended) == (run.steps, run.ended), run.trial
        assert other.values.keys() == run.values.keys()
        for name, values in run.values.items():
            _assert_close(other.values[name], values, name)


def _assert_close(found: np.ndarray, values: np.ndarray, name: str) -> None:
    """Compare finite values: losses most closely, as rounding weighs more in what is smaller."""
    assert found.dtype == values.dtype
    close = {"float64": 1e-10, "float32": 1e-4}[str(values.dtype)]
    close *= 1 if name.endswith("loss") else 100
    finite = np.isfinite(values)
    assert (np.isfinite(found) == finite)[:-1].all()  # a trial may diverge at its last point
    finite &= np.isfinite(found)
    scale = np.maximum(abs(values[finite]), 1e-6 * abs(values[0]))
    assert (abs(found[finite] - values[finite]) <= close * scale).all(), name


def takes(problem: str, optimizer: str, options: dict[str, Any] | None = None) -> bool:
    """Return whether a problem can be trained with an optimizer."""
    try:
        check_trial(experiment(problem, options, optimizer=optimizer).grid.trials[0])
    except UserError:
        return False
    return True


def only(trained: dict[str, Trained]) -> Trained:
    """Return the one trial of a grid of one."""
    (one,) = trained.values()
    return one
