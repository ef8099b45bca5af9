"""A trial of a mapped loss has the same bits at any place, among any number of trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gdcli.engine.batch import loop_for
from gdcli.engine.examples import examples_of
from gdcli.engine.plan import plan_of
from gdcli.engine.programs.bits import SameBits
from gdcli.engine.programs.vmap import Together
from gdcli.experiment.grid import Axes, Grid
from gdcli.experiment.training import Training
from gdcli.problem import Array, Batch, Data, Network, Params, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.engine.train import Loop


class Odd(nn.Module):
    """Elementwise functions of rows that fill no register."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 23), nn.Linear(23, 3)

    def forward(self, x: torch.Tensor) -> Any:
        hidden = self.first(x)
        return self.last(functional.softplus(hidden * torch.sigmoid(hidden)))


class Images(nn.Module):
    """Convolutions with odd channels, and batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 5, 2), nn.BatchNorm2d(5)
        self.second, self.last = nn.Conv2d(5, 3, 2), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> Any:
        hidden = functional.silu(self.norm(self.first(x.view(-1, 1, 4, 4))))
        return self.last(self.second(hidden).flatten(1))


class Vector(nn.Module):
    """A product with a vector, and a temperature: a parameter without axes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 16))
        self.outward = nn.Parameter(torch.linspace(-1, 1, 3))
        self.temperature = nn.Parameter(torch.tensor(1.3))

    def forward(self, x: torch.Tensor) -> Any:
        return torch.outer(functional.gelu(x @ self.weight) ** 3, self.outward) * self.temperature


class Fixed(nn.Module):
    """A product with a matrix that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.mixing = torch.arange(16.0 * 17).cos().view(16, 17)
        self.first, self.last = nn.Linear(16, 16), nn.Linear(17, 3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(functional.mish(self.first(x) @ self.mixing.to(x)))


class Recurrent(nn.Module):
    """A recurrent layer, which torch takes apart."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.last = nn.GRU(4, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.recurrent(x.view(-1, 4, 4))[0].mean(1))


MODULES = {kind.__name__: kind for kind in (Odd, Images, Vector, Fixed, Recurrent)}
EXAMPLES = 61


@dataclass(frozen=True)
class Modules(Network):
    """One of the modules."""

    which: Annotated[str, "which of them"] = "Odd"

    def load(self, rng: np.random.Generator) -> Data:
        return Data({"x": rng.random((EXAMPLES, 16)), "y": rng.integers(3, size=EXAMPLES)})

    def module(self, data: Data) -> nn.Module:
        return MODULES[self.which]()


@dataclass(frozen=True)
class Logistic(Problem):
    """A loss of vectors, and of a bias without axes."""

    def load(self, rng: np.random.Generator) -> Data:
        x = rng.standard_normal((EXAMPLES, 13))
        return Data({"x": x, "y": (x[:, 0] > 0).astype(float)})

    def init(self, rng: np.random.Generator, data: Data) -> Params:
        return {"weight": rng.standard_normal(13), "bias": np.asarray(0.1)}

    def loss(self, params: Params, batch: Batch) -> Array:
        z = batch["x"] @ params["weight"] + params["bias"]
        penalty = params["weight"].abs().pow(1.5).sum() + params["bias"].cosh()
        return functional.binary_cross_entropy_with_logits(z, batch["y"]) + 0.1 * penalty


def loop(problem: Any, options: Any, trials: int, dtype: Any, batch: int) -> Loop:
    """Return the training loop of a number of trials."""
    method: Any = "gd" if batch == EXAMPLES else "sgd" if batch == 1 else "minibatch"
    axes = Axes(method=(method,), lr=tuple(np.linspace(0.1, 1, trials).tolist()))
    training = Training(steps=4, record="4", dtype=dtype)
    given = Grid(problem, options, axes, {}, (), training).trials
    data = examples_of(given[0])
    return loop_for(given, data, plan_of(given[0], data.examples), "cpu")


def computed(given: Loop, batch: int) -> dict[str, torch.Tensor]:
    """Return what is computed of a point: all trials have the same one."""
    program, rng = given.program, np.random.default_rng(1)
    found = {}
    for name, param in given.params.items():
        own = param[:1] + torch.as_tensor(0.1 * rng.standard_normal(param[:1].shape)).to(param)
        found[name] = own.expand_as(param).contiguous()
    examples = None
    if batch < EXAMPLES:
        examples = next(iter(program.batches(np.arange(batch)[None, None])))
    program.set_step(0)
    loss, gradient = program.loss_and_gradient(found, examples)
    bent = program.batch_hessian_product(found, gradient, examples)
    result = {"loss": loss} | {f"gradient {n}": g for n, g in gradient.items()}
    result |= {f"product {n}": h for n, h in bent.items()}
    if batch == EXAMPLES:
        result |= program.evaluate(found).values
    return result


@pytest.mark.parametrize("batch", [EXAMPLES, 31, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("which", ["Logistic", *MODULES])
def test_bits_do_not_depend_on_place_and_number(which: str, dtype: str, batch: int) -> None:
    if (which, batch) == ("Images", 1):
        pytest.skip("batch statistics of one example")
    problem, options = (Logistic, {}) if which == "Logistic" else (Modules, {"which": which})
    first: dict[str, torch.Tensor] = {}
    for trials in (1, 3, 5, 9):
        found = computed(loop(problem, options, trials, dtype, batch), batch)
        first = first or {name: value[0] for name, value in found.items()}
        for name, value in found.items():
            assert (value == first[name]).all(), (name, trials)


def test_calls_whose_bits_never_differ_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Together()

    def mapped(function: Callable[..., Any]) -> Any:
        given = {"w": torch.ones(4, 7)}
        return together.each(function, (False,), lambda _: None)(given)

    def exact(params: Params) -> Any:
        return params["w"].square().sum()

    def inexact(params: Params) -> Any:
        return params["w"].sigmoid().sum()

    assert mapped(exact).tolist() == [7.0] * 4
    mapped(inexact)
    monkeypatch.setattr(SameBits, "__enter__", lambda _: pytest.fail("with care"))
    assert mapped(exact).tolist() == [7.0] * 4
    with pytest.raises(pytest.fail.Exception, match="with care"):
        mapped(inexact)


def test_what_is_rounded_correctly_is_left_to_torch() -> None:
    x = torch.randn(7, generator=torch.Generator().manual_seed(0))
    with SameBits() as mode:  # type: ignore[no-untyped-call]
        found = torch.where(x > 0, x.square() + 2 * x, -x).clamp(min=-1).sqrt()
    assert not mode.differed
    assert torch.equal(found.nan_to_num(), torch.where(x > 0, x * x + 2 * x, -x).sqrt())
    with SameBits() as mode:  # type: ignore[no-untyped-call]
        torch.sigmoid(x)
    assert mode.differed


@pytest.mark.parametrize("alpha", [1, 0.3])
def test_a_product_with_something_added_is_the_same(alpha: float) -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, generator=rng) for size in ((6, 4), (4, 5)))
    c = torch.randn(5, generator=rng)
    with SameBits() as mode:  # type: ignore[no-untyped-call]
        mode.trials = 3
        found = torch.addmm(c, a, b, beta=2, alpha=alpha)
    torch.testing.assert_close(found, 2 * c + alpha * (a @ b))
