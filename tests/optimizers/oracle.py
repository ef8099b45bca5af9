"""A rule and a reference that nobody here wrote, side by side on the same losses.

The loss is that of a small network on fixed batches, in float64: matrices, biases, and gradients
that differ from step to step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gdcli.engine.sampling import exponentials, signs
from gdcli.engine.trial_ask import TrialAsk
from gdcli.method import Method

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.optimizer import Optimizer

Params = dict[str, Tensor]
STEPS = 50
BATCHES, SIZE, FEATURES, HIDDEN, OUTPUTS = 5, 16, 6, 8, 3
KINDS: dict[str, Any] = {"w1": "matrix", "b1": "bias", "w2": "matrix", "b2": "bias"}


def start(seed: int = 0) -> Params:
    """Return the parameters that every rule starts from."""
    rng = torch.Generator().manual_seed(seed)
    shapes = {"w1": (HIDDEN, FEATURES), "b1": (HIDDEN,), "w2": (OUTPUTS, HIDDEN), "b2": (OUTPUTS,)}
    return {
        name: 0.5 * torch.randn(shape, generator=rng, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def batches() -> list[tuple[Tensor, Tensor]]:
    """Return the batches, which come again and again."""
    rng = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(SIZE, FEATURES, generator=rng, dtype=torch.float64),
            torch.randn(SIZE, OUTPUTS, generator=rng, dtype=torch.float64),
        )
        for _ in range(BATCHES)
    ]


def signs_at(key: tuple[object, ...], step: int, params: Params) -> Params:
    """Return the random signs of a step, in the shapes of the parameters."""
    return {
        name: torch.from_numpy(signs(key, name, step, tuple(param.shape))).to(param)
        for name, param in params.items()
    }


def outputs(params: Params, x: Tensor) -> Tensor:
    """Return what the network predicts."""
    return torch.tanh(x @ params["w1"].T + params["b1"]) @ params["w2"].T + params["b2"]


def cost(z: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error."""
    return (z - y).square().mean()


def cost_of_drawn(z: Tensor, step: int) -> tuple[Tensor, int]:
    """Return the mean cross-entropy at labels drawn from the softmax, and how many these are."""
    race = torch.from_numpy(exponentials(("oracle", 0), step, tuple(z.shape)))
    labels = (torch.softmax(z.detach(), 1) / race).argmax(1)
    return torch.nn.functional.cross_entropy(z, labels), len(labels)


def ask_of(step: int, steps: int = STEPS, kinds: Any = None) -> TrialAsk:
    """Return what a rule may ask at a step, counted from 0."""
    given = batches()
    x, y = given[step % BATCHES]
    whole = tuple(torch.cat(parts) for parts in zip(*given, strict=True))

    def loss(params: Params, x: Tensor = x, y: Tensor = y) -> Tensor:
        return cost(outputs(params, x), y)

    def slopes(params: Params, x: Tensor = x, y: Tensor = y) -> tuple[Tensor, Params]:
        leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
        found = loss(leaves, x, y)
        grads = torch.autograd.grad(found, list(leaves.values()))
        return found.detach(), dict(zip(leaves, grads, strict=True))

    return TrialAsk(
        kind=kinds or KINDS,
        horizon=steps,
        examples=len(whole[0]),
        slopes=slopes,
        all_slopes=lambda params: slopes(params, *whole),
        differentiable=loss,
        size=len(x),
        key=("oracle", 0),
        at=step,
        outputs=lambda params: outputs(params, x),
        cost=lambda z: cost(z, y),
        drawn=lambda z: cost_of_drawn(z, step),
    )


def ours(rule: Optimizer | Method, lr: float, steps: int = STEPS) -> Params:
    """Return the point that a rule hands out after some steps, trained plainly."""
    params = start()
    if isinstance(rule, Method):
        state = rule.init(params, ask_of(0, steps))
        rate = torch.tensor(lr, dtype=torch.float64)
        for step in range(steps):
            params, state = rule.step(params, state, ask_of(step, steps), rate, step + 1)
        return rule.at(params, state)
    states = {name: rule.init(param) for name, param in params.items()}
    for step in range(steps):
        _, grads = ask_of(step, steps)(params)
        for name, grad in grads.items():
            slope, param = grad, params[name]
            if not rule.decoupled:
                slope = slope + rule.weight_decay * param
            direction, states[name] = rule.update(slope, states[name], param, step + 1)
            if rule.decoupled:
                direction = direction + rule.weight_decay * param
            params[name] = param - lr * direction
    return params


def theirs(make: Callable[[list[Tensor]], Any], steps: int = STEPS) -> Params:
    """Return where an optimizer of torch's kind ends; `make` makes it of the parameters.

    A closure is given to `step`, which most optimizers call once.
    """
    params = {name: param.requires_grad_() for name, param in start().items()}
    optimizer = make(list(params.values()))
    if hasattr(optimizer, "train"):
        optimizer.train()
    for step in range(steps):
        ask = ask_of(step, steps)

        def closure(ask: TrialAsk = ask) -> Tensor:
            optimizer.zero_grad()
            loss = ask.differentiable(params)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    return {name: param.detach() for name, param in params.items()}


def furthest(a: Params, b: Params) -> float:
    """Return the largest difference over all parameters, relative to the largest number."""
    assert a.keys() == b.keys()
    largest = max(float(array.abs().max()) for array in b.values())
    return max(float((a[name] - b[name]).abs().max()) for name in a) / largest
