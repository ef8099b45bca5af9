"""The experiment that a run's spec.json says in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gdcli.errors import UserError
from gdcli.experiment import Experiment, Given, read
from gdcli.runs.code import changed_code

FIX = "run the same experiment again with --overwrite"


def experiment_of(spec: Mapping[str, Any], where: str) -> Experiment:
    """Return the experiment of a spec; raises UserError, naming `where`, if it says none."""
    try:
        tables = spec["settings"]
        problem, grid = dict(tables["problem"]), dict(tables["grid"])
        name, zips, vary = problem.pop("name"), grid.pop("zip", ()), dict(tables["vary"])
    except (KeyError, TypeError, ValueError):
        raise UserError(where, "it says no experiment", FIX) from None
    experiment = read(Given(name, problem, grid, vary, tuple(zips), lambda key: f"{where}: {key}"))
    if experiment.hash != spec.get("experiment"):
        raise UserError(where, "its settings give other trials than those that it is for", FIX)
    if changed := changed_code(experiment, spec):
        raise UserError(where, changed, FIX)
    return experiment
