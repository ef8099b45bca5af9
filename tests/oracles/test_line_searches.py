from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from gdcli.optimizers.armijo import Armijo
from gdcli.optimizers.extragradient import Extragradient
from tests.optimizers import oracle

STEPS = oracle.STEPS


def jax_loss(params: Any, x: Any, y: Any, decay: float = 0.0) -> Any:
    z = jnp.tanh(x @ params["w1"].T + params["b1"]) @ params["w2"].T + params["b2"]
    penalty = sum((param * param).sum() for param in params.values())
    return ((z - y) ** 2).mean() + 0.5 * decay * penalty


def optax_armijo(rule: Armijo, lr: float, decay: float = 0.0) -> oracle.Params:
    search = optax.scale_by_backtracking_linesearch(
        max_backtracking_steps=rule.trials,
        slope_rtol=rule.c,
        decrease_factor=rule.beta,
        increase_factor=math.inf if rule.reset else rule.growth,
        max_learning_rate=lr,
    )
    chain = optax.chain(optax.sgd(1.0), search)
    params: Any = {name: jnp.asarray(param.numpy()) for name, param in oracle.start().items()}
    # Its first search starts near 1 whatever the largest step is; ours starts at the largest.
    state = optax.tree.set(chain.init(params), learning_rate=jnp.asarray(lr))
    given = [(jnp.asarray(x.numpy()), jnp.asarray(y.numpy())) for x, y in oracle.batches()]

    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        loss = partial(jax_loss, x=x, y=y, decay=decay)
        value, grad = jax.value_and_grad(loss)(params)
        updates, state = chain.update(grad, state, params, value=value, grad=grad, value_fn=loss)
        return optax.apply_updates(params, updates), state

    for at in range(STEPS):
        params, state = step(params, state, *given[at % len(given)])
    return {name: torch.from_numpy(np.array(param)) for name, param in params.items()}


@pytest.mark.parametrize(
    ("lr", "options"),
    [
        (1.0, {}),
        (30.0, {}),
        (30.0, {"c": 0.5, "beta": 0.7, "growth": 3.0}),
        (10.0, {"reset": True}),
        (10.0, {"growth": 1.0}),
        (10.0, {"weight_decay": 0.1}),
    ],
)
def test_armijo_is_the_back_tracking_search_of_optax(lr: float, options: dict[str, Any]) -> None:
    rule = Armijo(**options)
    reference = optax_armijo(rule, lr, options.get("weight_decay", 0.0))
    assert oracle.furthest(oracle.ours(rule, lr), reference) < 1e-10


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("lr", [0.05, 0.5])
def test_extragradient_is_two_plain_steps_of_which_the_first_is_taken_back(
    lr: float, decay: float
) -> None:
    params = {name: param.requires_grad_() for name, param in oracle.start().items()}
    descent = torch.optim.SGD(params.values(), lr=lr)
    for step in range(STEPS):
        ask = oracle.ask_of(step)
        before = [param.detach().clone() for param in params.values()]
        for half in range(2):
            descent.zero_grad()
            penalty = sum(param.square().sum() for param in params.values())
            (ask.differentiable(params) + 0.5 * decay * penalty).backward()  # type: ignore[no-untyped-call]
            if half:
                with torch.no_grad():
                    for param, old in zip(params.values(), before, strict=True):
                        param.copy_(old)
            descent.step()
    found = oracle.ours(Extragradient(weight_decay=decay), lr)
    assert oracle.furthest(found, {n: p.detach() for n, p in params.items()}) < 1e-10
