"""The experiment that a run's spec.json says in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from gdcli.catalog.user_code import Stranger
from gdcli.door import fits
from gdcli.errors import UserError
from gdcli.experiment.experiment import Experiment, Given, read
from gdcli.runs.code import changed_code
from gdcli.runs.spec import AGAIN


class Problem(TypedDict):
    """A problem's name, beside its options."""

    name: str


class Grid(TypedDict):
    """The axes, of which those in step are read here."""

    zip: NotRequired[list[str]]


class Settings(TypedDict):
    """An experiment in words."""

    problem: Problem
    grid: Grid
    vary: dict[str, Any]


def experiment_of(spec: Mapping[str, Any], where: str, *, trust: bool) -> Experiment:
    """Return the experiment of a spec; raises UserError, naming `where`, if it says none.

    Code of the user's own is not run for it unless `trust` is, and the file is what it was.
    """
    tables = spec["settings"]
    if not fits(tables, Settings):
        raise UserError(where, "it says no experiment", AGAIN)
    problem, grid, vary = dict(tables["problem"]), dict(tables["grid"]), dict(tables["vary"])
    name, zips = problem.pop("name"), tuple(grid.pop("zip", ()))
    stranger = Stranger(where, spec.get("code", {}), trust)
    given = Given(name, problem, grid, vary, zips, lambda key: f"{where}: {key}", stranger)
    experiment = read(given)
    if experiment.hash != spec.get("experiment"):
        raise UserError(where, "its settings give other trials than those that it is for", AGAIN)
    if changed := changed_code(experiment, spec):
        raise UserError(where, changed, AGAIN)
    return experiment
