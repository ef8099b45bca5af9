"""Whether a method of the user's own can be mapped over trials: it is tried on a small network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from gdcli.engine.device import Torch
from gdcli.engine.layout import one_axis
from gdcli.engine.methods import MethodSteps, StackedMethod
from gdcli.engine.programs.autograd import AutogradProgram
from gdcli.engine.programs.vmap import Together
from gdcli.engine.recorder import TrainingState
from gdcli.experiment.grid import Training, Trial
from gdcli.fields import said
from gdcli.problem import Batch, Data, Params, Problem
from gdcli.schedules.constant import Constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.method import Kind, Method

STEPS = 4
CLOSE = 1e-6  # relative, after some steps in float64
RATES = (0.01, 1e-3, 1e30)  # the last trial diverges


KINDS: dict[str, Kind] = {"first": "matrix", "bias1": "bias", "second": "matrix", "bias2": "bias"}


@dataclass(frozen=True)
class Probe(Problem):
    """A network with two matrices and two biases, on a few fixed examples."""

    def load(self, rng: np.random.Generator) -> Data:
        """Return the examples."""
        rng = np.random.default_rng(0)
        return Data({"x": rng.standard_normal((8, 5)), "y": rng.standard_normal((8, 3))})

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        """Return small weights."""
        shapes = {"first": (5, 4), "bias1": (4,), "second": (4, 3), "bias2": (3,)}
        return {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}

    def loss(self, params: Params, batch: Batch) -> Any:
        """Return the mean squared error."""
        hidden = torch.tanh(batch["x"] @ params["first"] + params["bias1"])
        return (hidden @ params["second"] + params["bias2"] - batch["y"]).square().mean()


def why_not_mapped(rule: Method) -> str | None:
    """Return what tells that a method cannot be mapped over trials; None: nothing does."""
    training = Training(steps=STEPS, record="step", dtype="float64")
    trial = Trial(Probe(), "gd", None, rule, Constant(), RATES[0], 0, training)
    try:
        alone, among = (
            _ends([replace(trial, lr=lr) for lr in rates]) for rates in (RATES[:1], RATES)
        )
    except Exception as error:  # noqa: BLE001 -- the user's code may raise anything
        return f"torch.func.vmap cannot map it: {said(error)}"
    if all(np.allclose(alone[n], among[n], rtol=CLOSE, equal_nan=True) for n in alone):
        return None
    return "a trial goes another way beside others than by itself"


def _ends(trials: Sequence[Trial]) -> dict[str, np.ndarray]:
    """Return the point that the first trial hands out after some steps."""
    problem = cast("Probe", trials[0].problem)
    data = problem.load(np.random.default_rng(0))
    layout, device = one_axis(trials, 2), Torch("float64")
    program = AutogradProgram(problem, data, layout, device, Together())
    start = problem.init(np.random.default_rng(1), data)
    params = program.start([start])
    stack = StackedMethod(program, trials, STEPS, KINDS)
    state = TrainingState(0, params, stack.init(params), {})
    state = MethodSteps(program, stack, None).advance(state, STEPS)
    point = stack.point(state.params, state.optimizer)
    return {name: array[0] for name, array in program.by_trial(point).items()}
