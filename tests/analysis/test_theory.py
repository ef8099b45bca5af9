"""Stability limits and rates of `gdcli.analysis.theory`, against what the engine measures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gdcli.analysis.theory import (
    FastestMomentum,
    best_momentum,
    condition_number,
    convergence_rate,
    has_too_much_momentum,
    stability_limit,
)
from gdcli.catalog.catalog import name_of
from gdcli.engine.families.known import Curvature
from gdcli.optimizers.adam import Adam
from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.nesterov import Nesterov
from gdcli.optimizers.vanilla import Vanilla
from tests.grids import only, train

if TYPE_CHECKING:
    from gdcli.optimizer import Optimizer

LINEAR = [
    *(Vanilla(weight_decay=decay) for decay in (0.0, 0.5)),
    *(kind(beta=beta) for kind in (Momentum, Nesterov) for beta in (0.0, 0.5, 0.9)),
]


def distances(condition: float, rule: Optimizer, lr: float, steps: int) -> np.ndarray:
    """Return the distances to the minimiser at the start, half-way and at the end."""
    name = name_of(rule)
    run = train(
        "quadratic",
        {"condition": repr(condition)},
        optimizer=name,
        vary={f"{name}.beta": repr(rule.beta)} if isinstance(rule, Momentum) else {},
        lr=repr(lr),
        steps=str(steps),
        record=str(steps // 2),
    )
    return only(run).values["distance"]


def rate(rule: Optimizer, lr: float, *curvatures: float) -> float:
    found = convergence_rate(rule, lr, curvatures)
    assert found is not None
    return found


def limit(rule: Optimizer, largest: float) -> float:
    found = stability_limit(rule, largest)
    assert found is not None
    return found


@pytest.mark.parametrize("condition", [10.0, 100.0, 1000.0])
@pytest.mark.parametrize("rule", [Vanilla(), Momentum(beta=0.5), Nesterov(beta=0.5)], ids=str)
def test_the_rate_is_the_one_measured(condition: float, rule: Optimizer) -> None:
    steps = int(20 * condition)
    path = distances(condition, rule, 1 / condition, steps)
    measured = (path[2] / path[1]) ** (2 / steps)
    # Compared by what is missing to 1, which no progress would be.
    assert 1 - measured == pytest.approx(1 - rate(rule, 1 / condition, 1.0, condition), rel=0.01)


@pytest.mark.parametrize("condition", [10.0, 100.0, 1000.0])
@pytest.mark.parametrize("rule", [Vanilla(), Momentum(beta=0.9), Nesterov(beta=0.9)], ids=str)
def test_one_percent_beside_the_limit_decides(condition: float, rule: Optimizer) -> None:
    edge = limit(rule, condition)
    below, above = (distances(condition, rule, share * edge, 2000) for share in (0.99, 1.01))
    assert below[-1] < 0.1 * below[0]
    assert above[-1] > 1e3 * above[0]


@pytest.mark.parametrize("rule", LINEAR, ids=str)
def test_at_the_limit_nothing_shrinks(rule: Optimizer) -> None:
    edge = limit(rule, 7.0)
    assert rate(rule, edge, 7.0) == pytest.approx(1)
    assert rate(rule, 0.99 * edge, 7.0) < 1 < rate(rule, 1.01 * edge, 7.0)


@pytest.mark.parametrize("rule", LINEAR, ids=str)
@pytest.mark.parametrize("lr", [0.001, 0.01, 0.02, 0.1])
def test_between_the_ends_the_rate_is_no_larger(rule: Optimizer, lr: float) -> None:
    ends = rate(rule, lr, 1.0, 50.0)
    assert rate(rule, lr, *np.linspace(1, 50, 500).tolist()) <= ends * (1 + 1e-12)


@pytest.mark.parametrize("rule", LINEAR, ids=str)
def test_the_rate_is_the_spectral_radius_of_a_step(rule: Optimizer) -> None:
    beta, lr, h = getattr(rule, "beta", 0.0), 0.03, 5.0
    slope = h + rule.weight_decay
    ahead = 1 + beta if isinstance(rule, Nesterov) else 1.0
    share = beta * beta if isinstance(rule, Nesterov) else beta
    # (gap, velocity) -> the next ones, written out from the update.
    matrix = np.array([[1 - lr * ahead * slope, -lr * share], [slope, beta]])
    radius = abs(np.linalg.eigvals(matrix)).max()
    assert rate(rule, lr, h) == pytest.approx(radius)


def test_the_tuned_heavy_ball_has_its_rate() -> None:
    root = math.sqrt(100.0)
    rule = Momentum(beta=((root - 1) / (root + 1)) ** 2)
    found = rate(rule, 4 / (root + 1) ** 2, 1.0, 100.0)
    assert found == pytest.approx((root - 1) / (root + 1), rel=1e-6)


@pytest.mark.parametrize("rule", [Adam(), Vanilla(clip_norm=1.0)], ids=str)
def test_nothing_is_claimed_of_other_rules(rule: Optimizer) -> None:
    assert stability_limit(rule, 1.0) is None
    assert convergence_rate(rule, 0.1, (1.0,)) is None


def test_a_flat_function_has_no_limit() -> None:
    assert stability_limit(Vanilla(), 0.0) is None


def bowl(condition: float) -> Curvature:
    ends = {"largest": 3 * condition, "smallest": 3.0, "smallest_positive": 3.0}
    return Curvature(**ends, exact=True, every_batch=True)


BOUNDED = Curvature(10.0, 0.0, exact=False, every_batch=False)
SINGULAR = Curvature(10.0, 0.0, exact=True, every_batch=False, smallest_positive=2.0)


def test_the_condition_number_is_that_of_the_curvatures_above_0() -> None:
    assert condition_number(bowl(50.0)) == pytest.approx(50)
    assert condition_number(SINGULAR) == 5
    assert condition_number(BOUNDED) is None
    assert condition_number(Curvature(10.0, 0.0, exact=True, every_batch=False)) is None
    # So a manifest of an earlier version has it.
    assert condition_number(Curvature(10.0, 0.5, exact=True, every_batch=False)) == 20


def fastest(kind: type[Optimizer], curvature: Curvature) -> FastestMomentum:
    """Return the fastest learning rate and momentum, as in docs/explanation.md."""
    largest, smallest = curvature.largest, curvature.smallest
    condition = largest / smallest
    if kind is Nesterov:
        root = math.sqrt(3 * condition + 1)
        return FastestMomentum(4 / (3 * largest + smallest), (root - 2) / (root + 2), 1 - 2 / root)
    if kind is Momentum:
        root = math.sqrt(condition)
        best = (root - 1) / (root + 1)
        return FastestMomentum(4 / (math.sqrt(largest) + math.sqrt(smallest)) ** 2, best**2, best)
    return FastestMomentum(2 / (largest + smallest), 0.0, (condition - 1) / (condition + 1))


@pytest.mark.parametrize("condition", [2.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("kind", [Vanilla, Momentum, Nesterov])
def test_no_setting_is_faster_than_the_best(condition: float, kind: type[Optimizer]) -> None:
    curvature = bowl(condition)
    best = fastest(kind, curvature)
    betas = [best.beta] if kind is Vanilla else np.linspace(0, 1, 401)[:-1].tolist()
    rates = best.lr * np.linspace(0.3, 2, 171)

    def at(lr: float, beta: float) -> float:
        rule = Vanilla() if kind is Vanilla else kind(beta=beta)  # type: ignore[call-arg]
        return rate(rule, lr, curvature.smallest, curvature.largest)

    # At the best one two roots meet: rounding moves them by its square root.
    assert at(best.lr, best.beta) == pytest.approx(best.rate, rel=1e-6)
    lowest = min(at(lr, beta) for lr in rates.tolist() for beta in betas)
    assert best.rate <= lowest * (1 + 1e-9)
    assert lowest == pytest.approx(best.rate, rel=0.02)


def test_nesterovs_best_setting_descends_at_its_rate() -> None:
    best = fastest(Nesterov, Curvature(100.0, 1.0, exact=True, every_batch=True))
    path = distances(100.0, Nesterov(beta=best.beta), best.lr, 200)
    # A double root: the distance falls like (a + b t) rate^t.
    assert (path[2] / path[1]) ** (1 / 100) == pytest.approx(best.rate, rel=0.01)


@pytest.mark.parametrize("condition", [2.0, 10.0, 100.0])
@pytest.mark.parametrize("kind", [Momentum, Nesterov])
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0, 1.2, 4 / 3, 1.6, 2.5, 3.5])
def test_no_momentum_is_faster_at_that_rate(
    condition: float, kind: type[Momentum], share: float
) -> None:
    curvature = bowl(condition)
    lr, ends = share / curvature.largest, (curvature.smallest, curvature.largest)
    betas = np.linspace(0, 1, 2001)[:-1].tolist()
    rates = [rate(kind(beta=beta), lr, *ends) for beta in betas]
    best = best_momentum(kind(), lr, curvature)
    if best is None:
        assert min(rates) >= 1
        return
    assert best.rate <= min(rates) * (1 + 1e-9)
    assert best.rate == pytest.approx(rate(kind(beta=best.beta), lr, *ends), rel=1e-6)
    for beta, found in zip(betas, rates, strict=True):
        if has_too_much_momentum(kind(beta=beta), lr, curvature):
            assert found > best.rate
        else:
            assert beta <= best.beta + 1e-12


def test_too_much_momentum_fades_as_its_root() -> None:
    curvature = bowl(10.0)
    lr, heavy = 1 / curvature.largest, Momentum(beta=0.9)
    assert has_too_much_momentum(heavy, lr, curvature)
    assert rate(heavy, lr, curvature.smallest, curvature.largest) == pytest.approx(math.sqrt(0.9))
    assert not has_too_much_momentum(Momentum(beta=0.1), lr, curvature)
    # A small rate needs it.
    assert not has_too_much_momentum(heavy, 0.001 * lr, curvature)


@pytest.mark.parametrize("rule", [Vanilla(), Adam(), Momentum(weight_decay=0.1)], ids=str)
def test_nothing_is_said_of_the_momentum_of_others(rule: Optimizer) -> None:
    assert best_momentum(Momentum(), 0.1, BOUNDED) is None
    assert best_momentum(rule, 0.1, bowl(10.0)) is None
    assert not has_too_much_momentum(rule, 0.1, bowl(10.0))


@pytest.mark.parametrize(
    ("rule", "limit"),
    [(Vanilla(), 0.2), (Momentum(beta=0.5), 0.3), (Nesterov(beta=0.5), 0.15)],
    ids=str,
)
def test_at_an_exact_limit_descent_bounces_and_above_it_diverges(
    rule: Optimizer, limit: float
) -> None:
    assert stability_limit(rule, 10.0) == pytest.approx(limit)
    below, at, above = (distances(10.0, rule, share * limit, 400) for share in (0.97, 1, 1.03))
    assert below[2] < 0.1 * below[1]
    assert at[2] == pytest.approx(at[1], rel=1e-6)
    assert above[-1] > 10 * above[0]
