"""Rules of one's own that cannot be stacked are trained one at a time, with the same numbers."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import starting_point
from tests.grids import experiment
from tests.own_code import RULE, write

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

NORMED = '''"""Steps in proportion to the norm of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from gdcli.optimizer import Optimizer, State
from gdcli.problem import Array
{imports}

@dataclass(frozen=True)
class Normed(Optimizer):
    """ratio = trust * |param| / |grad|, 1 where one of them is 0; param -= lr * ratio * grad."""

    trust: Annotated[float, "share of the norm"] = 0.02
{fields}
    def init(self, param: Array) -> State:
        return {{"velocity": 0.0 * param}}

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        size, slope = {norm}(param), {norm}(grad)
        ratio = self.trust * size / slope if size > 0 and slope > 0 else 1.0
        velocity = 0.9 * state["velocity"] + ratio * grad
        return velocity, {{"velocity": velocity}}
'''
IN_NUMPY = NORMED.format(imports="import numpy as np\n", fields="", norm="np.linalg.norm")
IN_TORCH = NORMED.format(
    imports="import torch\n", fields="\n    needs_torch = True\n", norm="torch.linalg.vector_norm"
)
BRANCHING = '''"""Shorter steps where the loss is high."""

from __future__ import annotations

from dataclasses import dataclass

from gdcli.method import Method


@dataclass(frozen=True)
class Branching(Method):
    """A branch on a value: vmap cannot map it."""

    def direction(self, params, state, ask, lr, step):
        loss, gradient = ask(params)
        share = 0.25 if loss > 5000 else 1.0
        return {n: share * g for n, g in gradient.items()}, state
'''
STEPS = 8
RUN = (
    *("run", "linear-regression", "--dataset", "diabetes", "--seed", "1"),
    *("--steps", str(STEPS), "--record", "step", "--format", "csv"),
)


def curves(shell: Shell, file: str, rates: str) -> tuple[dict[float, str], list[str]]:
    """Return the losses of each rate as they are written, and what is said on the way."""
    name = f"{Path(file).stem}-{rates.replace(',', '-')}"
    assert shell(*RUN, "--optimizer", f"./{file}", "--lr", rates, "--name", name) == 0, shell.err
    rows = csv.DictReader(io.StringIO(Path(f"results/{name}/curves.csv").read_text("utf-8")))
    found: dict[float, str] = {}
    for row in rows:
        rate = float(row["lr"])
        found[rate] = f"{found.get(rate, '')} {row['train_loss']} {row['grad_norm']}"
    return found, shell.errors


def looped(step: Any, rate: float) -> list[float]:
    """Return the losses of a plain loop in PyTorch over all parameters, each with `step`."""
    trial = experiment("linear-regression", {"dataset": "diabetes"}, seed="1").grid.trials[0]
    data = examples_of(trial)
    train = {name: torch.from_numpy(np.asarray(data.train[name])) for name in ("x", "y")}
    first = starting_point(trial.problem, data, 1)
    params = {n: torch.from_numpy(np.array(a)).requires_grad_() for n, a in first.items()}
    held: dict[str, dict[str, Any]] = {name: {} for name in params}
    losses = []
    for _ in range(STEPS + 1):
        error = train["x"] @ params["weight"] + params["bias"] - train["y"]
        loss = 0.5 * error.square().mean()
        losses.append(float(loss.detach()))
        slopes = torch.autograd.grad(loss, list(params.values()))
        with torch.no_grad():
            for (name, param), slope in zip(params.items(), slopes, strict=True):
                param.sub_(rate * step(losses[-1], param, slope, held[name]))
    return losses


def normed(_loss: float, param: torch.Tensor, slope: torch.Tensor, own: dict[str, Any]) -> Any:
    """Return the direction of the rule above, for one parameter."""
    size, height = float(param.norm()), float(slope.norm())
    ratio = 0.02 * size / height if size > 0 and height > 0 else 1.0
    own["velocity"] = 0.9 * own.get("velocity", 0.0) + ratio * slope
    return own["velocity"]


@pytest.mark.parametrize("text", [IN_NUMPY, IN_TORCH], ids=["numpy", "torch"])
def test_a_rule_that_mixes_coordinates_has_the_numbers_of_a_plain_loop(
    shell: Shell, text: str
) -> None:
    write(shell.folder, "normed.py", text)
    together, said = curves(shell, "normed.py", "0.1,0.2,0.3")
    (line,) = [line for line in said if "cannot be stacked" in line]
    assert line.startswith("normed cannot be stacked (")
    assert line.endswith("): its trials run one at a time")
    alone, _ = curves(shell, "normed.py", "0.2")
    assert alone[0.2] == together[0.2]
    losses = [float(loss) for loss in alone[0.2].split()[::2]]
    assert losses == pytest.approx(looped(normed, 0.2), rel=1e-9)
    assert losses[-1] < losses[0]


def test_a_method_that_looks_at_a_value_has_the_numbers_of_a_plain_loop(shell: Shell) -> None:
    write(shell.folder, "branching.py", BRANCHING)
    together, said = curves(shell, "branching.py", "0.1,0.5")
    (line,) = [line for line in said if "cannot be stacked" in line]
    assert line.startswith("branching cannot be stacked (torch.func.vmap cannot map it: ")
    assert line.endswith("): its trials run one at a time")
    alone, _ = curves(shell, "branching.py", "0.5")
    assert alone[0.5] == together[0.5]
    expected = looped(lambda loss, _, slope, __: (0.25 if loss > 5000 else 1) * slope, 0.5)
    assert expected[0] > 5000 > expected[-1]  # both branches are taken
    losses = [float(loss) for loss in alone[0.5].split()[::2]]
    assert losses == pytest.approx(expected, rel=1e-9)


def test_a_rule_that_can_be_stacked_is(shell: Shell) -> None:
    write(shell.folder, "my_rule.py", RULE)
    _, said = curves(shell, "my_rule.py", "0.1,0.2")
    assert not [line for line in said if "stacked" in line]
