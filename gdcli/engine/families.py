"""Which program runs a problem, and how many of its trials are stacked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.engine.layout import NARROWEST, STEPS_AT_ONCE, by_seed, in_line, width_for
from gdcli.engine.plan import plan_of
from gdcli.problem import Analytic, Data, LinearModel, Network, Problem, StatefulNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.engine.device import Device, Torch
    from gdcli.engine.layout import Pieces
    from gdcli.engine.programs.program import Program
    from gdcli.experiment.grid import Trial

OF_A_GPU = 2**32  # bytes of all trials that it computes at a time


def needs_torch(problem: Problem) -> bool:
    """Return whether a problem runs on torch wherever it runs."""
    return not isinstance(problem, Analytic | LinearModel)


def on_torch(trial: Trial) -> bool:
    """Return whether a trial runs on torch wherever it runs."""
    return needs_torch(trial.problem) or trial.optimizer.needs_torch


def alone(trial: Trial) -> bool:
    """Return whether a trial's optimizer is torch's own, which trains it by itself."""
    return isinstance(trial.optimizer, TorchOptimizer)


def precision(trial: Trial) -> str:
    """Return a trial's dtype: what was asked for, or what suits the problem."""
    return trial.training.dtype or trial.problem.default_dtype


def batch_limit(trial: Trial) -> int:
    """Return how many trials of a cohort are trained together, at most."""
    # Nothing is gained by company where trials run one by one; each is a unit for a worker.
    if alone(trial) or isinstance(trial.problem, StatefulNetwork):
        return 1
    if not needs_torch(trial.problem):
        return 256
    return 16 if trial.method == "gd" else 64


def program_for(
    trials: Sequence[Trial], data: Data, device: Device, width: int | None = None
) -> Program:
    """Return the program of some trials of one cohort.

    Linear models and functions in closed form have `width` trials of a seed side by side; None: as
    many as are fastest.
    """
    problem = trials[0].problem
    if isinstance(problem, Analytic):
        from gdcli.engine.programs.analytic import AnalyticProgram

        lanes, linear = by_seed(trials, width or NARROWEST), trials[0].optimizer.linear
        return AnalyticProgram(problem, data, lanes, device, rotate=linear)
    if isinstance(problem, LinearModel):
        return _linear(problem, trials, data, device, width)
    from gdcli.engine.programs.torch_programs import program_on_torch

    program = program_on_torch(
        problem, data, cast("Torch", device), partial(in_line, trials), trials[0].training.data_seed
    )
    program.pieces = pieces_for(trials[0], data, eager=device.eager)
    return program


def check_network(trial: Trial) -> None:
    """Raise UserError for a network whose outputs and targets do not fit its criterion."""
    if isinstance(trial.problem, Network):
        from gdcli.engine.criteria import check_criterion

        check_criterion(trial.problem, trial.training.data_seed)


def pieces_for(trial: Trial, data: Data, *, eager: bool = True, plain: bool = False) -> Pieces:
    """Return what a trial on torch computes at a time; `plain`: as the reference does."""
    from gdcli.engine.programs.footprint import pieces_of

    found = pieces_of(trial, data, precision(trial), plain=plain)
    return found if eager else found._replace(room=OF_A_GPU)


def _linear(
    problem: LinearModel, trials: Sequence[Trial], data: Data, device: Device, width: int | None
) -> Program:
    """Return the program of linear models, by the Hessian where it fits."""
    from gdcli.engine.programs.linear_model import LeastSquaresProgram, LinearModelProgram

    fits = LeastSquaresProgram.fits(problem, data, device)
    kind = LeastSquaresProgram if fits else LinearModelProgram
    if width is None:
        shapes = _multiplied(trials[0], data, by_hessian=fits)
        width = width_for(trials, device, data.train["y"].shape[1], shapes)
    return kind(problem, data, by_seed(trials, width), device)


def _multiplied(trial: Trial, data: Data, *, by_hessian: bool) -> set[tuple[int, int]]:
    """Return the shapes, (rows, columns), of what a step multiplies by linear models' weights.

    Those of the Hessian, of a batch's examples and their transpose, and of the inner products of
    the examples of several steps.
    """
    features = data.train["x"].shape[1] + 1
    shapes = {(features, features)} if by_hessian else set()
    if trial.method == "gd":
        return shapes
    size = plan_of(trial, data.examples).batch_size
    counts = {size, data.examples % size or size} if size > 1 else {1, STEPS_AT_ONCE}
    shapes |= {(count, features) for count in counts}
    shapes |= {(features, count) for count in counts}
    return shapes | {(STEPS_AT_ONCE, STEPS_AT_ONCE)}


def not_stacked(trial: Trial) -> str | None:
    """Return a line that tells why trials run one at a time; None: they do not."""
    why = why_not_stacked(trial.problem, trial.training.data_seed)
    name = name_of(trial.problem)
    return f"{name} cannot be stacked ({why}): its trials run one at a time" if why else None


def why_not_stacked(problem: Problem, data_seed: int) -> str | None:
    """Return why the trials of a problem are computed one by one; None: they are not."""
    if not needs_torch(problem):
        return None
    from gdcli.engine.programs.torch_programs import why_one_by_one

    return why_one_by_one(problem, data_seed)
