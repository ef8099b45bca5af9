"""The rules of each coordinate, with MADGRAD and ASGD, equal torch.optim, optax or their authors.

optax and pytorch_optimizer are read with the settings of the papers where they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import heavyball
import jax
import optax
import pytest
import pytorch_optimizer
import torch
from torch import Tensor

from gdcli.catalog.classes import import_part
from gdcli.method import Method
from gdcli.optimizer import Optimizer, Rule
from tests.optimizers.oracle import STEPS, ask_of, furthest, ours, start, theirs
from tests.optimizers.stacked import stacked
from tests.oracles import in_optax

CLOSE = 1e-10
Make = Callable[[list[Tensor]], Any]
Settings = dict[str, Any]
LR = 0.01


@pytest.fixture(autouse=True)
def float64_by_default() -> Iterator[None]:
    """Let references keep scalars in float64, too."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def rule(name: str, **fields: Any) -> Optimizer | Method:
    """Return a built-in rule."""
    module = import_part(f"gdcli.optimizers.{name}")
    (cls,) = (
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Rule) and c.__module__ == module.__name__
    )
    made = cls(**fields)
    assert isinstance(made, Optimizer | Method)
    return made


class L2(torch.optim.Optimizer):
    """A reference without weight decay of its own, given gradients that hold it."""

    def __init__(self, inner: torch.optim.Optimizer, decay: float) -> None:
        """Take the reference and the decay."""
        super().__init__(inner.param_groups, {})
        self.inner, self.decay = inner, decay

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step of the reference."""
        with torch.enable_grad():
            closure()
        for group in self.param_groups:
            for param in group["params"]:
                param.grad.add_(param, alpha=self.decay)
        self.inner.step()


def torchs(name: str, **arguments: Any) -> Make:
    """Return how a class of torch.optim is made."""
    return lambda params: getattr(torch.optim, name)(params, **{"lr": LR, **arguments})


def kozistr(name: str, **arguments: Any) -> Make:
    """Return how a class of pytorch_optimizer is made."""
    return lambda params: getattr(pytorch_optimizer, name)(params, **{"lr": LR, **arguments})


def betas(fields: Settings, *names: str) -> Settings:
    """Return fields with some of them together as `betas`."""
    rest = {name: value for name, value in fields.items() if name not in names}
    return {**rest, "betas": tuple(fields[name] for name in names)}


MOMENTS: list[Settings] = [
    {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
    {"beta1": 0.0, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.1},
    {"beta1": 0.8, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.5},
]
PLAIN: list[Settings] = [{}, {"weight_decay": 0.1}]


def of_moments() -> Iterator[tuple[str, Settings, Make]]:
    """Yield cases of rules with the settings of Adam."""
    for fields in MOMENTS:
        given = betas(fields, "beta1", "beta2")
        for name, reference in (("adam", "Adam"), ("adamw", "AdamW"), ("adamax", "Adamax")):
            # AdamW's decay has a default of its own.
            yield (
                name,
                {"weight_decay": 0.0, **fields},
                torchs(reference, **{"weight_decay": 0.0, **given}),
            )
        for name, reference in (("nadam", "NAdam"), ("radam", "RAdam")):
            yield name, fields, torchs(reference, **given)
        yield "amsgrad", fields, torchs("Adam", amsgrad=True, **given)
        ahead = torchs("NAdam", decoupled_weight_decay=True, **given)
        yield "nadamw", {"weight_decay": 0.0, **fields}, ahead
        yield "adabelief", fields, kozistr("AdaBelief", **given)
        yield (
            "adopt",
            fields,
            kozistr("ADOPT", clip_lambda=lambda step: (step - 1) ** 0.25, **given),
        )
        yield "adopt", fields | {"clip": False}, kozistr("ADOPT", clip_lambda=None, **given)
        for third in (0.99, 0.5):
            three = betas(fields | {"beta3": third}, "beta1", "beta2", "beta3")
            yield "adan", fields | {"beta3": third}, kozistr("Adan", weight_decouple=True, **three)
            mixed = fields | {"beta3": third, "alpha": 4.0}
            three = betas(mixed, "beta1", "beta2", "beta3")
            yield "ademamix", mixed, kozistr("AdEMAMix", weight_decouple=True, **three)
            # Its warm-up takes a logarithm, and goes on after its end if beta3 < beta1.
            if 0 < fields["beta1"] < third:
                for warmup in (20.0, 300.0):
                    warm = three | {"t_alpha_beta3": warmup, "weight_decouple": True}
                    yield "ademamix", mixed | {"warmup": warmup}, kozistr("AdEMAMix", **warm)


def of_others() -> Iterator[tuple[str, Settings, Make]]:
    """Yield cases of the other rules."""
    for fields in PLAIN:
        decay = fields.get("weight_decay", 0.0)
        yield "vanilla", fields, torchs("SGD", **fields)
        yield "sign_sgd", fields, kozistr("SignSGD", momentum=0.0, weight_decouple=False, **fields)
        yield "lion", fields, kozistr("Lion", weight_decouple=True, **fields)
        other = fields | {"beta1": 0.5, "beta2": 0.8}
        decayed = betas(other, "beta1", "beta2")
        yield "lion", other, kozistr("Lion", weight_decouple=True, **decayed)
        for beta in (0.9, 0.5):
            moving = fields | {"beta": beta}
            yield "momentum", moving, torchs("SGD", momentum=beta, **fields)
            yield "nesterov", moving, torchs("SGD", momentum=beta, nesterov=True, **fields)
            yield "signum", moving, kozistr("SignSGD", momentum=beta, **fields)
            for nu in (0.7, 0.0, 1.0):
                yield "qhm", moving | {"nu": nu}, kozistr("QHM", momentum=beta, nu=nu, **fields)
        yield "adagrad", fields, torchs("Adagrad", **fields)
        yield "adagrad", fields | {"eps": 0.1}, torchs("Adagrad", eps=0.1, **fields)
        for alpha, eps in ((0.99, 1e-8), (0.5, 0.1)):
            turning = fields | {"eps": eps}
            yield "rmsprop", turning | {"alpha": alpha}, torchs("RMSprop", alpha=alpha, **turning)
            yield "adadelta", turning | {"rho": alpha}, torchs("Adadelta", rho=alpha, **turning)
        for count, scale in ((3, 0.1), (2, 0.5), (5, 0.4)):
            shares = tuple(1 - scale**i for i in range(count))
            several = fields | {"velocities": count, "scale": scale}
            yield "aggmo", several, kozistr("AggMo", betas=shares, **fields)
        for eta, sizes in (((0.5, 1.2), (1e-6, 50.0)), ((0.7, 1.5), (0.005, 0.02))):
            turning = {"shrink": eta[0], "grow": eta[1]}
            limits = {"smallest": sizes[0] / LR, "largest": sizes[1] / LR}
            yield "rprop", fields | turning | limits, _decaying(eta, sizes, decay)
        for momentum, eps in ((0.9, 1e-6), (0.5, 1e-3), (0.0, 1e-6)):
            # It adds eps to the rate.
            near = fields | {"momentum": momentum, "eps": eps}
            yield "madgrad", near, kozistr("MADGRAD", **near | {"lr": LR - eps})


def _decaying(eta: tuple[float, float], sizes: tuple[float, float], decay: float) -> Make:
    return lambda params: L2(torch.optim.Rprop(params, lr=LR, etas=eta, step_sizes=sizes), decay)


CASES = [*of_moments(), *of_others()]


@pytest.mark.parametrize(
    ("name", "fields", "make"), CASES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(CASES)]
)
def test_equals_its_reference(name: str, fields: Settings, make: Make) -> None:
    assert furthest(ours(rule(name, **fields), LR), theirs(make)) < CLOSE


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(("beta1", "beta2", "eps"), [(0.9, 0.999, 1e-3), (0.5, 0.9, 1e-6)])
def test_yogi_equals_optax_with_a_mean_that_starts_at_0(
    beta1: float, beta2: float, eps: float, decay: float
) -> None:
    mine = rule("yogi", beta1=beta1, beta2=beta2, eps=eps, initial=1e-4, weight_decay=decay)
    scale = optax.scale_by_yogi(beta1, beta2, eps, initial_accumulator_value=1e-4)
    chain = optax.chain(optax.add_decayed_weights(decay), scale, optax.scale(-LR))

    def begin(state: Any) -> Any:
        zeros = jax.tree.map(jax.numpy.zeros_like, state[1].mu)
        return state[0], state[1]._replace(mu=zeros), state[2]

    assert furthest(ours(mine, LR), in_optax.theirs(chain, begin=begin)) < CLOSE
    assert furthest(ours(mine, LR), in_optax.theirs(chain)) > 1e-8  # optax as it comes


@pytest.mark.parametrize("clip", [True, False])
def test_adopt_clips_as_optax_does_and_less_than_pytorch_optimizer(*, clip: bool) -> None:
    mine = ours(rule("adopt", beta2=0.9, clip=clip), LR)
    adopt = optax.contrib.adopt(LR, b2=0.9, eps=1e-6, use_clipping=clip)
    assert furthest(mine, in_optax.theirs(adopt)) < CLOSE
    if clip:
        assert furthest(mine, theirs(kozistr("ADOPT", betas=(0.9, 0.9)))) > CLOSE


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.999), (0.5, 0.9), (0.9, 0.0)])
def test_laprop_equals_heavyball(
    beta1: float, beta2: float, decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heavyball.utils, "compile_mode", None)
    same = {"weight_decay": decay, "eps": 1e-15}  # its eps is the least divisor: none is as small

    def make(params: list[Tensor]) -> Any:
        return heavyball.LaProp(
            params, lr=LR, betas=(beta1, beta2), storage_dtype="float64", **same
        )

    mine = rule("laprop", beta1=beta1, beta2=beta2, **same)
    assert furthest(ours(mine, LR), theirs(make)) < CLOSE


def test_laprop_adds_eps_to_the_divisor_as_pytorch_optimizer_does() -> None:
    # With beta2 = 0 alone: otherwise that adds it before the bias correction. It adds 1e-15 more.
    reference = kozistr("LaProp", betas=(0.5, 0.0), eps=0.1, foreach=False)
    mine = rule("laprop", beta1=0.5, beta2=0.0, eps=0.1)
    assert furthest(ours(mine, LR), theirs(reference)) < CLOSE


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("begin", "fall", "power"), [(0, 1e-4, 0.75), (20, 0.5, 0.6), (100, 0.1, 1.0)]
)
def test_asgd_equals_torchs_point_and_its_mean(
    begin: int, fall: float, power: float, decay: float
) -> None:
    mine = rule("asgd", start=begin, decay=fall, power=power, weight_decay=decay)
    assert isinstance(mine, Method)
    made: list[torch.optim.ASGD] = []

    def make(params: list[Tensor]) -> torch.optim.ASGD:
        made.append(
            torch.optim.ASGD(
                params, lr=LR, lambd=fall, alpha=power, t0=begin - 1, weight_decay=decay
            )
        )
        return made[0]

    point = theirs(make)
    means = {
        name: made[0].state[param]["ax"]
        for name, param in zip(point, made[0].param_groups[0]["params"], strict=True)
    }
    assert furthest(ours(mine, LR), means) < CLOSE
    params, rate = start(), torch.tensor(LR)
    state = mine.init(params, ask_of(0))
    for step in range(STEPS):
        params, state = mine.step(params, state, ask_of(step), rate, step + 1)
    assert furthest(params, point) < CLOSE
    assert (furthest(params, mine.at(params, state)) == 0) == (begin >= STEPS)


MAPPED: list[tuple[str, dict[str, list[float]]]] = [
    ("madgrad", {"momentum": [0.9, 0.5, 0.0], "eps": [1e-6, 1e-3, 1e-2]}),
    ("madgrad", {"weight_decay": [0.1, 0.2, 0.5]}),
    ("asgd", {"decay": [1e-4, 0.5, 0.0], "power": [0.75, 0.5, 1.0]}),
    ("asgd", {"weight_decay": [0.1, 0.2, 0.5]}),
]


@pytest.mark.parametrize(("name", "fields"), MAPPED)
def test_a_method_mapped_over_trials_is_each_alone(
    name: str, fields: dict[str, list[float]]
) -> None:
    rates, values = [0.01, 0.1, 0.001], zip(*fields.values(), strict=True)
    rules: list[Any] = [rule(name, **dict(zip(fields, own, strict=True))) for own in values]
    for mine, rate, point in zip(rules, rates, stacked(rules, rates, steps=10), strict=True):
        assert furthest(point, ours(mine, rate, 10)) < 1e-14
