"""What theory needs of an experiment's problems, as manifest.json keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gdcli.axis import text
from gdcli.engine.curvature import curvature_of
from gdcli.engine.examples import examples_of
from gdcli.engine.gradient_noise import noise_of
from gdcli.engine.least_loss import least_loss_of
from gdcli.grid import setting
from gdcli.problem import Network
from gdcli.runs.checksums import problem_key

if TYPE_CHECKING:
    from gdcli.experiment import Experiment
    from gdcli.grid import Trial


def theory_of(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the facts of every problem of an experiment, told by the options that vary."""
    trials = {cohort.trials[0].problem: cohort.trials[0] for cohort in experiment.grid.cohorts}
    rounds = any(getattr(problem, "quantize", "none") != "none" for problem in trials)
    return [
        _facts(trial, list(_options(experiment))) | (_quantized(trial) if rounds else {})
        for trial in trials.values()
    ]


def _quantized(trial: Trial) -> dict[str, Any]:
    """Return what is rounded of a network, and its bytes."""
    if not isinstance(trial.problem, Network):
        return {}
    from gdcli.engine.quantized_size import quantized_of

    return {"quantized": quantized_of(trial.problem, examples_of(trial))._asdict()}


def _options(experiment: Experiment) -> Iterator[str]:
    """Yield the varied settings that are the problem's."""
    of_all_rules = ("weight_decay", "clip_norm")
    yield from (n for n in experiment.varied if "." not in n and n not in of_all_rules)


def _facts(trial: Trial, names: list[str]) -> dict[str, Any]:
    data = examples_of(trial)
    curvature, noise = curvature_of(trial.problem, data), noise_of(trial.problem, data)
    return {
        "problem": problem_key(trial.problem),
        "options": {name.replace("-", "_"): _cell(trial, name) for name in names},
        "examples": data.examples,
        "minimum": least_loss_of(trial),
        "curvature": curvature._asdict() if curvature else None,
        "noise": noise._asdict() if noise else None,
    }


def _cell(trial: Trial, name: str) -> str:
    """Return a setting as the cells of the tables have it."""
    return "" if (value := setting(trial, name)) is None else text(value)
