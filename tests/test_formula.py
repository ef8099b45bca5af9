"""Formulas are read through an allow-list, and differentiated as PyTorch does it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdcli.errors import UserError
from gdcli.formula import FUNCTIONS, LONGEST, MOST_PARTS, OPERATIONS, parse
from gdcli.studies.step.descent import descend, disagreement, explain, losses_at, torch_script

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    "__import__('os').system('touch broken')",
    "w.__class__.__mro__",
    "(lambda: w)()",
    "[w for w in (1, 2)]",
    "{w: 1}",
    "w if w else 1",
    "f'{w}'",
    "'w' * 10**9",
    "w[0]",
    "(w := 3)",
    "w + True",
    "w * 1j",
    "...",
    "None + w",
    "eval('w')",
    "open('broken', 'w')",
    "exp(*[w])",
    "exp(x=w)",
    "exp(w)(w)",
    "w; import os",
    "w = 2",
    "w @ w",
    "w // 2",
    "w % 2",
    "w << 99999",
    "~w",
    "not w",
    "w and w",
    "w < 2",
    "await w",
    "w ** 101",
    "w ** 1e9",
    "1e400 * w",
    "9" * 400 + " * w",
    "_w + 1",
    "__builtins__",
    "\uff57 ** 2",  # a full-width w, which Python would read as w
    "w\x00",
    "w + \x1b[31m2",
    "w\n+ 1",
    "",
    "   ",
    "2 + 2",
    "exp",
    "(" * 300 + "w" + ")" * 300,
    "w" + "+w" * LONGEST,
    "+".join(f"w*{number}" for number in range(MOST_PARTS)),
    "-" * 900 + "w",
    "lambda",
    "print(w)",
    "exp(w, w)",
    "max(w)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_arithmetic_is_refused_in_a_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^EXPRESSION: ") as caught:
        parse(text)
    (line,) = caught.value.lines
    assert "\n" not in line
    assert len(line) < 400
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("w^2", "'w^2' at column 1: ^ is not a power; use ** for powers"),
        ("1 + sine(w)", "'sine(w)' at column 5: there is no function sine; did you mean 'sin'?"),
        ("2w", "'2w' is not a formula at column 1; write it as in (w - 2)**2 + 3*v"),
        ("1_000*w", "'1_000' is not a plain number; write it as 1000 or 1e3"),
        ("w*.5_0", "'.5_0' is not a plain number; write it as 1000 or 1e3"),
        ("0x10*w", "'0x10' is not a plain number; write it as 1000 or 1e3"),
        ("w**2 + max(w)", "'max(w)' at column 8: max has 1 operands; give it 2"),
    ],
)
def test_a_mistake_is_told_with_its_fix(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert caught.value.lines == (f"EXPRESSION: {said}",)


def test_every_function_has_its_arithmetic() -> None:
    assert {*FUNCTIONS, "negative", "+", "-", "*", "/", "**"} == set(OPERATIONS)


def test_equal_parts_are_one_node() -> None:
    formula = parse("exp(w - 2) + (w - 2) * (w - 2)")
    assert len(formula.nodes) == 6  # w, 2, w - 2, exp, product, sum


def test_the_example_of_the_hiker() -> None:
    (step,) = descend(parse("(w - 2)**2"), {"w": 5.0}, 0.1, 1).steps
    assert (step.loss, step.gradient["w"], step.updated["w"]) == (9.0, 6.0, 4.4)
    assert math.isclose(step.move["w"], 0.6, rel_tol=1e-15)


FORMULAS = [
    "(w - 2)**2",
    "(w*x + b - 3)**2 / 2",
    "exp(-w) + log(x) * sqrt(x) - b / x",
    "sin(w) * cos(x) + tan(b) - tanh(w * b)",
    "sigmoid(w * x) + softplus(b - w) + relu(x - 1) + relu(w - 9)",
    "max(w, x)**2 + min(w, b, )**2 + abs(w - x) + max(0, b)",
    "w**x + 2**w + x**-2 + w**0.5 + (-b)**3",
    "w**2 + pi * x - -b + w**0 + 1e3 * (w / 7) ** 2",
    "max(w, w) + min(x, x) + (w - w)**2",
]


def _gradient_by_torch(text: str, point: dict[str, float]) -> tuple[float, dict[str, float]]:
    weights = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in point.items()
    }
    functions = {name: getattr(torch, name, None) for name in FUNCTIONS}
    functions |= {
        "softplus": torch.nn.functional.softplus,
        "max": lambda a, b: torch.maximum(torch.as_tensor(a), torch.as_tensor(b)),
        "min": lambda a, b: torch.minimum(torch.as_tensor(a), torch.as_tensor(b)),
        "pi": math.pi,
    }
    loss = eval(text, {**functions, **weights})  # noqa: S307 -- the formulas above
    slopes = torch.autograd.grad(loss, list(weights.values()))
    return loss.item(), dict(zip(weights, (slope.item() for slope in slopes), strict=True))


@pytest.mark.parametrize("text", FORMULAS)
def test_the_gradient_is_that_of_autograd(text: str) -> None:
    formula = parse(text)
    point = {name: {"w": 1.3, "x": 2.1, "b": -0.4}[name] for name in formula.variables}
    (step,) = descend(formula, point, 0.1, 1).steps
    loss, gradient = _gradient_by_torch(text, point)
    assert math.isclose(step.loss, loss, rel_tol=1e-14)
    for name, slope in gradient.items():
        assert math.isclose(step.gradient[name], slope, rel_tol=1e-13, abs_tol=1e-15)


@given(
    st.recursive(
        st.sampled_from(["w", "x", "2", "0.5", "pi"]),
        lambda part: st.one_of(
            st.builds("({} {} {})".format, part, st.sampled_from("+-*/"), part),
            st.builds("{}({})".format, st.sampled_from(["sin", "tanh", "exp", "sigmoid"]), part),
            st.builds("-{}".format, part),
        ),
        max_leaves=12,
    ),
    st.floats(-2, 2),
)
def test_any_formula_agrees_with_autograd(text: str, start: float) -> None:
    formula = parse(f"{text} + w*x")
    point = dict.fromkeys(formula.variables, start)
    (step,) = descend(formula, point, 0.1, 1).steps
    try:
        loss, gradient = _gradient_by_torch(_on_tensors(f"{text} + w*x"), point)
    except (ZeroDivisionError, OverflowError):  # Python's own numbers raise
        return
    if not (math.isfinite(loss) and all(map(math.isfinite, gradient.values()))):
        return
    assert math.isclose(step.loss, loss, rel_tol=1e-10, abs_tol=1e-10)
    for name, slope in gradient.items():
        assert math.isclose(step.gradient[name], slope, rel_tol=1e-9, abs_tol=1e-9)


def _on_tensors(text: str) -> str:
    """Make the numbers tensors, as PyTorch's functions want them."""
    for number in ("0.5", "2", "pi"):
        text = text.replace(number, f"({number}+0*w)")
    return text


@pytest.mark.parametrize("text", FORMULAS)
def test_the_chain_rule_agrees_with_differences_at_every_node(text: str) -> None:
    formula = parse(text)
    links = explain(formula, dict.fromkeys(formula.variables, 1.7))
    kinked = "max(w, w)" in text or "max(w, x)" in text  # equal operands
    assert disagreement(links[-1:]) < 1e-9
    assert kinked or disagreement(links) < 1e-7


@pytest.mark.parametrize(
    ("text", "start", "lr", "steps"),
    [
        ("(w - 2)**2", {"w": 5.0}, 0.1, 3),
        ("max(w, 0) + min(2, x) + softplus(w * x) + 2**w", {"w": 0.5, "x": -1.0}, 0.01, 4),
        ("(torch - 1)**2 + loss**2 + step**2", {"torch": 3.0, "loss": 1.0, "step": 2.0}, 0.2, 3),
        ("exp(2) * w + 10**30 * w**2 / 10**30 + 9**9 * pi", {"w": 1.0}, 0.1, 2),
    ],
)
def test_the_script_does_the_same(
    text: str,
    start: dict[str, float],
    lr: float,
    steps: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    formula = parse(text)
    script = torch_script(formula, {name: start[name] for name in formula.variables}, lr, steps)
    default = torch.get_default_dtype()
    try:
        exec(compile(script, "script", "exec"), {})  # noqa: S102 -- what the user would do
    finally:
        torch.set_default_dtype(default)
    printed = [list(map(float, line.split())) for line in capsys.readouterr().out.splitlines()]
    taken = descend(formula, {name: start[name] for name in formula.variables}, lr, steps).steps
    for numbers, step in zip(printed, taken, strict=True):
        ours = [step.number, step.loss]
        ours += [x for name in formula.variables for x in (step.gradient[name], step.updated[name])]
        np.testing.assert_allclose(numbers, ours, rtol=1e-13)


def test_a_descent_ends_where_it_is_not_finite() -> None:
    descent = descend(parse("w**4"), {"w": 10.0}, 1.0, 100)
    assert 1 < len(descent.steps) < 10
    assert [step.finite for step in descent.steps] == [True] * (len(descent.steps) - 1) + [False]


def test_losses_of_many_weights_at_once() -> None:
    found = losses_at(parse("w**2 + 1"), {"w": np.array([0.0, 2.0])})
    assert np.asarray(found).tolist() == [1.0, 5.0]
