"""Losses on parameters of every shape, answered for one trial, and a map over trials.

The loss is sum(0.5 * curvature * (param - goal)^2), with another goal at every step. Its gradients
are plain arithmetic, so that torch.func.vmap maps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gdcli.method import Kind, Method
from tests.optimizers.stacked import Stack, given

Params = dict[str, Tensor]
STEPS = 50
SHAPES: dict[str, tuple[int, ...]] = {
    "wide": (4, 17),
    "tall": (8, 3),
    "square": (5, 5),
    "kernel": (4, 2, 3, 3),
    "words": (7, 3),
    "row": (1, 33),
    "bias": (6,),
    "single": (1,),
    "scale": (5,),
    "vector": (40,),
}
KINDS: dict[str, Kind] = {
    "wide": "matrix",
    "tall": "matrix",
    "square": "matrix",
    "kernel": "convolution",
    "words": "embedding",
    "row": "vector",
    "bias": "bias",
    "single": "bias",
    "scale": "norm",
    "vector": "vector",
}
MATRICES = ("wide", "tall", "square", "kernel")


def drawn(name: str, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return normal numbers in the shape of a parameter."""
    generator = torch.Generator().manual_seed(1000 * seed + list(SHAPES).index(name))
    return torch.randn(SHAPES[name], generator=generator, dtype=torch.float64).to(dtype)


def start(names: Iterable[str] = SHAPES, seed: int = 0, dtype: Any = torch.float64) -> Params:
    """Return the parameters that a trial starts from."""
    return {name: drawn(name, seed, dtype) for name in names}


@dataclass
class Bowl:
    """What a rule may ask of a step, counted from 1."""

    step: int = 1
    names: tuple[str, ...] = tuple(SHAPES)
    dtype: torch.dtype = torch.float64
    horizon: int = STEPS
    examples: int = 1
    epoch: int = 1
    predictions: int = 0
    l2: float = 0.0
    full_batch: bool = False
    kind: Mapping[str, Kind] = field(default_factory=lambda: KINDS)

    def __post_init__(self) -> None:
        self.goal = {name: drawn(name, 100 + self.step, self.dtype) for name in self.names}
        self.curvature = {name: 0.5 + drawn(name, 7, self.dtype).square() for name in self.names}
        self.random = {name: drawn(name, 500 + self.step, self.dtype).sign() for name in self.names}

    def __call__(self, params: Params) -> tuple[Tensor, Params]:
        """Return loss and gradient."""
        away = {name: param - self.goal[name] for name, param in params.items()}
        grad = {name: self.curvature[name] * gap for name, gap in away.items()}
        loss = torch.stack([0.5 * (grad[name] * gap).sum() for name, gap in away.items()]).sum()
        return loss, grad

    def loss(self, params: Params) -> Tensor:
        """Return the loss."""
        return self(params)[0]

    def all_examples(self, params: Params) -> tuple[Tensor, Params]:
        """Return loss and gradient: there is one example."""
        return self(params)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the Hessian times a direction."""
        return {name: self.curvature[name] * way for name, way in direction.items()}

    def gauss_newton_product(self, params: Params, direction: Params) -> Params:
        """Return the same: the loss is a sum of squares."""
        return self.hessian_product(params, direction)

    def signs(self, params: Params) -> Params:
        """Return random signs of the step."""
        return {name: self.random[name] for name in params}

    def everyone(self, done: Tensor) -> bool:
        """Return whether the only trial is done."""
        return bool(done)


def bowl(step: int = 1, names: tuple[str, ...] = tuple(SHAPES)) -> Any:
    """Return what a rule may ask of a step: it asks for no more than a bowl answers."""
    return Bowl(step, names)


def ours(
    rule: Method, lr: float, names: tuple[str, ...] = tuple(SHAPES), steps: int = STEPS
) -> Params:
    """Return where a rule ends."""
    params = start(names)
    state = rule.init(params, bowl(names=names))
    for step in range(1, steps + 1):
        rate = torch.tensor(lr, dtype=torch.float64)
        params, state = rule.step(params, state, bowl(step, names), rate, step)
    return rule.at(params, state)


def theirs(  # noqa: PLR0913 -- the settings of one comparison
    make: Callable[[list[Tensor]], Any],
    names: tuple[str, ...] = tuple(SHAPES),
    *,
    steps: int = STEPS,
    flat: bool = False,
    shrink: float = 0.0,
    before: Callable[[Any, int], None] | None = None,
) -> Params:
    """Return where an optimizer of torch's kind ends.

    `flat` gives it convolutions as matrices. `shrink` is what decoupled weight decay takes from the
    parameters in each step: the learning rate times the decay. `before` is called before each step.
    """
    held = {
        name: (p.flatten(1) if flat and p.ndim > 2 else p).requires_grad_()
        for name, p in start(names).items()
    }
    optimizer = make(list(held.values()))
    for step in range(1, steps + 1):
        given = {name: p.detach().view(SHAPES[name]).clone() for name, p in held.items()}
        _, grad = Bowl(step, names)(given)
        for name, p in held.items():
            p.grad = grad[name].view_as(p).clone()
            if shrink:
                p.data.mul_(1 - shrink)
        if before:
            before(optimizer, step)
        optimizer.step()
    return {name: p.detach().view(SHAPES[name]) for name, p in held.items()}


def stacked(
    rule: Method, trials: list[tuple[Params, dict[str, float], float]], steps: int
) -> tuple[Params, Any]:
    """Return points and states after some steps of trials, mapped over the stack.

    A trial is a starting point, the numbers of its rule and its learning rate.
    """
    starts, numbers, rates = zip(*trials, strict=True)
    names, dtype = tuple(starts[0]), next(iter(starts[0].values())).dtype
    rules = [given(rule, own) for own in numbers]
    asks = [Bowl(step, names, dtype) for step in range(steps + 1)]  # vmap draws no numbers
    points, _, state = Stack(rules, rates, starts, lambda step, _: asks[step]).trained(steps)
    return points, state
