from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from gdcli.optimizers.armijo import Armijo
from gdcli.optimizers.extragradient import Extragradient
from gdcli.optimizers.gauss_newton import GaussNewton
from gdcli.optimizers.lbfgs import Lbfgs
from gdcli.optimizers.levenberg_marquardt import LevenbergMarquardt
from gdcli.optimizers.newton_cg import NewtonCg
from gdcli.optimizers.nonlinear_cg import NonlinearCg
from tests.optimizers import classifier
from tests.optimizers.classifier import EXAMPLES, Ended, Params, plain, stacked
from tests.optimizers.stacked import given

if TYPE_CHECKING:
    from gdcli.method import Method

RULES: list[Method] = [
    Armijo(),
    Armijo(reset=True, beta=0.5, weight_decay=0.1),
    Extragradient(),
    Lbfgs(history=3),
    Lbfgs(search="armijo", weight_decay=0.1),
    NonlinearCg(),
    NonlinearCg(beta="fletcher-reeves", c2=0.1),
    NonlinearCg(beta="hestenes-stiefel"),
    NonlinearCg(beta="hager-zhang"),
    NewtonCg(weight_decay=0.1),
    GaussNewton(damping=0.01),
    LevenbergMarquardt(),
]
each_rule = pytest.mark.parametrize("rule", RULES, ids=repr)
SEEDS, LRS = [0, 1, 2, 3], [1.0, 3.0, 30.0, 0.1]


def steep(params: Params, data: classifier.Data) -> Tensor:
    """Return a loss that is nan outside of a ball."""
    far = params["weight"].square().sum() > 30
    return classifier.loss(params, data) + torch.where(far, math.nan, 0.0)


def same(a: Ended, i: int, b: Ended, j: int) -> bool:
    """Return whether two trials end at the same bits, with the same state, and as many asks."""
    points = all(torch.equal(a.params[name][i], b.params[name][j]) for name in a.params)
    states = all(
        torch.equal(a.state[name][i].nan_to_num(), b.state[name][j].nan_to_num())
        for name in a.state
    )
    return points and states and [c[i] for c in a.charged] == [c[j] for c in b.charged]


@each_rule
def test_a_trial_has_the_same_bits_alone_and_in_a_stack_and_the_same_charge(rule: Method) -> None:
    together = stacked(rule, SEEDS, LRS)
    for i, (seed, lr) in enumerate(zip(SEEDS, LRS, strict=True)):
        assert same(together, i, stacked(rule, [seed], [lr]), 0)


@each_rule
def test_a_trial_under_vmap_is_the_trial_without(rule: Method) -> None:
    together = stacked(rule, SEEDS, LRS)
    for i, (seed, lr) in enumerate(zip(SEEDS, LRS, strict=True)):
        alone = plain(rule, seed, lr)
        for name, param in alone.params.items():
            assert torch.allclose(together.params[name][i], param, rtol=1e-11, atol=1e-12)
        assert [c[i] for c in together.charged] == [c[0] for c in alone.charged]


@each_rule
def test_a_diverging_neighbour_changes_no_bit(rule: Method) -> None:
    """Its features are so large that losses and slopes overflow."""
    for size in (1e160, math.inf):
        together = stacked(rule, [0, 9, 2], [1.0, 3.0, 0.1], sizes=[1.0, size, 1.0])
        assert same(together, 0, stacked(rule, [0], [1.0]), 0)
        assert same(together, 2, stacked(rule, [2], [0.1]), 0)


@each_rule
def test_a_loss_that_is_no_number_ends_the_search_and_leaves_the_parameters(rule: Method) -> None:
    found = plain(rule, 0, 1.0, steps=3, size=math.nan)
    if isinstance(rule, Extragradient):
        assert found.charged == [[2 * EXAMPLES]] * 3
        return
    assert all(torch.equal(found.params[name], p) for name, p in classifier.start(0).items())
    assert found.charged == [[EXAMPLES]] * 3


@pytest.mark.parametrize("rule", [r for r in RULES if not isinstance(r, Extragradient)], ids=repr)
def test_trial_points_where_the_loss_is_no_number_are_too_far(rule: Method) -> None:
    found = plain(rule, 0, 1000.0, steps=12, loss_of=steep)
    first, last = (
        float(steep(params, classifier.problem(0)))
        for params in (classifier.start(0), found.params)
    )
    assert last < first
    assert max(charge for (charge,) in found.charged) <= 130 * EXAMPLES


@pytest.mark.parametrize(
    ("rule", "lr", "field", "values"),
    [
        (Armijo(), 30.0, "c", [0.1, 0.5, 0.9]),
        (Armijo(), 30.0, "beta", [0.9, 0.5, 0.1]),
        (Armijo(), 30.0, "growth", [1.0, 2.0, 10.0]),
        (Lbfgs(), 3.0, "c2", [0.9, 0.1, 0.01]),
        (Lbfgs(search="armijo"), 30.0, "c1", [1e-4, 0.3, 0.8]),
        (Lbfgs(weight_decay=0.1), 3.0, "weight_decay", [0.0, 0.1, 1.0]),
        (NonlinearCg(), 3.0, "c2", [0.4, 0.1, 0.01]),
        (NewtonCg(), 3.0, "forcing", [0.5, 0.1, 1e-3]),
        (NewtonCg(), 3.0, "c", [1e-4, 0.3, 0.8]),
        (GaussNewton(), 1.0, "damping", [0.0, 0.1, 10.0]),
        (LevenbergMarquardt(), 1.0, "damping", [1.0, 3.0, 10.0]),
        (LevenbergMarquardt(damping=1.0), 1.0, "forcing", [0.5, 0.1, 1e-3]),
        (Extragradient(weight_decay=0.1), 0.3, "weight_decay", [0.0, 0.1, 1.0]),
    ],
)
def test_trials_of_a_stack_differ_in_their_numbers(
    rule: Method, lr: float, field: str, values: list[float]
) -> None:
    together = stacked(rule, [0, 0, 0], [lr] * 3, {field: values}, steps=4)
    assert len({tuple(together.params["weight"][i].tolist()) for i in range(3)}) == 3
    for i, value in enumerate(values):
        number = torch.tensor(value, dtype=torch.float64)
        alone = plain(given(rule, {field: number}), 0, lr, steps=4)
        for name, param in alone.params.items():
            assert torch.allclose(together.params[name][i], param, rtol=1e-10, atol=1e-11)


def test_a_search_is_charged_for_the_points_it_tries() -> None:
    """A start, and steps of 8, 4, 2 and so on until one decreases the loss enough."""
    rule = Armijo(beta=0.5, c=0.5)
    data, params = classifier.problem(0), classifier.start(0)
    ask = classifier.plain_ask(data)
    loss, grad = ask(params)
    square, t, tried = sum(float(g.square().sum()) for g in grad.values()), 8.0, 1
    while (
        float(classifier.loss({n: p - t * grad[n] for n, p in params.items()}, data))
        > float(loss) - 0.5 * t * square
    ):
        t, tried = t / 2, tried + 1
    assert tried > 2
    found = plain(rule, 0, 8.0, steps=1)
    assert found.charged == [[(1 + tried) * EXAMPLES]]
    assert float(found.state["step"]) == t


@pytest.mark.parametrize(
    ("rule", "most"),
    [
        (Armijo(trials=3), 1 + 3),
        (Lbfgs(trials=2), 1 + 2),
        (NonlinearCg(trials=1), 1 + 1),
        (NewtonCg(products=2, trials=1), 1 + 2 + 1),
        (GaussNewton(products=3, trials=2), 1 + 3 + 2),
        (LevenbergMarquardt(products=1), 1 + 1 + 1),
    ],
)
def test_loops_end_at_their_bounds(rule: Method, most: int) -> None:
    """Where each point is worse than the last, or a little better each time."""

    def uphill(params: Params, data: classifier.Data) -> Tensor:
        here = classifier.start(0)["weight"]
        away = (params["weight"] - here).abs().sum()
        return classifier.loss(params, data) + torch.where(away > 0, 1e3, 0.0)

    found = plain(rule, 0, 1.0, steps=1, loss_of=uphill)
    assert found.charged[0][0] <= most * EXAMPLES
    if not isinstance(rule, LevenbergMarquardt | NewtonCg):
        assert found.charged == [[most * EXAMPLES]]
    assert all(torch.equal(found.params[name], p) for name, p in classifier.start(0).items())


def test_armijo_goes_on_from_its_last_step() -> None:
    """It grows the last step, and no further than to the learning rate."""
    rule = Armijo(beta=0.5, growth=2.0)
    state: Any = {"step": torch.tensor(0.01, dtype=torch.float64)}
    ask = classifier.plain_ask(classifier.problem(0))
    for lr, expected in ((1.0, 0.02), (0.015, 0.015)):
        _, after = rule.step(classifier.start(0), state, ask, torch.tensor(lr).double(), 2)
        assert float(after["step"]) == pytest.approx(expected, rel=1e-7)


def test_newton_cg_leaves_a_point_of_negative_curvature() -> None:
    """At the first product: along the steepest descent, as far as the curvature's size gives."""

    def saddle(params: Params, _: classifier.Data) -> Tensor:
        w = params["weight"]
        return (0.25 * w**4 - 0.5 * w**2).sum() + params["bias"].square()

    data = classifier.problem(0)
    params = {"weight": torch.full((5,), 0.01).double(), "bias": torch.zeros(()).double()}
    rule, rate = NewtonCg(), torch.tensor(1.0).double()
    for step in range(1, 30):
        params, _ = rule.step(params, {}, classifier.plain_ask(data, saddle), rate, step)
    assert torch.allclose(params["weight"], torch.ones(5).double(), atol=1e-6)
