"""A method mapped over trials: each trial is as alone, whatever becomes of its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
import torch

from gdcli import trees
from gdcli.method import Method
from gdcli.optimizers.adahessian import AdaHessian
from gdcli.optimizers.adgd import AdGD
from gdcli.optimizers.alig import ALIG
from gdcli.optimizers.barzilai_borwein import BarzilaiBorwein
from gdcli.optimizers.dadapt_adam import DAdaptAdam
from gdcli.optimizers.dadapt_sgd import DAdaptSGD
from gdcli.optimizers.dog import DoG
from gdcli.optimizers.dowg import DoWG
from gdcli.optimizers.momo import MoMo
from gdcli.optimizers.momo_adam import MoMoAdam
from gdcli.optimizers.polyak import Polyak
from gdcli.optimizers.prodigy import Prodigy
from gdcli.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from gdcli.optimizers.schedule_free_radam import ScheduleFreeRAdam
from gdcli.optimizers.schedule_free_sgd import ScheduleFreeSGD
from gdcli.optimizers.sophia import Sophia
from gdcli.optimizers.sophia_g import SophiaG
from tests.optimizers.oracle import Params, ask_of, furthest, ours, start
from tests.optimizers.stacked import stacked

# Rules of trials that differ in numbers, and their learning rates.
Make = Callable[..., Method]
CASES: dict[str, tuple[Make, list[dict[str, Any]], list[float]]] = {
    "prodigy": (
        partial(Prodigy, bias_correction=True, growth_rate=1.5),
        [{"beta1": 0.8, "d0": 1e-3}, {"beta2": 0.99, "d0": 1e-2}, {"d_coef": 0.5}],
        [1.0, 0.5, 2.0],
    ),
    "dadapt-adam": (
        partial(DAdaptAdam, bias_correction=True),
        [{"beta1": 0.8, "d0": 1e-3}, {"beta2": 0.99, "d0": 1e-2}, {"eps": 1e-4}],
        [1.0, 0.5, 2.0],
    ),
    "dadapt-sgd": (
        DAdaptSGD,
        [{"momentum": 0.8, "d0": 1e-3}, {"d0": 1e-2}, {"momentum": 0.5}],
        [1.0, 0.5, 2.0],
    ),
    "dog": (DoG, [{"r0": 1e-2}, {"eps": 1e-3}, {"r0": 1e-3, "eps": 0.0}], [1.0, 0.5, 2.0]),
    "dowg": (DoWG, [{"r2": 1e-2}, {"eps": 1e-3}, {"r2": 1e-3}], [0.5, 0.2, 0.1]),
    "barzilai-borwein": (
        partial(BarzilaiBorwein, size="short", same_batch=True),
        [{}, {}, {}],
        [0.1, 0.05, 0.02],
    ),
    "adgd": (AdGD, [{"growth": 0.5}, {"damping": 1.5}, {}], [0.1, 0.05, 0.01]),
    "polyak": (Polyak, [{"c": 0.5}, {"lower_bound": 0.5}, {}], [1.0, 0.5, 0.1]),
    "alig": (ALIG, [{"beta": 0.5}, {"lower_bound": 0.5}, {"eps": 1e-3}], [0.1, 0.2, 0.05]),
    "momo": (
        partial(MoMo, adapt_lower_bound=True),
        [{"beta": 0.5}, {"lower_bound": 0.5}, {"lower_bound": -1.0}],
        [1.0, 0.5, 0.1],
    ),
    "momo-adam": (
        partial(MoMoAdam, adapt_lower_bound=True),
        [{"beta1": 0.5}, {"lower_bound": 0.5}, {"beta2": 0.9, "eps": 1e-3}],
        [0.01, 0.05, 0.1],
    ),
    "adahessian": (
        partial(AdaHessian, every=3),
        [{"beta1": 0.5}, {"power": 0.5}, {"beta2": 0.9, "eps": 1e-3}],
        [0.01, 0.05, 0.02],
    ),
    "sophia": (
        partial(Sophia, every=3),
        [{"beta1": 0.5}, {"gamma": 0.5}, {"beta2": 0.9, "eps": 1e-3}],
        [0.001, 0.005, 0.002],
    ),
    "sophia-g": (
        partial(SophiaG, every=3),
        [{"beta1": 0.5}, {"gamma": 0.5}, {"beta2": 0.9, "eps": 1e-3}],
        [0.001, 0.005, 0.002],
    ),
    "schedule-free-sgd": (
        partial(ScheduleFreeSGD, warmup_steps=10),
        [{"beta": 0.5}, {"r": 0.5}, {"weight_lr_power": 1.0}],
        [0.1, 0.2, 0.05],
    ),
    "schedule-free-adamw": (
        partial(ScheduleFreeAdamW, warmup_steps=10, decay_at="z"),
        [{"beta1": 0.5}, {"r": 0.5, "beta2": 0.9}, {"eps": 1e-3}],
        [0.01, 0.02, 0.05],
    ),
    "schedule-free-radam": (
        ScheduleFreeRAdam,
        [{"beta1": 0.5}, {"r": 0.5, "beta2": 0.9}, {"eps": 1e-3}],
        [0.01, 0.02, 0.05],
    ),
}
DECAYS = (0.01, 0.1, 0.001)


def rules(name: str, *, decays: bool) -> tuple[list[Method], list[float]]:
    make, fields, rates = CASES[name]
    given = zip(fields, DECAYS, strict=True)
    return [make(**own, weight_decay=decay if decays else 0.0) for own, decay in given], rates


@pytest.mark.parametrize("decays", [False, True], ids=["plain", "decay"])
@pytest.mark.parametrize("name", CASES)
def test_each_trial_of_a_stack_is_as_alone(name: str, decays: bool) -> None:  # noqa: FBT001
    made, rates = rules(name, decays=decays)
    for rule, rate, point in zip(made, rates, stacked(made, rates), strict=True):
        assert furthest(point, ours(rule, rate)) < 1e-12


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e200])
@pytest.mark.parametrize("name", CASES)
def test_a_diverging_neighbour_changes_no_bit(name: str, bad: float) -> None:
    made, rates = rules(name, decays=True)
    sound = [start() for _ in made]
    ill = [start(), {n: torch.full_like(p, bad) for n, p in start().items()}, start()]
    beside, alone = stacked(made, rates, ill), stacked(made, rates, sound)
    for i in (0, 2):
        for parameter, array in alone[i].items():
            assert torch.equal(beside[i][parameter], array)


@pytest.mark.parametrize("name", CASES)
def test_a_stack_in_float32_stays_in_float32(name: str) -> None:
    made, rates = rules(name, decays=True)
    starts = [{n: p.float() for n, p in start().items()} for _ in made]
    for point in stacked(made, rates, starts, steps=4):
        assert {array.dtype for array in point.values()} == {torch.float32}


def flat(tree: Any) -> list[torch.Tensor]:
    return (
        [leaf for held in tree.values() for leaf in flat(held)]
        if isinstance(tree, dict)
        else [tree]
    )


@pytest.mark.parametrize("name", CASES)
def test_a_step_changes_nothing_given_and_keeps_the_form_of_its_state(name: str) -> None:
    for rule, rate in zip(*rules(name, decays=True), strict=True):
        params, lr = start(), torch.tensor(rate, dtype=torch.float64)
        state = rule.init(params, ask_of(0))
        for step in range(3):
            given = [*flat(params), *flat(state)]
            kept = [array.clone() for array in given]
            params, after = rule.step(params, state, ask_of(step), lr, step + 1)
            assert all(map(torch.equal, given, kept))
            assert [a.shape for a in flat(after)] == [a.shape for a in flat(state)]
            assert after.keys() == state.keys()
            state = after


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_0_move_nothing(name: str) -> None:
    """A trial may start at a stationary point: no step divides 0 by 0."""
    for rule, rate in zip(*rules(name, decays=False), strict=True):
        params, lr = start(), torch.tensor(rate, dtype=torch.float64)
        ask: Any = Flat()
        state = rule.init(params, ask)
        for step in range(3):
            params, state = rule.step(params, state, ask, lr, step + 1)
        assert furthest(rule.at(params, state), start()) == 0
        assert furthest(params, start()) == 0


@pytest.mark.parametrize("rate", [0.0, 0.01])
@pytest.mark.parametrize("name", CASES)
def test_a_learning_rate_may_be_a_plain_number(name: str, rate: float) -> None:
    for rule in rules(name, decays=True)[0]:
        points = []
        for lr in (rate, torch.tensor(rate, dtype=torch.float64)):
            params, given = start(), cast("Any", lr)
            state = rule.init(params, ask_of(0))
            for step in range(3):
                params, state = rule.step(params, state, ask_of(step), given, step + 1)
            points.append(rule.at(params, state))
        assert furthest(*points) < 1e-15


class Flat:
    """A loss that is 1 everywhere."""

    def __call__(self, params: Params) -> tuple[torch.Tensor, Params]:
        """Return loss and gradient."""
        return torch.tensor(1.0, dtype=torch.float64), trees.zeros(params)

    def signs(self, params: Params) -> Params:
        """Return ones."""
        return {name: torch.ones_like(param) for name, param in params.items()}

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return zeros."""
        return trees.zeros(params)

    def gauss_newton_diagonal(self, params: Params) -> Params:
        """Return zeros."""
        return trees.zeros(params)
