"""Rules of the Hessian's diagonal, and pytorch_optimizer with the same random signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytorch_optimizer
import torch
from torch import Tensor

from gdcli.optimizers.adahessian import AdaHessian
from gdcli.optimizers.sophia import Sophia
from gdcli.optimizers.sophia_g import SophiaG
from tests.optimizers.oracle import (
    BATCHES,
    STEPS,
    Params,
    ask_of,
    batches,
    cost_of_drawn,
    furthest,
    ours,
    outputs,
    signs_at,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gdcli.method import Method

DECAYS = pytest.mark.parametrize("decay", [0.0, 0.1])


def theirs(monkeypatch: pytest.MonkeyPatch, make: Callable[[list[Tensor]], Any]) -> Params:
    """Return where an optimizer ends that differentiates the gradient, with our random signs."""
    params = {name: param.requires_grad_() for name, param in start().items()}
    optimizer = make(list(params.values()))
    drawn: list[Iterator[Tensor]] = []

    def bits(like: Tensor, low: int, high: int) -> Tensor:
        """Return 0 or 1, which the package makes -1 or 1."""
        assert (low, high) == (0, 2)
        sign = next(drawn[-1])
        assert sign.shape == like.shape
        return (sign + 1) / 2

    monkeypatch.setattr(torch, "randint_like", bits)
    for step in range(STEPS):
        drawn.append(iter(signs_at(("oracle", 0), step, start()).values()))
        loss = ask_of(step).differentiable(params)
        grads = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        for param, grad in zip(params.values(), grads, strict=True):
            param.grad = grad
        optimizer.step()
    return {name: param.detach() for name, param in params.items()}


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (0.01, {}),
        (0.02, {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3}),
        (0.02, {"power": 0.5, "every": 3}),
        (0.05, {"power": 0.3, "every": 10, "beta2": 0.9}),
    ],
)
def test_adahessian(
    monkeypatch: pytest.MonkeyPatch, lr: float, fields: dict[str, Any], decay: float
) -> None:
    given = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "power": 1.0, "every": 1, **fields}
    theirs_at = theirs(
        monkeypatch,
        lambda params: pytorch_optimizer.AdaHessian(
            params,
            lr=lr,
            betas=(given["beta1"], given["beta2"]),
            weight_decay=decay,
            hessian_power=given["power"],
            update_period=given["every"],
            eps=given["eps"],
        ),
    )
    assert furthest(ours(AdaHessian(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-2


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (6e-4, {}),
        (0.01, {"beta1": 0.8, "beta2": 0.9, "gamma": 0.5, "every": 3}),
        (0.02, {"gamma": 5.0, "eps": 0.1, "every": 1}),
    ],
)
def test_sophia(
    monkeypatch: pytest.MonkeyPatch, lr: float, fields: dict[str, Any], decay: float
) -> None:
    """In their units, p is gamma, and the learning rate is divided by it."""
    given = {"beta1": 0.96, "beta2": 0.99, "gamma": 0.01, "eps": 1e-12, "every": 10, **fields}
    gamma = given["gamma"]
    theirs_at = theirs(
        monkeypatch,
        lambda params: pytorch_optimizer.SophiaH(
            params,
            lr=lr / gamma,
            betas=(given["beta1"], given["beta2"]),
            weight_decay=decay * gamma,
            p=gamma,
            update_period=given["every"],
            hessian_distribution="rademacher",
            eps=given["eps"] / gamma,
        ),
    )
    assert furthest(ours(Sophia(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-3


@DECAYS
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1e-3, {}),
        (0.01, {"beta1": 0.8, "beta2": 0.9, "gamma": 0.5, "every": 3}),
        (0.02, {"gamma": 5.0, "eps": 0.1, "every": 1}),
    ],
)
def test_sophia_g(lr: float, fields: dict[str, Any], decay: float) -> None:
    """Their SophiaH takes the curvature that it is given: n times the squared mean gradient."""
    given = {"beta1": 0.965, "beta2": 0.99, "gamma": 0.04, "eps": 1e-12, "every": 10, **fields}
    gamma = given["gamma"]
    params = {name: param.requires_grad_() for name, param in start().items()}
    optimizer = pytorch_optimizer.SophiaH(
        list(params.values()),
        lr=lr / gamma,
        betas=(given["beta1"], given["beta2"]),
        weight_decay=decay * gamma,
        p=gamma,
        update_period=10**9,
        eps=given["eps"] / gamma,
    )
    for step in range(STEPS):
        hessian = None
        if step % given["every"] == 0:
            cost, labels = cost_of_drawn(outputs(params, batches()[step % BATCHES][0]), step)
            grads = torch.autograd.grad(cost, list(params.values()))
            hessian = [labels * grad**2 for grad in grads]
        optimizer.zero_grad()
        ask_of(step).differentiable(params).backward()  # type: ignore[no-untyped-call]
        optimizer.step(hessian=hessian)
    theirs_at = {name: param.detach() for name, param in params.items()}
    assert furthest(ours(SophiaG(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-3


def first_step(rule: Method, kind: Any) -> tuple[Tensor, Tensor]:
    """Return the first direction for a kernel, and the diagonal of its Hessian, times a gradient.

    The loss is a sum over the coordinates: random signs give its diagonal exactly.
    """
    rng = torch.Generator().manual_seed(5)
    bend = torch.randn(2, 3, 4, 5, generator=rng, dtype=torch.float64)
    slope = torch.ones_like(bend)

    class Ask:
        """The loss is <slope, w> + <bend, w * w> / 2, at w = 0."""

        horizon = examples = 1
        kind: Any

        def __call__(self, params: Params) -> tuple[Tensor, Params]:
            return torch.zeros(()), {"w": slope}

        def signs(self, params: Params) -> Params:
            return signs_at(("kernels",), 0, params)

        def hessian_product(self, params: Params, direction: Params) -> Params:
            return {"w": bend * direction["w"]}

    ask: Any = Ask()
    ask.kind = {"w": kind}
    params = {"w": torch.zeros_like(bend)}
    lr = torch.tensor(0.1, dtype=torch.float64)
    return rule.direction(params, rule.init(params, ask), ask, lr, 1)[0]["w"], bend


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("kind", ["convolution", "matrix"])
def test_the_curvature_is_averaged_over_kernels(kind: str, average: bool) -> None:  # noqa: FBT001
    """The paper averages absolute values over the kernel of each pair of channels."""
    direction, bend = first_step(AdaHessian(average_kernels=average), kind)
    curvature = bend.abs()
    if average and kind == "convolution":
        curvature = torch.stack(
            [
                torch.stack([kernel.sum() / 20 * torch.ones(4, 5).double() for kernel in row])
                for row in bend.abs()
            ]
        )
    torch.testing.assert_close(direction, 1 / (curvature + 1e-8), rtol=1e-12, atol=0)
