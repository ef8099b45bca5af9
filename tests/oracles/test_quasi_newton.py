from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from numpy.typing import NDArray
from torch import Tensor

from gdcli.engine.reference.ask import TrialAsk
from gdcli.method import Method
from gdcli.optimizers.lbfgs import Lbfgs
from tests.optimizers import oracle

Loss = Callable[[Tensor], Tensor]
Vector = NDArray[np.float64]
STEPS = oracle.STEPS


def network(decay: float = 0.0) -> Loss:
    """Return the loss of the harness's network on all its examples, of one vector."""
    x, y = (torch.cat(parts) for parts in zip(*oracle.batches(), strict=True))
    like = oracle.start()

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([param.numel() for param in like.values()])
        params = {n: part.view(p.shape) for (n, p), part in zip(like.items(), parts, strict=True)}
        found = oracle.cost(oracle.outputs(params, x), y)
        return found + 0.5 * decay * vector.square().sum()

    return loss


def network_start() -> Tensor:
    return torch.cat([param.flatten() for param in oracle.start().values()])


def regression(seed: int = 0) -> Loss:
    """Return the loss of a logistic regression with 12 features."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(200, 12, generator=rng, dtype=torch.float64)
    x = x * torch.logspace(-0.5, 0.5, 12, dtype=torch.float64)
    y = (x.sum(1) + 5 * torch.randn(200, generator=rng, dtype=torch.float64)).sign()

    def loss(w: Tensor) -> Tensor:
        penalty = 1e-3 * w.square().sum()
        return torch.nn.functional.softplus(-y * (x @ w)).mean() + penalty

    return loss


def ask_of(loss: Loss) -> TrialAsk:
    """Return what a rule may ask of a loss of one vector."""

    def slopes(params: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        leaf = params["x"].detach().requires_grad_()
        found = loss(leaf)
        return found.detach(), {"x": torch.autograd.grad(found, leaf)[0]}

    return TrialAsk(
        kind={"x": "vector"},
        horizon=STEPS,
        examples=1,
        slopes=slopes,
        all_slopes=slopes,
        differentiable=lambda params: loss(params["x"]),
    )


def trained(
    rule: Method, loss: Loss, x: Tensor, steps: int = STEPS, lr: float = 1.0
) -> tuple[list[Tensor], list[int]]:
    """Return all points of a run, and what each step asked for."""
    params, seen = {"x": x}, []
    state = rule.init(params, ask_of(loss))
    points = [x]
    for step in range(1, steps + 1):
        ask = ask_of(loss)
        rate = torch.tensor(lr, dtype=x.dtype)
        params, state = rule.step(params, state, ask, rate, step)
        points.append(params["x"])
        seen.append(ask.seen)
    return points, seen


def for_scipy(loss: Loss) -> Callable[[Vector], tuple[float, Vector]]:
    """Return loss and gradient of a NumPy vector."""

    def both(vector: Vector) -> tuple[float, Vector]:
        leaf = torch.tensor(vector, requires_grad=True)
        found = loss(leaf)
        return float(found.detach()), torch.autograd.grad(found, leaf)[0].numpy()

    return both


def steps_until(loss: Loss, points: list[Tensor], gap: float, lowest: float) -> int:
    """Return the first step whose loss is within a gap of the lowest."""
    return next(i for i, x in enumerate(points) if float(loss(x)) - lowest < gap)


def apart(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, relative to the largest number."""
    return float((a - b).abs().max() / b.abs().max())


def torch_lbfgs(loss: Loss, x: Tensor, **options: Any) -> tuple[list[Tensor], list[int]]:
    """Return all points of torch's L-BFGS, one iteration a step, and its evaluations."""
    leaf = x.clone().requires_grad_()
    calls = [0]
    optimizer = torch.optim.LBFGS(
        [leaf],
        max_iter=1,
        max_eval=26,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
        **options,
    )

    def closure() -> Tensor:
        calls[-1] += 1
        optimizer.zero_grad()
        found = loss(leaf)
        found.backward()  # type: ignore[no-untyped-call]
        return found

    points = [x]
    for _ in range(STEPS):
        optimizer.step(closure)  # type: ignore[arg-type]
        points.append(leaf.detach().clone())
        calls.append(0)
    return points, calls[:-1]


@pytest.mark.parametrize("history", [3, 10, 100])
@pytest.mark.parametrize("lr", [1.0, 0.3, 4.0])
@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_lbfgs_is_that_of_torch_with_as_many_evaluations(
    history: int, lr: float, decay: float
) -> None:
    theirs, calls = torch_lbfgs(
        network(decay), network_start(), lr=lr, history_size=history
    )
    rule = Lbfgs(history=history, weight_decay=decay)
    ours, seen = trained(rule, network(), network_start(), lr=lr)
    assert apart(ours[-1], theirs[-1]) < 1e-10
    assert seen == calls


@pytest.mark.parametrize("search", ["wolfe", "armijo"])
def test_lbfgs_ends_where_that_of_scipy_does_after_about_as_many_steps(search: Any) -> None:
    loss, x = regression(), torch.zeros(12, dtype=torch.float64)
    theirs = scipy.optimize.minimize(
        for_scipy(loss), x.numpy(), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-9}
    )
    ours, seen = trained(Lbfgs(search=search), loss, x, steps=80)
    assert apart(ours[-1], torch.from_numpy(theirs.x)) < 1e-6
    assert steps_until(loss, ours, 1e-8, theirs.fun) < 1.5 * theirs.nit
    assert seen[-1] <= 4  # the search ends where the loss no longer changes


def test_a_pair_whose_curvature_is_below_1e_10_still_counts() -> None:
    """torch.optim.LBFGS leaves out such pairs, and is plain descent on a loss of small numbers."""
    x = torch.ones(12, dtype=torch.float64)

    def small(w: Tensor) -> Tensor:
        return 1e-13 * regression()(w)

    ours, _ = trained(Lbfgs(), small, x, steps=60)
    theirs, _ = torch_lbfgs(small, x)
    lowest = scipy.optimize.minimize(for_scipy(regression()), x.numpy(), jac=True, tol=1e-12).fun
    assert float(regression()(ours[-1])) - lowest < 1e-7
    assert float(regression()(theirs[-1])) - lowest > 1e-3
