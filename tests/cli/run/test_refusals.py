"""What a rule cannot train is one line before anything starts, whatever command trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gdcli.engine.refusals import check_rule
from gdcli.errors import UserError
from gdcli.method import Method
from gdcli.problem import StatefulNetwork

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

MATRICES = '''"""Descent of matrices alone."""

from dataclasses import dataclass

from gdcli.method import Method


@dataclass(frozen=True)
class Matrices(Method):
    """param -= lr * grad."""

    kinds = frozenset({"matrix", "convolution"})
    default_lr = 0.02

    def direction(self, params, state, ask, lr, step):
        return self.gradient(params, ask)[1], state
'''
CURVED = '''"""Descent with products of the criterion's curvature."""

from dataclasses import dataclass

from gdcli.method import Method


@dataclass(frozen=True)
class Curved(Method):
    """param -= lr * (grad + G grad)."""

    needs_outputs = True
    default_lr = 0.02

    def direction(self, params, state, ask, lr, step):
        _, grad = self.gradient(params, ask)
        bent = ask.gauss_newton_product(params, grad)
        return {n: g + bent[n] for n, g in grad.items()}, state
'''
FILES = {"matrices.py": MATRICES, "curved.py": CURVED}
LINEAR = "is for linear models, and {} is not one; use adamw or another optimizer that takes"
REFUSED = [
    ("mlp", "svrg", "svrg " + LINEAR.format("mlp")),
    ("mlp", "adam,saga", "saga " + LINEAR.format("mlp")),
    ("quadratic", "saga+ema", "saga " + LINEAR.format("quadratic")),
    ("matrix-factorization", "finito", "finito " + LINEAR.format("matrix-factorization")),
    ("rosenbrock", "katyusha", "katyusha " + LINEAR.format("rosenbrock")),
    (
        "logistic-regression",
        "saga+clip-value",
        (
            "clip-value changes the gradient of a batch, and saga makes its own, "
            "example by example; leave clip-value out"
        ),
    ),
    (
        "quadratic",
        "matrices.py",
        "matrices moves matrices and convolutions, and quadratic has none; use adamw",
    ),
    (
        "linear-regression",
        "matrices.py+ema",
        "matrices moves matrices and convolutions, and linear-regression has none; use adamw",
    ),
    (
        "quadratic",
        "matrices.py+adamw+ema",
        "matrices moves matrices and convolutions, and quadratic has none; write adamw+ema",
    ),
    (
        "softmax-regression",
        "matrices.py",
        (
            "matrices moves matrices and convolutions, which bias of softmax-regression is not; "
            "write ./matrices.py+adamw"
        ),
    ),
    (
        "softmax-regression",
        "matrices.py+ema",
        "which bias of softmax-regression is not; write ./matrices.py+adamw+ema",
    ),
    ("mlp", "matrices.py", "of mlp are not; write ./matrices.py+adamw"),
    (
        "quadratic",
        "curved.py",
        "curved needs a linear model, or a network with a criterion, and quadratic is neither; use",
    ),
    ("matrix-factorization", "curved.py+ema", "and matrix-factorization is neither; use"),
]


@pytest.fixture
def own(shell: Shell) -> Shell:
    """Return a shell in a folder with rules of one's own."""
    for name, text in FILES.items():
        shell.write(name, text)
    return shell


@pytest.mark.parametrize(("problem", "optimizer", "said"), REFUSED)
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--engine", "reference")])
def test_a_rule_that_cannot_train_a_problem_is_one_line(
    own: Shell, problem: str, optimizer: str, said: str, more: tuple[str, ...]
) -> None:
    (line,) = own.refuses("run", problem, "--optimizer", optimizer, "--steps", "2", *more)
    assert line.startswith("--optimizer: ")
    assert said in line


@pytest.mark.parametrize("command", ["lr-range", "landscape", "explore"])
@pytest.mark.parametrize(
    ("optimizer", "said"),
    [("sag", "sag is for linear"), ("matrices.py", "write ./matrices.py+adamw")],
)
def test_studies_refuse_it_too(own: Shell, command: str, optimizer: str, said: str) -> None:
    (line,) = own.refuses(command, "mlp", "--optimizer", optimizer)
    assert said in line


def test_a_file_of_experiments_is_refused_too(own: Shell) -> None:
    own.write("one.toml", '[problem]\nname = "mlp"\n\n[grid]\noptimizer = "svrg"\nsteps = 2\n')
    (line,) = own.refuses("sweep", "one.toml")
    assert "svrg is for linear models" in line


@pytest.mark.parametrize(
    ("problem", "optimizer"),
    [
        ("softmax-regression", "matrices.py+adamw"),
        ("softmax-regression", "matrices.py+svrg"),
        ("matrix-factorization", "matrices.py"),
        ("linear-regression", "curved.py"),
        ("mlp", "curved.py"),
        ("logistic-regression", "saga+ema"),
    ],
)
def test_what_a_rule_can_train_is_trained(own: Shell, problem: str, optimizer: str) -> None:
    assert own("run", problem, "--optimizer", optimizer, "--steps", "2", "-q") == 0


@dataclass(frozen=True)
class Bent(Method):
    """A rule that asks for Hessian products."""

    needs_curvature = True


@dataclass(frozen=True)
class Whole(StatefulNetwork):
    """A module with a loss of its own, which is never made."""

    def load(self, rng: Any) -> Any:
        """Fail: nothing is to be loaded."""
        raise AssertionError

    def module(self, data: Any) -> Any:
        """Fail: nothing is to be made."""
        raise AssertionError

    def losses(self, module: Any, batch: Any) -> Any:
        """Fail: nothing is to be computed."""
        raise AssertionError


def test_hessian_products_of_a_network_with_a_loss_of_its_own_are_refused() -> None:
    with pytest.raises(UserError, match="Hessian products, which gdcli does not compute for"):
        check_rule(Bent(), Whole(), dict)
