"""Whether a method of the user's own can be mapped over trials: it is tried on a small network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from gdcli.engine.batch import loop_for
from gdcli.engine.plan import plan_of
from gdcli.engine.train import Hooks
from gdcli.experiment.grid import Training, Trial
from gdcli.fields import said
from gdcli.problem import Data, Network
from gdcli.schedules.constant import Constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gdcli.engine.programs.program import Program
    from gdcli.method import Method
    from gdcli.problem import Params

STEPS = 4
EXAMPLES = 8
CLOSE = 1e-6  # relative, after some steps in float64
RATES = (0.01, 1e-3, 1e30)  # the last trial diverges


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
    """Return what tells that a method cannot be mapped over trials; None: nothing does."""
    training = Training(steps=STEPS, record=str(STEPS), dtype="float64")
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
    data = trials[0].problem.load(np.random.default_rng(0))
    found: dict[str, Any] = {}

    def keep(program: Program, point: Params) -> None:
        found.update({name: array[0].copy() for name, array in program.by_trial(point).items()})

    loop = loop_for(trials, data, plan_of(trials[0], EXAMPLES), "cpu", Hooks(on_record=keep))
    with np.errstate(all="ignore"):
        loop.run(lambda _: None)
    return found
