"""Stability limits and rates of `gdcli.analysis.theory`, against what the engine measures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gdcli.analysis.theory import convergence_rate, stability_limit
from gdcli.discovery import name_of
from gdcli.optimizer import Optimizer
from gdcli.optimizers.adam import Adam
from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.nesterov import Nesterov
from gdcli.optimizers.vanilla import Vanilla
from tests.grids import only, train

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
