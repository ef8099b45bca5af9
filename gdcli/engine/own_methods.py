"""Whether a method of the user's own can be mapped over trials: it is tried on a small network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn

from gdcli.engine.device import Torch
from gdcli.engine.initial import module_of, network_start
from gdcli.engine.layout import one_axis
from gdcli.engine.methods import MethodSteps, StackedMethod
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.network import NetworkProgram
from gdcli.engine.recorder import TrainingState
from gdcli.engine.trial_ask import TrialAsk
from gdcli.experiment.grid import Trial
from gdcli.experiment.training import Training
from gdcli.fields import said
from gdcli.problem import Data, Network
from gdcli.schedules.constant import Constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.engine.trial_ask import Slopes
    from gdcli.method import Kind, Method
    from gdcli.problem import Params

STEPS = 4
EXAMPLES = 8
CLOSE = 1e-6  # relative, after some steps in float64
RATES = (0.01, 1e-3, 1e30)  # the last trial diverges
KINDS: dict[str, Kind] = {
    "0.weight": "matrix",
    "0.bias": "bias",
    "2.weight": "matrix",
    "2.bias": "bias",
}


@dataclass(frozen=True)
class Probe(Network):
    """A network with two matrices and two biases, on a few fixed examples."""

    criterion = "mse"

    def load(self, rng: np.random.Generator) -> Data:
        """Return the examples."""
        rng = np.random.default_rng(0)
        x, y = (rng.standard_normal((EXAMPLES, width)) for width in (5, 3))
        return Data({"x": x, "y": y})

    def module(self, data: Data) -> nn.Module:
        """Return the layers."""
        return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def why_not_mapped(rule: Method) -> str | None:
    """Return what tells that a method cannot be mapped over trials; None: nothing does.

    It is tried on a network, which a rule of linear models cannot train.
    """
    if rule.linear_models:
        return None
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


def way(rule: Method) -> list[np.ndarray]:
    """Return the points of some steps of a method by itself, on the loss of a small network."""
    problem = Probe()
    data = problem.load(np.random.default_rng(0))
    start = network_start(problem, data, np.random.default_rng(0))
    params = {name: torch.from_numpy(array) for name, array in start.items()}
    x, y = (torch.from_numpy(data.train[name]) for name in ("x", "y"))
    module = module_of(problem, data)

    def outputs(params: Params) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(module, params, (x,))
        return found

    def cost(found: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.mse_loss(found, y)

    def slopes(params: Params) -> Slopes:
        grads, loss = torch.func.grad_and_value(lambda p: cost(outputs(p)))(params)
        return loss, grads

    ask = TrialAsk(
        KINDS,
        STEPS,
        len(x),
        slopes,
        slopes,
        lambda params: cost(outputs(params)),
        size=len(x),
        key=("tried", 0),
        outputs=outputs,
        cost=cost,
    )
    state, found = rule.init(params, ask), []
    lr = torch.tensor(RATES[0], dtype=torch.float64)
    for step in range(1, STEPS + 1):
        ask.at = step - 1
        params, state = rule.step(params, state, ask, lr, step)
        found.append(np.concatenate([param.detach().numpy().ravel() for param in params.values()]))
    return found


def _ends(trials: Sequence[Trial]) -> dict[str, np.ndarray]:
    """Return the point that the first trial hands out after some steps."""
    problem, device = cast("Network", trials[0].problem), Torch("float64")
    data = problem.load(np.random.default_rng(0))
    program = NetworkProgram(problem, data, one_axis(trials, 2), device, module_of(problem, data))
    params = program.start([network_start(problem, data, np.random.default_rng(0))])
    stack = StackedMethod(program, trials, plan_of(trials[0], EXAMPLES), KINDS)
    state = TrainingState(0, params, stack.init(params), program.buffers)
    state = MethodSteps(program, stack, None).advance(state, STEPS)
    point = stack.point(state.params, state.optimizer)
    return {name: array[0] for name, array in program.by_trial(point).items()}
