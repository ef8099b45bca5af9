"""Every wrapper takes the steps, and hands out the point, of a reference that nobody here wrote."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import optax
import pytest
import pytorch_optimizer as references
import torch
from optax.contrib import normalize, sam
from pytorch_optimizer.optimizer import sam as sam_module
from pytorch_optimizer.optimizer.agc import agc
from pytorch_optimizer.optimizer.gradient_centralization import centralize_gradient
from torch import Tensor
from torch.nn import ParameterList
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gdcli.catalog.catalog import OPTIMIZERS, WRAPPERS
from gdcli.method import Method
from tests.optimizers.oracle import BATCHES, STEPS, Params, ask_of, furthest, ours, start
from tests.optimizers.stacked import stacked
from tests.oracles import in_optax

CLOSE = 1e-10
RATE = 0.02
AROUND: dict[str, tuple[dict[str, float], Any]] = {  # a rule, its fields, and torch's
    "adamw": (
        {"weight_decay": 0.1, "adamw__beta2": 0.99},
        lambda held: torch.optim.AdamW(held, lr=RATE, betas=(0.9, 0.99), weight_decay=0.1),
    ),
    "momentum": (
        {"weight_decay": 0.05},
        lambda held: torch.optim.SGD(held, lr=RATE, momentum=0.9, weight_decay=0.05),
    ),
}
Change = Callable[[list[Tensor]], None]


def made(name: str, **values: Any) -> Method:
    rule = OPTIMIZERS.find(name, "--optimizer")(**values)
    assert isinstance(rule, Method)
    return rule


def around(name: str, rest: str, **values: Any) -> Method:
    return made(f"{name}+{rest}", **AROUND[name][0], **values)


def nothing(_: Any) -> None:
    """Change nothing."""


def loop(make: Any, gradient: Change = nothing, after: Change = nothing) -> Params:
    """Return where an optimizer of torch's kind ends; its gradients may be changed first.

    A closure computes the gradient again, for an optimizer that asks for it at another point.
    """
    params = {name: param.requires_grad_() for name, param in start().items()}
    held = list(params.values())
    optimizer = make(held)
    for step in range(STEPS):
        ask = ask_of(step)

        def closure(ask: Any = ask) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = ask.differentiable(params)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        closure()
        gradient(held)
        optimizer.step(closure if isinstance(optimizer, references.SAM) else None)
        after(held)
    return {name: param.detach() for name, param in params.items()}


class Averaged:
    """torch's average of the weights, which some of the steps join."""

    def __init__(self, joins: Callable[[int], bool], **options: Any) -> None:
        self.joins, self.options, self.step = joins, options, 0
        self.model: AveragedModel | None = None

    def __call__(self, held: list[Tensor]) -> None:
        model = ParameterList(held)
        self.model = self.model or AveragedModel(model, **self.options)
        self.step += 1
        if self.joins(self.step):
            self.model.update_parameters(model)

    @property
    def params(self) -> Params:
        assert self.model is not None
        return dict(zip(start(), (p.detach() for p in self.model.parameters()), strict=True))


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_ema_is_the_exponential_average_of_torch(name: str, decay: float) -> None:
    average = Averaged(lambda _: True, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    loop(AROUND[name][1], after=average)
    assert furthest(ours(around(name, "ema", ema__decay=decay), RATE), average.params) < CLOSE


@pytest.mark.parametrize("name", AROUND)
def test_average_is_the_equal_average_of_torch(name: str) -> None:
    average = Averaged(lambda _: True)
    loop(AROUND[name][1], after=average)
    assert furthest(ours(around(name, "average"), RATE), average.params) < CLOSE


@pytest.mark.parametrize(("first", "every"), [(0.75, 1), (0.5, 3), (0.0, 7)])
def test_swa_is_the_average_of_torch_over_the_last_part(first: float, every: int) -> None:
    average = Averaged(lambda step: step > first * STEPS and step % every == 0)
    loop(AROUND["momentum"][1], after=average)
    rule = around("momentum", "swa", swa__start=first, swa__every=every)
    assert furthest(ours(rule, RATE), average.params) < CLOSE


@pytest.mark.parametrize(("rest", "every"), [("swa", {"swa__every": 31}), ("lawa", {})])
def test_an_average_without_a_member_is_the_weights(rest: str, every: dict[str, int]) -> None:
    plain, _, _ = trained(around("momentum", "average"), 30)
    assert furthest(ours(around("momentum", rest, **every), RATE, 30), plain) == 0


@pytest.mark.parametrize(("count", "every"), [(3, 5), (6, 4), (20, 4)])
def test_lawa_is_the_average_of_torch_of_the_last_checkpoints(count: int, every: int) -> None:
    kept: deque[list[Tensor]] = deque(maxlen=count)
    steps = iter(range(1, STEPS + 1))

    def after(held: list[Tensor]) -> None:
        if next(steps) % every == 0:
            kept.append([param.detach().clone() for param in held])

    loop(AROUND["adamw"][1], after=after)
    average = Averaged(lambda _: True)
    for checkpoint in kept:
        average(checkpoint)
    rule = around("adamw", "lawa", lawa__count=count, lawa__every=every)
    assert furthest(ours(rule, RATE), average.params) < CLOSE


def trained(rule: Method, steps: int = STEPS) -> tuple[Params, Any, int]:
    """Return the parameters that are trained, the state, and the examples that were asked for."""
    params, seen = start(), 0
    state = rule.init(params, ask_of(0))
    for step in range(steps):
        ask = ask_of(step)
        params, state = rule.step(
            params, state, ask, torch.tensor(RATE, dtype=torch.float64), step + 1
        )
        seen += ask.seen
    return params, state, seen


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize(("k", "alpha"), [(5, 0.5), (7, 0.8)])
def test_lookahead_is_that_of_pytorch_optimizer(name: str, k: int, alpha: float) -> None:
    held: list[Any] = []

    def make(params: list[Tensor]) -> Any:
        held.append(references.Lookahead(AROUND[name][1](params), k=k, alpha=alpha))
        return held[0]

    fast = loop(make)
    rule = around(name, "lookahead", lookahead__k=k, lookahead__alpha=alpha)
    params, state, _ = trained(rule)
    assert furthest(params, fast) < CLOSE
    slow = [entry["slow_params"] for entry in held[0].state.values() if "slow_params" in entry]
    assert furthest(rule.at(params, state), dict(zip(start(), slow, strict=True))) < CLOSE


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_grams_is_that_of_pytorch_optimizer(decay: float) -> None:
    def make(held: list[Tensor]) -> Any:
        return references.Grams(held, lr=RATE, betas=(0.9, 0.99), weight_decay=decay, eps=1e-8)

    rule = made("adamw+grams", weight_decay=decay, adamw__beta2=0.99)
    assert furthest(ours(rule, RATE), loop(make)) < CLOSE


def cautious_adamw(held: list[Tensor], decay: float = 0.1) -> Any:
    """Return AdEMAMix without its slow average: Adam, with pytorch-optimizer's cautious mask."""
    options: dict[str, Any] = {"weight_decay": decay, "weight_decouple": True, "cautious": True}
    return references.AdEMAMix(held, lr=RATE, betas=(0.9, 0.99, 0.9999), alpha=0.0, **options)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_cautious_is_that_of_pytorch_optimizer(decay: float) -> None:
    rule = made("adamw+cautious", weight_decay=decay, adamw__beta2=0.99)
    assert furthest(ours(rule, RATE), loop(lambda held: cautious_adamw(held, decay))) < CLOSE

    def lion(held: list[Tensor]) -> Any:
        options: dict[str, Any] = {"weight_decay": decay, "weight_decouple": True}
        return references.Lion(held, lr=0.001, betas=(0.9, 0.99), cautious=True, **options)

    assert furthest(ours(made("lion+cautious", weight_decay=decay), 0.001), loop(lion)) < CLOSE


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_cautious_agrees_with_the_gradient_that_has_the_weight_decay(decay: float) -> None:
    def make(held: list[Tensor]) -> Any:
        options: dict[str, Any] = {"weight_decay": decay, "weight_decouple": False}
        return references.AdEMAMix(
            held, lr=RATE, betas=(0.9, 0.99, 0.9999), alpha=0.0, cautious=True, **options
        )

    rule = made("adam+cautious", weight_decay=decay, adam__beta2=0.99)
    assert furthest(ours(rule, RATE), loop(make)) < CLOSE


def test_grams_takes_the_signs_of_the_gradient_that_has_the_weight_decay() -> None:
    """There it is added to the gradient after the step is made of it: here, before."""

    def decayed(held: list[Tensor]) -> None:
        for param in held:
            gradient_of(param).add_(param.detach(), alpha=0.5)

    rule = made("adam+grams", weight_decay=0.5, adam__beta2=0.99)
    reference = loop(
        lambda held: references.Grams(held, lr=RATE, betas=(0.9, 0.99), eps=1e-8), gradient=decayed
    )
    assert furthest(ours(rule, RATE), reference) < CLOSE


def test_an_average_of_cautious_steps_is_both_references_put_together() -> None:
    average = Averaged(lambda _: True, multi_avg_fn=get_ema_multi_avg_fn(0.9))  # type: ignore[no-untyped-call]
    loop(cautious_adamw, after=average)
    values = {"weight_decay": 0.1, "adamw__beta2": 0.99, "ema__decay": 0.9}
    assert furthest(ours(made("adamw+cautious+ema", **values), RATE), average.params) < CLOSE


@pytest.mark.parametrize("gamma", [0.025, 0.5])
@pytest.mark.parametrize("rest", ["mars", "mars+cautious"])
def test_mars_is_that_of_pytorch_optimizer(
    monkeypatch: pytest.MonkeyPatch, gamma: float, rest: str
) -> None:
    """There eps is added before the bias is corrected: it is next to nothing here, in both."""
    beta = 0.9
    bound = partial(references.MARS.apply_ams_bound_foreach, exp_avg_sq_eps=0.0)
    # There 1e-15 is added to the mean square, too.
    monkeypatch.setattr(references.MARS, "apply_ams_bound_foreach", staticmethod(bound))

    def make(held: list[Tensor]) -> Any:
        return references.MARS(
            *(held, RATE, (beta, 0.99), gamma),
            optimize_1d=True,
            weight_decay=0.1,
            cautious="cautious" in rest,
            foreach=True,
            eps=1e-30,
        )

    values = {"adamw__beta2": 0.99, "adamw__eps": 1e-30, "mars__beta": beta}
    rule = made(f"adamw+{rest}", weight_decay=0.1, mars__gamma=gamma, **values)
    assert furthest(ours(rule, RATE), loop(make)) < CLOSE


def squared_norm(groups: Any, weight_adaptive: bool = False) -> Tensor:  # noqa: FBT001, FBT002 -- that of the reference
    """Return what get_global_gradient_norm is to, in float64; there it is rounded to float32."""
    found = [
        (p.grad * p.abs() if weight_adaptive and group["adaptive"] else p.grad).square().sum()
        for group in groups
        for p in group["params"]
    ]
    return torch.stack(found).sum().reshape(1)


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("rho", [0.05, 0.5])
@pytest.mark.parametrize("rest", ["sam", "asam"])
def test_sam_is_that_of_pytorch_optimizer_but_for_its_norm_in_float32(
    monkeypatch: pytest.MonkeyPatch, name: str, rest: str, rho: float
) -> None:
    def make(held: list[Tensor]) -> Any:
        made = AROUND[name][1](held)
        options = {k: v for k, v in made.defaults.items() if k in ("lr", "betas", "momentum")}
        options["weight_decay"] = made.defaults["weight_decay"]
        return references.SAM(held, type(made), rho=rho, adaptive=rest == "asam", **options)

    found = ours(around(name, rest, **{f"{rest}__rho": rho}), RATE)
    rounded = furthest(found, loop(make))
    assert CLOSE < rounded < 1e-4
    monkeypatch.setattr(sam_module, "get_global_gradient_norm", squared_norm)
    assert furthest(found, loop(make)) < CLOSE


def test_sam_is_that_of_optax() -> None:
    ascent = optax.chain(normalize(), optax.sgd(0.3))
    reference = sam(optax.sgd(RATE, momentum=0.9), ascent, opaque_mode=True)
    params = jax.tree.map(in_optax.arrays, start())
    state = reference.init(params)
    for step in range(STEPS):
        ask = ask_of(step)

        def gradient(at: Any, _: int = 0, ask: Any = ask) -> Any:
            return jax.tree.map(in_optax.arrays, ask(in_optax.tensors(at))[1])

        updates, state = reference.update(gradient(params), state, params, grad_fn=gradient)
        params = optax.apply_updates(params, updates)
    rule = made("momentum+sam", sam__rho=0.3)
    assert furthest(ours(rule, RATE), in_optax.tensors(params)) < CLOSE


def by_value(limit: float) -> Change:
    return lambda held: torch.nn.utils.clip_grad_value_(held, limit)


def by_layer(limit: float) -> Change:
    def change(held: list[Tensor]) -> None:
        for param in held:
            torch.nn.utils.clip_grad_norm_([param], limit)

    return change


def by_unit(limit: float, eps: float) -> Change:
    def change(held: list[Tensor]) -> None:
        for param in held:
            param.grad = agc(param.detach(), gradient_of(param), eps, limit)

    return change


def gradient_of(param: Tensor) -> Tensor:
    assert param.grad is not None
    return param.grad


def centred(held: list[Tensor]) -> None:
    for param in held:
        centralize_gradient(gradient_of(param))


CHANGES: list[tuple[str, dict[str, float], Change]] = [
    ("clip-value", {"clip_value__limit": 0.02}, by_value(0.02)),
    ("clip-value", {}, by_value(1.0)),
    ("clip-layer", {"clip_layer__limit": 0.05}, by_layer(0.05)),
    ("clip-layer", {}, by_layer(1.0)),
    ("adaptive-clip", {}, by_unit(0.01, 1e-3)),
    (
        "adaptive-clip",
        {"adaptive_clip__limit": 1e-8, "adaptive_clip__eps": 0.5},
        by_unit(1e-8, 0.5),
    ),
    ("adaptive-clip", {"adaptive_clip__limit": 0.1, "adaptive_clip__eps": 0.5}, by_unit(0.1, 0.5)),
    ("centralise", {}, centred),
]


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize(("rest", "values", "change"), CHANGES)
def test_changed_gradients_are_those_of_the_reference(
    name: str, rest: str, values: dict[str, float], change: Change
) -> None:
    reference = loop(AROUND[name][1], gradient=change)
    assert furthest(ours(around(name, rest, **values), RATE), reference) < CLOSE


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("batches", [1, 2, 5])
def test_accumulated_batches_are_one_joined_batch(name: str, batches: int) -> None:
    params = {n: param.requires_grad_() for n, param in start().items()}
    optimizer = AROUND[name][1](list(params.values()))
    for step in range(STEPS // batches):
        optimizer.zero_grad()
        asks = [ask_of(step * batches + at) for at in range(batches)]
        # Batches of one size: the loss of the joined one is the mean.
        loss = torch.stack([ask.differentiable(params) for ask in asks]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    reference = {n: param.detach() for n, param in params.items()}
    rule = around(name, "accumulate", accumulate__batches=batches)
    assert furthest(ours(rule, RATE), reference) < CLOSE


def test_the_rule_within_knows_how_many_steps_it_has() -> None:
    """SWA begins after half of the steps of the rule: 6 of 12, with 4 batches each."""
    plain = around("momentum", "accumulate", accumulate__batches=4)
    points, params = [], start()
    state = plain.init(params, ask_of(0))
    for step in range(STEPS):
        lr = torch.tensor(RATE, dtype=torch.float64)
        params, state = plain.step(params, state, ask_of(step), lr, step + 1)
        points.append(params)
    average = Averaged(lambda _: True)
    for point in points[27::4]:
        average([param.clone() for param in point.values()])
    rule = around("momentum", "swa+accumulate", swa__start=0.5, accumulate__batches=4)
    assert furthest(ours(rule, RATE), average.params) < CLOSE


def test_the_gradients_of_sam_are_accumulated() -> None:
    params = {n: param.requires_grad_() for n, param in start().items()}
    optimizer = AROUND["momentum"][1](list(params.values()))
    for step in range(STEPS // 2):
        total = {n: torch.zeros_like(p) for n, p in params.items()}
        for at in range(2):
            ask = ask_of(2 * step + at)
            point = {n: p.detach() for n, p in params.items()}
            _, gradient = ask(point)
            length = torch.cat([g.reshape(-1) for g in gradient.values()]).norm()
            _, gradient = ask({n: p + 0.3 * gradient[n] / length for n, p in point.items()})
            total = {n: total[n] + gradient[n] / 2 for n in total}
        for n, param in params.items():
            param.grad = total[n]
        optimizer.step()
    rule = around("momentum", "accumulate+sam", accumulate__batches=2, sam__rho=0.3)
    assert furthest(ours(rule, RATE), {n: p.detach() for n, p in params.items()}) < CLOSE


OWN: dict[str, dict[str, Any]] = {  # numbers that differ between trials, where there are some
    "ema": {"ema__decay": 0.7},
    "swa": {"swa__start": 0.3},
    "lookahead": {"lookahead__alpha": 0.9},
    "sam": {"sam__rho": 0.4},
    "asam": {"asam__rho": 0.1},
    "mars": {"mars__gamma": 0.3, "mars__beta": 0.8},
    "clip-value": {"clip_value__limit": 0.01},
    "clip-layer": {"clip_layer__limit": 0.01},
    "adaptive-clip": {"adaptive_clip__limit": 0.3, "adaptive_clip__eps": 0.2},
}


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_a_trial_mapped_beside_others_is_the_trial_alone(name: str) -> None:
    values = {"lawa__every": 3} if name == "lawa" else {}
    rules = [
        around("adamw", name, **values),
        made(f"adamw+{name}", weight_decay=0.3, **values, **OWN.get(name, {})),
    ]
    found = stacked(rules, (RATE, 0.005), steps=20)
    for rule, lr, mapped in zip(rules, (RATE, 0.005), found, strict=True):
        assert furthest(mapped, ours(rule, lr, 20)) < CLOSE


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_a_diverging_neighbour_changes_no_bit(name: str) -> None:
    rule = around("adamw", name)
    (alone,) = stacked([rule], (RATE,), steps=10)
    beside, diverged = stacked([rule, rule], (RATE, 1e300), steps=10)
    assert all(torch.equal(alone[param], beside[param]) for param in alone)
    assert name == "lawa" or not all(bool(p.isfinite().all()) for p in diverged.values())


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_gradients_are_charged_once(name: str) -> None:
    size = ask_of(0).size
    _, _, seen = trained(around("momentum", name), BATCHES)
    assert seen == BATCHES * size * (2 if name in ("sam", "asam") else 1)


@pytest.mark.parametrize(
    "name", ["adamw+cautious+sam+ema", "adamw+sam+cautious", "adamw+mars+sam+lookahead+ema"]
)
def test_wrappers_that_share_a_gradient_are_charged_once(name: str) -> None:
    size = ask_of(0).size
    _, _, seen = trained(made(name), BATCHES)
    assert seen == BATCHES * size * 2
