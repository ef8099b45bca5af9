"""Rules of tensors and matrices over a stack of trials: mapped, alone, beside a diverging one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from gdcli.optimizers.adafactor import Adafactor
from gdcli.optimizers.adam_mini import AdamMini
from gdcli.optimizers.lamb import Lamb
from gdcli.optimizers.lars import Lars
from gdcli.optimizers.muon import Muon
from gdcli.optimizers.normuon import NorMuon
from gdcli.optimizers.novograd import NovoGrad
from gdcli.optimizers.psgd_kron import PsgdKron
from gdcli.optimizers.scion import Scion
from gdcli.optimizers.shampoo import Shampoo
from gdcli.optimizers.soap import Soap
from gdcli.optimizers.spectral_descent import SpectralDescent
from tests.optimizers.shapes import KINDS, bowl, stacked, start
from tests.optimizers.stacked import given

if TYPE_CHECKING:
    from gdcli.method import Method

# A rule, numbers in which its trials differ, and a learning rate.
RULES: list[tuple[Method, dict[str, tuple[float, float]], float]] = [
    (Muon(), {"beta": (0.8, 0.95), "eps": (1e-7, 1e-3), "weight_decay": (0.0, 0.2)}, 0.02),
    (Muon(nesterov=False, adjust="match_rms_adamw"), {}, 0.02),
    (Lars(), {"beta": (0.5, 0.9), "trust": (1e-3, 0.1), "weight_decay": (0.0, 0.2)}, 0.1),
    (Lamb(), {"beta1": (0.5, 0.9), "eps": (1e-8, 1e-3), "weight_decay": (0.0, 0.2)}, 0.02),
    (NovoGrad(), {"beta1": (0.5, 0.9), "beta2": (0.9, 0.99), "eps": (1e-8, 1e-3)}, 0.02),
    (NovoGrad(averaged=True), {"weight_decay": (0.0, 0.2)}, 0.02),
    (Adafactor(), {"decay": (0.5, 0.9), "clip": (1.0, 2.0), "smallest": (1e-3, 0.9)}, 0.1),
    (NorMuon(), {"beta1": (0.5, 0.9), "beta2": (0.5, 0.9), "eps": (1e-10, 1e-3)}, 0.02),
    (NorMuon(scale="rms"), {"weight_decay": (0.0, 0.2)}, 0.02),
    (Scion(), {"fresh": (0.1, 1.0), "radius": (1.0, 5.0), "eps": (1e-8, 1e-3)}, 0.02),
    (Scion(constrained=True), {}, 0.02),
    (SpectralDescent(), {"weight_decay": (0.0, 0.2)}, 0.02),
    (SpectralDescent(dual=False), {}, 0.02),
    (Shampoo(), {"exponent": (0.25, 0.5), "eps": (1e-3, 1e-1), "weight_decay": (0.0, 0.2)}, 0.1),
    (Shampoo(every=5, largest=6, eps=0.1), {}, 0.1),
    (
        Soap(largest=6),
        {"beta1": (0.5, 0.9), "beta2": (0.9, 0.99), "weight_decay": (0.0, 0.2)},
        0.02,
    ),
    (Soap(every=1, beta3=0.7, largest=6), {"eps": (1e-8, 1e-3)}, 0.02),
    (PsgdKron(), {"beta": (0.5, 0.9), "fit": (0.1, 0.5), "weight_decay": (0.0, 0.2)}, 0.02),
    (PsgdKron(every=3, balance=6, largest=6), {}, 0.02),
    (AdamMini(), {"beta1": (0.5, 0.9), "beta2": (0.9, 0.99), "eps": (1e-8, 1e-3)}, 0.02),
]
# Eigenvectors of singular matrices, and bfloat16, depend on the rounding of what comes before.
UNSTEADY: list[tuple[Method, dict[str, tuple[float, float]], float]] = [
    (Soap(every=2), {}, 0.02),
    (Muon(precision="bfloat16"), {"beta": (0.8, 0.95)}, 0.02),
]
STEPS = 12


def name_of(case: tuple[Method, Any, float]) -> str:
    """Return the name of a rule and of what is no default in it."""
    rule = case[0]
    changed = {n: v for n, v in vars(rule).items() if v != getattr(type(rule), n)}
    return " ".join([type(rule).__name__, *(f"{name}={value}" for name, value in changed.items())])


steady = pytest.mark.parametrize("case", RULES, ids=map(name_of, RULES))
every_rule = pytest.mark.parametrize("case", RULES + UNSTEADY, ids=map(name_of, RULES + UNSTEADY))


def moved_by(rule: Method) -> tuple[str, ...]:
    """Return the parameters whose kind the rule moves."""
    return tuple(name for name, kind in KINDS.items() if rule.kinds is None or kind in rule.kinds)


def trials_of(case: tuple[Any, Any, float], count: int, dtype: Any) -> list[Any]:
    """Return different trials of a rule."""
    rule, numbers, lr = case
    return [
        (
            start(moved_by(rule), seed, dtype),
            {n: low + (high - low) * seed / count for n, (low, high) in numbers.items()},
            lr * (1 + seed / count),
        )
        for seed in range(count)
    ]


@steady
def test_a_stack_does_what_each_trial_does(case: Any) -> None:
    rule = case[0]
    trials = trials_of(case, 3, torch.float64)
    together, _ = stacked(rule, trials, STEPS)
    for place, (first, numbers, lr) in enumerate(trials):
        own = given(rule, numbers)
        names, params = moved_by(rule), first
        state = own.init(params, bowl(names=names))
        for step in range(1, STEPS + 1):
            params, state = own.step(params, state, bowl(step, names), torch.tensor(lr), step)
        for name, param in own.at(params, state).items():
            torch.testing.assert_close(together[name][place], param, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_rule
def test_a_trial_has_the_same_bits_alone_and_beside_diverging_ones(case: Any, dtype: Any) -> None:
    rule = case[0]
    trials = trials_of(case, 19, dtype)  # more than a vector register holds
    for place, value in ((1, float("nan")), (4, float("inf")), (5, 1e30)):
        for param in trials[place][0].values():
            param.flatten()[0] = value
    together, _ = stacked(rule, trials, 8)
    sound = [0, 2, 8, 18]
    for places in ([0], [2], [8, 0], [18, 0, 2], [18, 1]):
        found, _ = stacked(rule, [trials[place] for place in places], 8)
        for at, place in enumerate(places):
            for name, param in found.items():
                if place in sound:
                    assert torch.isfinite(param[at]).all(), name
                    assert torch.equal(param[at], together[name][place]), name


@every_rule
def test_nothing_given_is_changed(case: Any) -> None:
    rule, _, lr = case
    params = start(moved_by(rule))
    before = {name: param.clone() for name, param in params.items()}
    state = rule.init(params, bowl(names=tuple(params)))
    for step in (1, 2):
        leaves, _ = torch.utils._pytree.tree_flatten(state)
        copies = [leaf.clone() for leaf in leaves]
        _, after = rule.step(
            params, state, bowl(step, tuple(params)), torch.tensor(lr).double(), step
        )
        assert all(map(torch.equal, leaves, copies))
        assert all(torch.equal(params[name], before[name]) for name in params)
        kept, shape = torch.utils._pytree.tree_flatten(after)
        assert shape == torch.utils._pytree.tree_flatten(state)[1]
        assert [leaf.shape for leaf in kept] == [leaf.shape for leaf in leaves]
        state = after


@every_rule
def test_a_rate_of_0_moves_nothing(case: Any) -> None:
    names = moved_by(case[0])
    params, rate = start(names), torch.tensor(0.0).double()
    state = case[0].init(params, bowl(names=names))
    for step in (1, 2):
        after, state = case[0].step(params, state, bowl(step, names), rate, step)
        assert all(torch.equal(after[name], params[name]) for name in names)


@every_rule
def test_a_gradient_of_zero_makes_no_nan(case: Any) -> None:
    rule, _, lr = case
    names = moved_by(rule)
    params = {name: torch.zeros_like(param) for name, param in start(names).items()}
    state = rule.init(params, bowl(names=names))
    for step in range(1, 4):
        ask = bowl(step, names)
        ask.goal = params
        params, state = rule.step(params, state, ask, torch.tensor(lr).double(), step)
    assert all((param == 0).all() for param in params.values())
