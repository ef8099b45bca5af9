"""Rules that estimate their own step size, and the packages of their authors, or optax.

No package at hand has the steps of Barzilai and Borwein or AdGD. They are compared with what
theory says of quadratics, and with the formulas of their papers in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dadaptation
import numpy as np
import optax
import prodigyopt
import pytest
import torch
from prodigyopt.prodigy_reference import ProdigyReference

from gdcli.optimizers.adgd import AdGD
from gdcli.optimizers.barzilai_borwein import BarzilaiBorwein
from gdcli.optimizers.dadapt_adam import DAdaptAdam
from gdcli.optimizers.dadapt_sgd import DAdaptSGD
from gdcli.optimizers.dog import DoG
from gdcli.optimizers.dowg import DoWG
from gdcli.optimizers.prodigy import Prodigy
from tests.optimizers.oracle import Params, ask_of, furthest, ours, start, theirs
from tests.oracles import in_optax

if TYPE_CHECKING:
    from gdcli.method import Method


def in_their_words(fields: dict[str, Any]) -> dict[str, Any]:
    """Return options by the names of the packages."""
    words = {"bias_correction": "use_bias_correction"}
    found = {words.get(name, name): value for name, value in fields.items()}
    if "beta1" in found:
        found["betas"] = found.pop("beta1"), found.pop("beta2")
    return found


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1.0, {}),
        (0.5, {"beta1": 0.8, "beta2": 0.95, "d0": 1e-3}),
        (2.0, {"beta3": 0.9, "eps": 1e-3, "d_coef": 0.5, "bias_correction": True, "d0": 1e-2}),
        (1.0, {"growth_rate": 1.3, "safeguard_warmup": True, "d0": 1e-3}),
        (1.0, {"beta1": 0.1, "beta2": 0.9, "growth_rate": 1.02, "d0": 1e-4}),
    ],
)
def test_prodigy(lr: float, fields: dict[str, Any], decay: float) -> None:
    theirs_at = theirs(
        lambda params: prodigyopt.Prodigy(
            params, lr=lr, weight_decay=decay, **in_their_words(fields)
        )
    )
    assert furthest(ours(Prodigy(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4  # it moves


def test_prodigy_without_momentum_is_that_of_the_paper() -> None:
    """Where beta1 is 0, one of the package's classes multiplies by the distance after the step."""
    mine = ours(Prodigy(beta1=0.0, d0=1e-3), 1.0)
    given: dict[str, Any] = {"lr": 1.0, "betas": (0.0, 0.999), "d0": 1e-3}
    assert furthest(mine, theirs(lambda params: ProdigyReference(params, **given))) < 1e-10
    assert furthest(mine, theirs(lambda params: prodigyopt.Prodigy(params, **given))) > 1e-6


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1.0, {}),
        (0.5, {"beta1": 0.8, "beta2": 0.95, "d0": 1e-3}),
        (2.0, {"eps": 1e-3, "bias_correction": True, "d0": 1e-2}),
        (1.0, {"growth_rate": 1.1, "d0": 1e-3}),
    ],
)
def test_dadapt_adam(lr: float, fields: dict[str, Any], decay: float) -> None:
    theirs_at = theirs(
        lambda params: dadaptation.DAdaptAdam(
            params, lr=lr, weight_decay=decay, **in_their_words(fields)
        )
    )
    assert furthest(ours(DAdaptAdam(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("lr", "fields"),
    [
        (1.0, {}),
        (0.5, {"momentum": 0.8, "d0": 1e-3}),
        (2.0, {"momentum": 0.5, "growth_rate": 1.1, "d0": 1e-3}),
    ],
)
def test_dadapt_sgd(lr: float, fields: dict[str, Any], decay: float) -> None:
    theirs_at = theirs(
        lambda params: dadaptation.DAdaptSGD(params, lr=lr, weight_decay=decay, **fields)
    )
    assert furthest(ours(DAdaptSGD(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (Prodigy(weight_decay=0.1, d0=1e-3), prodigyopt.Prodigy),
        (DAdaptAdam(weight_decay=0.1, d0=1e-3), dadaptation.DAdaptAdam),
    ],
    ids=["prodigy", "dadapt-adam"],
)
def test_a_learning_rate_of_0_changes_nothing(rule: Method, make: Callable[..., Any]) -> None:
    """A schedule may begin or pause at 0: state and parameters stay, as in the packages."""
    rates = [0.5, 0.0, 1.0, 0.0, 0.0, *[0.7] * 10]
    mine: Params = start()
    state = rule.init(mine, ask_of(0))
    held = {name: param.requires_grad_() for name, param in start().items()}
    reference = make(list(held.values()), lr=1.0, weight_decay=0.1, d0=1e-3)
    for step, rate in enumerate(rates):
        lr = torch.tensor(rate, dtype=torch.float64)
        mine, state = rule.step(mine, state, ask_of(step), lr, step + 1)
        reference.zero_grad()
        ask_of(step).differentiable(held).backward()  # type: ignore[no-untyped-call]
        reference.param_groups[0]["lr"] = rate
        reference.step()
        assert furthest(mine, {n: p.detach() for n, p in held.items()}) < 1e-12


def test_a_first_gradient_of_0_is_passed_over() -> None:
    params = {"x": torch.zeros(2, dtype=torch.float64)}
    rule = DAdaptSGD(d0=0.1)
    state = rule.init(params, ask_of(0))
    lr = torch.tensor(1.0, dtype=torch.float64)
    for step, target in enumerate([0.0, 1.0, 1.0]):
        ask: Any = lambda at, target=target: (  # noqa: E731
            (at["x"] - target).square().sum() / 2,
            {"x": at["x"] - target},
        )
        params, state = rule.step(params, state, ask, lr, step + 1)
    assert (params["x"] > 0.1).all()


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("lr", "fields"),
    [(1.0, {}), (0.5, {"r0": 1e-2, "eps": 1e-3}), (2.0, {"r0": 1e-3, "eps": 0.0})],
)
def test_dog(lr: float, fields: dict[str, Any], decay: float) -> None:
    given = {"r0": 1e-6, **fields}
    reference = optax.contrib.dog(
        lr, init_step=("heuristic", given.pop("r0")), weight_decay=decay, **given
    )
    theirs_at = in_optax.theirs(reference)
    assert furthest(ours(DoG(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("lr", "fields"), [(1.0, {}), (0.5, {"r2": 1e-2, "eps": 1e-3}), (0.2, {"r2": 1e-6})]
)
def test_dowg(lr: float, fields: dict[str, Any], decay: float) -> None:
    given = dict(fields)
    reference = optax.contrib.dowg(
        lr, init_estim_sq_dist=given.pop("r2", None), weight_decay=decay, **given
    )
    theirs_at = in_optax.theirs(reference)
    assert furthest(ours(DoWG(weight_decay=decay, **fields), lr), theirs_at) < 1e-10
    assert furthest(theirs_at, start()) > 1e-4


Flat = np.ndarray
Sizes = Callable[[Flat, Flat, list[float]], float]


def traced(size: Sizes, lr: float, decay: float, *, varied: bool, steps: int = 50) -> Params:
    """Return where steps along the gradient end, of sizes by a formula in NumPy.

    The formula is given the last step, the change of the gradient along it on the same batch, and
    all sizes so far; the first size is lr. varied: each step has a batch of its own.
    """
    shapes = {name: tuple(param.shape) for name, param in start().items()}
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]

    def tree(flat: Flat) -> Params:
        parts = zip(shapes.items(), np.split(flat, ends), strict=True)
        return {name: torch.tensor(part.reshape(shape)) for (name, shape), part in parts}

    def grad(flat: Flat, step: int) -> Flat:
        _, slopes = ask_of(step if varied else 0)(tree(flat))
        parts = [slope.numpy().ravel() for slope in slopes.values()]
        return np.asarray(np.concatenate(parts) + decay * flat)

    here = np.concatenate([param.numpy().ravel() for param in start().values()])
    last, sizes = here, [lr]
    for step in range(steps):
        if step:
            change = grad(here, step) - grad(last, step)
            sizes.append(size(here - last, change, sizes))
        last, here = here, here - sizes[-1] * grad(here, step)
    return tree(here)


def mine(rule: Method, lr: float, *, varied: bool, steps: int = 50) -> Params:
    """Return where a rule ends on the same batches."""
    params = start()
    state = rule.init(params, ask_of(0))
    for step in range(steps):
        rate = torch.tensor(lr, dtype=torch.float64)
        ask = ask_of(step if varied else 0)
        params, state = rule.step(params, state, ask, rate, step + 1)
    return params


def barzilai_borwein(*, long: bool, lr: float) -> Sizes:
    """Return the formula of Barzilai and Borwein 1988."""

    def size(s: Flat, y: Flat, _: list[float]) -> float:
        if s @ y <= 0:
            return lr
        return float(s @ s / (s @ y) if long else s @ y / (y @ y))

    return size


def adgd(growth: float = 1.0, damping: float = 2.0) -> Sizes:
    """Return the formula of Malitsky and Mishchenko 2020, algorithm 1."""

    def size(s: Flat, y: Flat, sizes: list[float]) -> float:
        bound = float(np.linalg.norm(s) / (damping * np.linalg.norm(y)))
        if len(sizes) == 1:
            return bound  # the first ratio is infinite
        return min(float(np.sqrt(1 + growth * sizes[-1] / sizes[-2])) * sizes[-1], bound)

    return size


@pytest.mark.parametrize("varied", [False, True], ids=["one batch", "batches"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("size", ["long", "short"])
def test_barzilai_borwein_is_its_formula(size: Any, decay: float, varied: bool) -> None:  # noqa: FBT001
    formula = barzilai_borwein(long=size == "long", lr=0.01)
    rule = BarzilaiBorwein(size=size, weight_decay=decay, same_batch=varied)
    # On batches that differ, long steps throw the parameters far, and rounding errors grow.
    steps = 20 if varied else 50
    found = traced(formula, 0.01, decay, varied=varied, steps=steps)
    assert furthest(mine(rule, 0.01, varied=varied, steps=steps), found) < 1e-10
    assert furthest(found, start()) > 1e-2


@pytest.mark.parametrize("varied", [False, True], ids=["one batch", "batches"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("fields", [{}, {"growth": 0.02, "damping": 1.0}])
def test_adgd_is_its_formula(fields: dict[str, float], decay: float, varied: bool) -> None:  # noqa: FBT001
    rule = AdGD(weight_decay=decay, same_batch=varied, **fields)
    found = traced(adgd(**fields), 1e-3, decay, varied=varied)
    assert furthest(mine(rule, 1e-3, varied=varied), found) < 1e-10
    assert furthest(found, start()) > 1e-2


class Quadratic:
    """The loss half of x' A x, with eigenvalues from 1 to 10."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(3)
        basis = torch.linalg.qr(torch.randn(4, 4, generator=rng, dtype=torch.float64))[0]
        self.matrix = basis @ torch.diag(torch.tensor([1.0, 3.0, 6.0, 10.0]).double()) @ basis.T

    def __call__(self, params: Params) -> tuple[torch.Tensor, Params]:
        """Return loss and gradient."""
        slope = self.matrix @ params["x"]
        return params["x"] @ slope / 2, {"x": slope}


def path(rule: Method, lr: float, steps: int) -> list[torch.Tensor]:
    """Return the points of a rule on the quadratic."""
    ask: Any = Quadratic()
    params = {"x": torch.ones(4, dtype=torch.float64)}
    state, points = rule.init(params, ask), [params["x"]]
    for step in range(steps):
        rate = torch.tensor(lr, dtype=torch.float64)
        params, state = rule.step(params, state, ask, rate, step + 1)
        points.append(params["x"])
    return points


@pytest.mark.parametrize("same_batch", [False, True])
@pytest.mark.parametrize("size", ["long", "short"])
def test_barzilai_borwein_steps_are_inverse_rayleigh_quotients(
    size: Any,
    same_batch: bool,  # noqa: FBT001
) -> None:
    """On a quadratic, the long size is that of the last gradient, the short of its root A g."""
    points = path(BarzilaiBorwein(size=size, same_batch=same_batch), 0.05, 12)
    matrix = Quadratic().matrix
    for last, here, after in zip(points, points[1:], points[2:], strict=False):
        g = matrix @ last
        if size == "short":
            g = torch.linalg.cholesky(matrix).T @ g
        rayleigh = g @ matrix @ g / (g @ g)
        if size == "short":
            v = matrix @ (matrix @ last)
            rayleigh = v @ v / (v @ (matrix @ last))
        found = (here - after) @ (matrix @ here) / (matrix @ here).square().sum()
        assert found * rayleigh == pytest.approx(1, abs=1e-9)


def test_barzilai_borwein_converges_where_descent_is_slow() -> None:
    assert float(path(BarzilaiBorwein(), 0.05, 60)[-1].norm()) < 1e-10


@pytest.mark.parametrize("same_batch", [False, True])
def test_adgd_halves_the_distance_in_one_dimension(same_batch: bool) -> None:  # noqa: FBT001
    """The change of the gradient is the curvature times the step: the size is 1 / (2 L)."""
    ask: Any = lambda params: (2 * params["x"].square().sum(), {"x": 4 * params["x"]})  # noqa: E731
    params, rule = {"x": torch.ones(1, dtype=torch.float64)}, AdGD(same_batch=same_batch)
    state = rule.init(params, ask)
    lr = torch.tensor(1e-3, dtype=torch.float64)
    params, state = rule.step(params, state, ask, lr, 1)
    for step in range(2, 20):
        before = params["x"]
        params, state = rule.step(params, state, ask, lr, step)
        assert float(params["x"] / before) == pytest.approx(0.5, rel=1e-12)


def test_adgd_begins_where_the_learning_rate_is_no_longer_0() -> None:
    ask: Any = lambda params: (2 * params["x"].square().sum(), {"x": 4 * params["x"]})  # noqa: E731
    params, rule = {"x": torch.ones(1, dtype=torch.float64)}, AdGD()
    state = rule.init(params, ask)
    for step, rate in enumerate([0.0, 0.0, 1e-3, 1e-3]):
        lr = torch.tensor(rate, dtype=torch.float64)
        params, state = rule.step(params, state, ask, lr, step + 1)
    assert float(params["x"]) == pytest.approx(0.996 / 2)
