"""What theory needs of an experiment's problems, as manifest.json keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from gdcli.csv_cell import harmless
from gdcli.engine.baseline import baseline_of
from gdcli.engine.curvature import curvature_of
from gdcli.engine.examples import examples_of
from gdcli.engine.least_loss import greatest_bound_of
from gdcli.engine.noise_floor import floors_of
from gdcli.engine.spread import spread_of
from gdcli.experiment.axis import text
from gdcli.experiment.grid import setting
from gdcli.problem import LinearModel, Network, StatefulNetwork
from gdcli.runs.checksums import problem_key

if TYPE_CHECKING:
    from gdcli.engine.curvature import Curvature
    from gdcli.experiment.experiment import Experiment
    from gdcli.experiment.grid import Trial
    from gdcli.problem import Problem

CRITERIA_FROM_0 = ("cross_entropy", "mse")  # no loss is below 0


def theory_of(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the facts of every problem of an experiment, told by the options that vary."""
    trials: dict[Problem, list[Trial]] = {}
    for trial in experiment.grid.trials:
        trials.setdefault(trial.problem, []).append(trial)
    rounds = any(getattr(problem, "quantize", "none") != "none" for problem in trials)
    names = list(_options(experiment))
    return [
        _facts(those, names) | (_quantized(those[0]) if rounds else {}) for those in trials.values()
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


def _facts(trials: Sequence[Trial], names: list[str]) -> dict[str, Any]:
    """Return the facts of the problem that some trials share."""
    trial, data = trials[0], examples_of(trials[0])
    problem, least = trial.problem, greatest_bound_of(trial)
    curvature = curvature_of(problem, data)
    facts = {
        "curvature": curvature,
        "baseline": baseline_of(problem, data),
        "spread": spread_of(problem, data),
    }
    return {
        "problem": problem_key(problem),
        "options": {name.replace("-", "_"): _cell(trial, name) for name in names},
        "examples": data.examples,
        "minimum": least.loss if least and least.attained else None,
        "infimum": least.loss if least and not least.attained else None,
        "floors": [_strict(floor._asdict()) for floor in floors_of(trials, data)],
        **{name: found._asdict() if found else None for name, found in facts.items()},
        **_kind(problem, curvature),
    }


def _kind(problem: Problem, curvature: Curvature | None) -> dict[str, Any]:
    """Return what the kind of a problem tells: None is what is not known."""
    network = isinstance(problem, Network | StatefulNetwork)
    quadratic = curvature is not None and curvature.exact and curvature.smallest >= 0
    convex = quadratic or (isinstance(problem, LinearModel) and problem.convex)
    known = isinstance(problem, Network) and problem.criterion in CRITERIA_FROM_0
    return {
        "network": network,
        "convex": True if convex else None,
        "bound": 0.0 if known else None,
        "scale": getattr(problem, "scale", None),
    }


def _strict(values: dict[str, float]) -> dict[str, float | None]:
    """Return numbers as strict JSON has them, None for infinite ones."""
    return {name: value if isfinite(value) else None for name, value in values.items()}


def _cell(trial: Trial, name: str) -> str:
    """Return a setting as the cells of the tables have it."""
    return "" if (value := setting(trial, name)) is None else harmless(text(value))
