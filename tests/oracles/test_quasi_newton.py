from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.optimize
import scipy.optimize._optimize
import scipy.sparse.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from gdcli.engine.trial_ask import TrialAsk
from gdcli.optimizers._line_search import Batch, line, strong_wolfe
from gdcli.optimizers.gauss_newton import GaussNewton
from gdcli.optimizers.lbfgs import Lbfgs
from gdcli.optimizers.levenberg_marquardt import LevenbergMarquardt
from gdcli.optimizers.newton_cg import NewtonCg
from gdcli.optimizers.nonlinear_cg import NonlinearCg
from tests.optimizers import oracle

if TYPE_CHECKING:
    from gdcli.method import Method

Loss = Callable[[Tensor], Tensor]
Vector = NDArray[np.float64]
STEPS = oracle.STEPS


def network(decay: float = 0.0) -> Loss:
    """Return the loss of the harness's network on all its examples, of one vector."""
    x, y = (torch.cat(parts) for parts in zip(*oracle.batches(), strict=True))
    like = oracle.start()

    def loss(vector: Tensor) -> Tensor:
        parts = torch.split(vector, [param.numel() for param in like.values()])
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


class LeastSquares:
    """The mean square of a curve's residuals: y = a * exp(-b * t) + c * sin(d * t), with noise."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(2)
        self.t = torch.linspace(0, 3, 40, dtype=torch.float64)
        self.y = self.curve(torch.tensor([2.0, 1.5, 0.7, 2.2], dtype=torch.float64))
        self.y = self.y + 0.05 * torch.randn(40, generator=rng, dtype=torch.float64)

    def curve(self, x: Tensor) -> Tensor:
        return x[0] * torch.exp(-x[1] * self.t) + x[2] * torch.sin(x[3] * self.t)

    def residuals(self, x: Tensor) -> Tensor:
        return self.curve(x) - self.y

    def __call__(self, x: Tensor) -> Tensor:
        return self.residuals(x).square().mean()


def ask_of(loss: Loss) -> TrialAsk:
    """Return what a rule may ask of a loss of one vector."""

    def slopes(params: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        leaf = params["x"].detach().requires_grad_()
        found = loss(leaf)
        return found.detach(), {"x": torch.autograd.grad(found, leaf)[0]}

    def residuals(params: dict[str, Tensor]) -> Tensor:
        assert isinstance(loss, LeastSquares)
        return loss.residuals(params["x"])

    return TrialAsk(
        kind={"x": "vector"},
        horizon=STEPS,
        examples=1,
        slopes=slopes,
        all_slopes=slopes,
        differentiable=lambda params: loss(params["x"]),
        outputs=residuals,
        cost=lambda z: z.square().mean(),
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
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        points.append(leaf.detach().clone())
        calls.append(0)
    return points, calls[:-1]


@pytest.mark.parametrize("history", [3, 10, 100])
@pytest.mark.parametrize("lr", [1.0, 0.3, 4.0])
@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_lbfgs_is_that_of_torch_with_as_many_evaluations(
    history: int, lr: float, decay: float
) -> None:
    theirs, calls = torch_lbfgs(network(decay), network_start(), lr=lr, history_size=history)
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


BETAS = ["polak-ribiere", "fletcher-reeves", "hestenes-stiefel", "hager-zhang"]


def quadratic(size: int) -> tuple[Tensor, Tensor, Loss]:
    """Return matrix, vector and loss of a quadratic whose eigenvalues are from 1 to 50."""
    rng = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(size, size, generator=rng, dtype=torch.float64))[0]
    matrix = turn @ torch.diag(torch.linspace(1, 50, size, dtype=torch.float64)) @ turn.mT
    b = torch.randn(size, generator=rng, dtype=torch.float64)
    return matrix, b, lambda x: 0.5 * x @ matrix @ x - b @ x


@pytest.mark.parametrize("beta", BETAS)
def test_nonlinear_cg_on_a_quadratic_is_linear_cg(beta: Any) -> None:
    """With exact steps, which the cubic of a search finds at its second point."""
    matrix, b, loss = quadratic(60)
    theirs: list[Vector] = []
    scipy.sparse.linalg.cg(
        matrix.numpy(), b.numpy(), rtol=0, maxiter=25, callback=lambda x: theirs.append(x.copy())
    )
    rule = NonlinearCg(beta=beta, c2=1e-6)
    ours, _ = trained(rule, loss, torch.zeros(60, dtype=torch.float64), steps=25)
    assert max(apart(a, torch.from_numpy(x)) for a, x in zip(ours[1:], theirs, strict=True)) < 1e-10


@pytest.mark.parametrize("beta", BETAS)
def test_nonlinear_cg_finishes_on_a_quadratic_in_as_many_steps_as_dimensions(beta: Any) -> None:
    matrix, b, loss = quadratic(8)
    rule = NonlinearCg(beta=beta, c2=1e-6)
    ours, _ = trained(rule, loss, torch.zeros(8, dtype=torch.float64), steps=8)
    assert apart(ours[-1], torch.linalg.solve(matrix, b)) < 1e-7
    assert apart(ours[-2], torch.linalg.solve(matrix, b)) > 1e-4


def with_our_steps(monkeypatch: pytest.MonkeyPatch, points: list[Tensor]) -> None:
    """Let scipy's line searches find the steps that ours found: its directions are its own."""
    given = pairwise(points)

    def search(f: Any, slope: Any, x: Vector, way: Vector, *_: Any, **__: Any) -> Any:
        here, there = (point.numpy() for point in next(given))
        moved = there - here
        t = (moved @ way) / (way @ way)
        return t, 1, 1, f(x + t * way), f(x), slope(x + t * way)

    monkeypatch.setattr(scipy.optimize._optimize, "_line_search_wolfe12", search)


def test_the_directions_of_nonlinear_cg_are_those_of_fmin_cg(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where scipy searches its own lines by this package's search."""
    x0, ahead = torch.zeros(12, dtype=torch.float64), [0.0]
    loss, both = regression(), for_scipy(regression())

    def search(
        _f: Any, slope: Any, x: Vector, way: Vector, grad: Vector, *_: Any, **__: Any
    ) -> Any:
        at, g, d = (torch.tensor(vector) for vector in (x, grad, way))
        batch = Batch(NonlinearCg(), ask_of(loss), {"x": at})
        along = line(batch, at, torch.tensor(both(x)[0], dtype=torch.float64), g, d)
        first = ahead[0] / along.slope if ahead[0] else torch.clamp(1 / g.abs().sum(), max=1.0)
        found = strong_wolfe(along, first, 1e-4, 0.1, 25)
        ahead[0] = float(found.t * along.slope)
        t = float(found.t)
        return t, 1, 1, float(found.loss), both(x)[0], slope(x + t * way)

    monkeypatch.setattr(scipy.optimize._optimize, "_line_search_wolfe12", search)
    theirs = [x0.numpy()]
    scipy.optimize.minimize(
        both,
        theirs[0],
        jac=True,
        method="CG",
        callback=lambda x: theirs.append(x.copy()),
        options={"maxiter": STEPS, "gtol": 0},
    )
    ours, _ = trained(NonlinearCg(c2=0.1), loss, x0)
    gaps = [apart(a, torch.from_numpy(b)) for a, b in zip(ours[1:], theirs[1:], strict=True)]
    # Rounding doubles every second step or so: each direction builds on all that came before.
    assert max(gaps[:30]) < 1e-10
    assert max(gaps) < 1e-7


@pytest.mark.parametrize("beta", BETAS)
def test_nonlinear_cg_ends_where_fmin_cg_does_after_about_as_many_steps(beta: Any) -> None:
    loss, x = regression(), torch.zeros(12, dtype=torch.float64)
    theirs = scipy.optimize.minimize(
        for_scipy(loss), x.numpy(), jac=True, method="CG", options={"gtol": 1e-7}
    )
    ours, _ = trained(NonlinearCg(beta=beta, c2=0.1), loss, x, steps=200)
    assert apart(ours[-1], torch.from_numpy(theirs.x)) < 1e-5
    slow = 2.0 if beta == "fletcher-reeves" else 1.5
    assert steps_until(loss, ours, 1e-9, theirs.fun) < slow * theirs.nit


def hessian(loss: Loss) -> Callable[[Vector, Vector], Vector]:
    """Return the products of a loss's Hessian, for scipy."""

    def product(x: Vector, p: Vector) -> Vector:
        leaf = torch.tensor(x, requires_grad=True)
        (grad,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
        return torch.autograd.grad(grad, leaf, torch.tensor(p))[0].numpy()

    return product


@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_the_directions_of_newton_cg_are_those_of_scipy(
    monkeypatch: pytest.MonkeyPatch, decay: float
) -> None:
    """The network's Hessian has directions of negative curvature."""
    loss, x = network(decay), network_start()
    rule = NewtonCg(products=20 * len(x), weight_decay=decay)
    ours, seen = trained(rule, network(), x, steps=12)
    with_our_steps(monkeypatch, ours)
    theirs = [x.numpy()]
    found = scipy.optimize.minimize(
        for_scipy(loss),
        x.numpy(),
        jac=True,
        hessp=hessian(loss),
        method="Newton-CG",
        callback=lambda x: theirs.append(x.copy()),
        options={"maxiter": 12, "xtol": 0},
    )
    assert max(apart(a, torch.from_numpy(b)) for a, b in zip(ours, theirs, strict=True)) < 1e-10
    # A gradient and a loss at the points that the line search tries, and the same products.
    assert sum(seen) >= found.nhev + 2 * 12


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg"])
def test_newton_cg_ends_where_newton_methods_of_scipy_do(method: str) -> None:
    loss, x = regression(), torch.zeros(12, dtype=torch.float64)
    theirs = scipy.optimize.minimize(
        for_scipy(loss), x.numpy(), jac=True, hessp=hessian(loss), method=method, tol=1e-9
    )
    ours, _ = trained(NewtonCg(), loss, x, steps=20)
    assert apart(ours[-1], torch.from_numpy(theirs.x)) < 1e-5
    assert steps_until(loss, ours, 1e-9, theirs.fun) <= 1.5 * theirs.nit


CURVE = torch.tensor([1.0, 1.0, 1.0, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("rule", [LevenbergMarquardt(), GaussNewton(), GaussNewton(damping=0.01)])
def test_least_squares_end_where_minpack_does(rule: Method) -> None:
    loss = LeastSquares()
    theirs = scipy.optimize.least_squares(
        lambda x: loss.residuals(torch.tensor(x)).numpy(), CURVE.numpy(), method="lm", xtol=1e-14
    )
    ours, _ = trained(rule, loss, CURVE, steps=30)
    assert apart(ours[-1], torch.from_numpy(theirs.x)) < 1e-6


def damped_steps(loss: LeastSquares, x: Vector, damping: float, steps: int) -> list[Vector]:
    """Return the points of a loop with dense matrices, as the authors write it down."""
    growth, count, points = 2.0, len(loss.t), [x]
    for _ in range(steps):
        residuals = loss.residuals(torch.tensor(x)).numpy()
        jacobian = torch.func.jacrev(loss.residuals)(torch.tensor(x)).numpy()
        matrix, grad = 2 / count * jacobian.T @ jacobian, 2 / count * jacobian.T @ residuals
        z = np.linalg.solve(matrix + damping * np.eye(len(x)), -grad)
        there = loss.residuals(torch.tensor(x + z)).numpy()
        fall = np.mean(residuals**2) - np.mean(there**2)
        gain = fall / -(grad @ z + 0.5 * z @ matrix @ z)
        if gain > 0:
            x, growth = x + z, 2.0
            damping *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
        else:
            damping, growth = damping * growth, 2 * growth
        points.append(x)
    return points


@pytest.mark.parametrize("damping", [1e-6, 1e-2, 1e-1, 10.0])
def test_levenberg_marquardt_steps_as_the_damped_equations_say(damping: float) -> None:
    """From far away, so that some steps are refused; 25 steps, after which the loss is flat."""
    loss, far = LeastSquares(), torch.tensor([5.0, 0.2, 3.0, 1.0], dtype=torch.float64)
    rule = LevenbergMarquardt(forcing=1e-14, damping=damping)
    ours, _ = trained(rule, loss, far, steps=25)
    theirs = damped_steps(loss, far.numpy(), damping, 25)
    assert any(np.array_equal(a, b) for a, b in pairwise(theirs))
    assert max(apart(a, torch.from_numpy(b)) for a, b in zip(ours, theirs, strict=True)) < 1e-10
