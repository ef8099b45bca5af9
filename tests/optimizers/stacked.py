"""Trials of one method mapped by vmap over a stack, as the engine maps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gdcli import trees
from gdcli.method import Kind, Method
from tests.optimizers.oracle import (
    BATCHES,
    KINDS,
    STEPS,
    Params,
    batches,
    cost,
    cost_of_drawn,
    outputs,
    signs_at,
    start,
)


@dataclass
class MappedAsk:
    """The batch of a step, whose answers vmap maps over the trials."""

    batch: tuple[Tensor, Tensor]
    whole: tuple[Tensor, Tensor]
    at: int
    horizon: int
    kind: Mapping[str, Kind]
    epoch: int = 1
    predictions: int = 0
    l2: float = 0.0
    full_batch: bool = False

    @property
    def examples(self) -> int:
        """Return the number of training examples."""
        return len(self.whole[0])

    def loss(self, params: Params) -> Tensor:
        """Return the loss of the batch."""
        return cost(outputs(params, self.batch[0]), self.batch[1])

    def __call__(self, params: Params) -> tuple[Tensor, Params]:
        """Return loss and gradient of the batch."""
        grad, loss = torch.func.grad_and_value(self.loss)(params)
        return loss, grad

    def all_examples(self, params: Params) -> tuple[Tensor, Params]:
        """Return loss and gradient of all examples."""
        x, y = self.whole
        grad, loss = torch.func.grad_and_value(lambda p: cost(outputs(p, x), y))(params)
        return loss, grad

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the Hessian of the batch's loss times a direction."""

        def along(params: Params) -> Tensor:
            product: Tensor = trees.dot(torch.func.grad(self.loss)(params), direction)
            return product

        product: Params = torch.func.grad(along)(params)
        return product

    def gauss_newton_diagonal(self, params: Params) -> Params:
        """Return n times the squared mean gradient of n labels that are drawn."""

        def drawn(params: Params) -> Tensor:
            return cost_of_drawn(outputs(params, self.batch[0]), self.at)[0]

        slopes = torch.func.grad(drawn)(params)
        return {name: len(self.batch[0]) * slope * slope for name, slope in slopes.items()}

    def signs(self, params: Params) -> Params:
        """Return the random signs of the step."""
        return signs_at(("oracle", 0), self.at, params)

    def everyone(self, done: Tensor) -> bool:
        """Return False: loops run to their end."""
        return False


def given(rule: Method, numbers: Mapping[str, Any]) -> Method:
    """Return a rule with numbers of its own, as the engine gives them to it."""
    found = copy(rule)
    for name, value in numbers.items():
        object.__setattr__(found, name, value)
    return found


@dataclass
class Stack:
    """Trials of rules of one class, which differ in numbers alone."""

    rules: Sequence[Method]
    rates: Sequence[float]
    starts: Sequence[Params]
    ask: Callable[[int, Any], Any]  # what a step may ask, counted from 1, of a trial's own data
    own: Any = field(default_factory=dict)  # the data of each trial, as trees that vmap maps

    def trained(self, steps: int) -> tuple[Params, Params, Any]:
        """Return the points handed out, the parameters and the states: the trials come first."""
        params = {n: torch.stack([each[n] for each in self.starts]) for n in self.starts[0]}
        lr = torch.tensor(self.rates, dtype=next(iter(params.values())).dtype)
        state = self._mapped(lambda rule, own, p: rule.init(p, self.ask(0, own)), params)
        for step in range(1, steps + 1):

            def moved(rule: Method, own: Any, params: Any, *held: Any, step: int = step) -> Any:
                return rule.step(params, held[0], self.ask(step, own), held[1], step)

            params, state = self._mapped(moved, params, state, lr)
        points = self._mapped(lambda rule, _, *held: rule.at(*held), params, state)
        return points, params, state

    def _mapped(self, function: Callable[..., Any], params: Params, *rest: Any) -> Any:
        first, dtype = self.rules[0], next(iter(params.values())).dtype
        numbers = {
            name: torch.tensor([getattr(rule, name) for rule in self.rules], dtype=dtype)
            for name in first.stacked_fields()
            if name != "weight_decay" or any(rule.decays for rule in self.rules)
        }

        def one(numbers: dict[str, Tensor], own: Any, *held: Any) -> Any:
            return function(given(first, numbers), own, *held)

        return torch.func.vmap(one)(numbers, self.own, params, *rest)


def stacked(
    rules: Sequence[Method],
    rates: Sequence[float],
    starts: Sequence[Params] | None = None,
    steps: int = STEPS,
) -> list[Params]:
    """Return the points that rules hand out on the network's losses, each with a rate of its own.

    The rules are of one class and differ in numbers alone.
    """
    starts = starts or [start() for _ in rules]
    dtype = starts[0]["w1"].dtype
    data = [(x.to(dtype), y.to(dtype)) for x, y in batches()]
    whole = torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])

    def ask(step: int, _: Any) -> MappedAsk:
        at = max(step - 1, 0)
        return MappedAsk(data[at % BATCHES], whole, at, steps, KINDS)

    points, _, _ = Stack(rules, rates, starts, ask).trained(steps)
    return [{name: array[i] for name, array in points.items()} for i in range(len(rules))]
