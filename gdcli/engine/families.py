"""Which program runs a problem, and how many of its trials are stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdcli.engine.initial import module_of
from gdcli.engine.lanes import Lanes, by_seed, in_line
from gdcli.problem import Analytic, Data, LinearModel, Network, Problem

if TYPE_CHECKING:
    from gdcli.engine.device import Device
    from gdcli.engine.program import Program
    from gdcli.grid import Trial

WIDTH = 8  # trials of one seed in a matrix product, always: it then takes the same path
FEATURES, IMAGES = 2, 4  # axes of their examples
PAIR = 2  # bmm takes another path for a stack of one


def needs_torch(problem: Problem) -> bool:
    """Return whether a problem runs on torch wherever it runs."""
    return not isinstance(problem, Analytic | LinearModel)


def precision(trial: Trial) -> str:
    """Return a trial's dtype: what was asked for, or what suits the problem."""
    return trial.training.dtype or trial.problem.default_dtype


def batch_limit(trial: Trial) -> int:
    """Return how many trials of a cohort are trained together, at most."""
    if not needs_torch(trial.problem):
        return 256
    return 16 if trial.method == "gd" else 64


def program_for(trials: Sequence[Trial], data: Data, device: Device, width: int = WIDTH) -> Program:
    """Return the program of some trials of one cohort; `width` of a seed share a product."""
    problem = trials[0].problem
    if isinstance(problem, Analytic):
        from gdcli.engine.programs.analytic import AnalyticProgram

        turn = trials[0].optimizer.linear
        return AnalyticProgram(problem, data, by_seed(trials, width), device, turn=turn)
    if isinstance(problem, LinearModel):
        from gdcli.engine.programs.least_squares import LeastSquaresProgram
        from gdcli.engine.programs.linear_model import LinearModelProgram

        fits = LeastSquaresProgram.fits(problem, data, device)
        kind = LeastSquaresProgram if fits else LinearModelProgram
        return kind(problem, data, by_seed(trials, width), device)
    lanes = in_line(trials, PAIR)
    if isinstance(problem, Network):
        return _network(problem, data, lanes, device)
    from gdcli.engine.programs.autograd import AutogradProgram

    return AutogradProgram(problem, data, lanes, device)


def _network(problem: Network, data: Data, lanes: Lanes, device: Device) -> Program:
    from gdcli.engine.stacked import stacked

    module = module_of(problem, data)
    # The stacked layers know features and images; on a sequence nn.Linear means another thing.
    if data.train["x"].ndim in (FEATURES, IMAGES) and stacked(module) is not None:
        from gdcli.engine.programs.network import NetworkProgram

        return NetworkProgram(problem, data, lanes, device, module)
    from gdcli.engine.programs.autograd import ModuleProgram

    return ModuleProgram(problem, data, lanes, device, module)
