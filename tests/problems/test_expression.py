"""A formula as a problem: what `gdcli step` does, as a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gdcli.errors import UserError, UserErrors
from gdcli.experiment.toml import loads
from gdcli.formula import FUNCTIONS, parse
from gdcli.problems.expression import Expression
from gdcli.studies.step.descent import descend
from tests.grids import only, train

FORMULAS = {
    **{f"{name}(x) * y": (0.7, 2.0) for name, operands in FUNCTIONS.items() if operands == 1},
    **{f"{name}(x, y) + x": (0.7, 2.0) for name, operands in FUNCTIONS.items() if operands == 2},
    "x ** y - 3 / x + pi": (0.7, 2.0),
    "-x": (0.7,),
    "(x - 1)**2 + 2**0.5": (-3.0,),
}


@pytest.mark.parametrize(("formula", "start"), FORMULAS.items())
def test_a_trial_takes_the_steps_of_gdcli_step(formula: str, start: tuple[float, ...]) -> None:
    found = only(train("expression", {"formula": formula, "start": start}, lr=0.01, steps="5"))
    graph = parse(formula)
    steps = descend(graph, dict(zip(graph.variables, start, strict=True)), 0.01, 5)
    for name in graph.variables:
        expected = [point[name] for point in steps.points]
        np.testing.assert_allclose(found.values[f"at_{name}"], expected, rtol=1e-14)
    losses = [*(step.loss for step in steps.steps), steps.end]
    np.testing.assert_allclose(found.losses, losses, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("formula", "start"), FORMULAS.items())
def test_torch_gets_what_numpy_gets(formula: str, start: tuple[float, ...], dtype: str) -> None:
    problem = Expression(formula=formula, start=start)
    point = np.array(start, dtype)[:, None] * np.array([1.0, 1.5, 2.0], dtype)
    tensor = torch.tensor(point, requires_grad=True)
    value, slopes = problem.value(tensor, {}), problem.gradient(tensor.detach(), {})
    assert (str(value.dtype), slopes.shape) == (f"torch.{dtype}", point.shape)
    assert problem.value(point, {}).dtype == problem.gradient(point, {}).dtype == dtype
    close = {"float32": 1e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(problem.value(point, {}), value.detach(), rtol=close)
    np.testing.assert_allclose(problem.gradient(point, {}), slopes, rtol=close)
    (expected,) = torch.autograd.grad(value.sum(), tensor)
    torch.testing.assert_close(slopes, expected, rtol=10 * close, atol=close)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"formula": "x +"}, "--formula: 'x +' is not a formula; write it as in (w - 2)**2 + 3*v"),
        (
            {"formula": "eval('x')"},
            "--formula: \"eval('x')\" at column 1: there is no function eval",
        ),
        ({"formula": "x*y"}, "--start: 1 number for the weights 'x, y'; give 2, separated by"),
        ({"start": (1.0, 2.0)}, "--start: 2 numbers for the weights 'w'; give 1"),
        ({"start": ()}, "--start: 0 numbers for the weights 'w'"),
    ],
)
def test_a_mistake_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as caught:
        Expression(**options)  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)


def test_a_mistake_in_a_file_has_its_line() -> None:
    text = '[problem]\nname = "expression"\nformula = "w ^ 2"\n'
    with pytest.raises((UserError, UserErrors), match=r"odd.toml:3: formula: 'w \^ 2' at column 1"):
        loads(text, Path("odd.toml"))


def test_formulas_are_an_axis_each_with_its_weights() -> None:
    formulas = ["w**2", "max(u, 1)"]
    trials = train("expression", vary={"formula": formulas}, lr=0.1, steps="2").values()
    for trial, name in zip(trials, ("at_w", "at_u"), strict=True):
        assert np.isfinite(trial.values[name]).all()
