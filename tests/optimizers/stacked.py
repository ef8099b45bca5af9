"""Trials of one method mapped by vmap over a stack, as the engine maps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
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

    def signs(self, params: Params) -> Params:
        """Return the random signs of the step."""
        return signs_at(("oracle", 0), self.at, params)

    def everyone(self, done: Tensor) -> bool:
        """Return False: loops run to their end."""
        return False


def stacked(
    rules: Sequence[Method],
    rates: Sequence[float],
    starts: Sequence[Params] | None = None,
    steps: int = STEPS,
) -> list[Params]:
    """Return the points that the rules hand out after some steps, each with a rate of its own.

    The rules are of one class and differ in numbers alone.
    """
    fields = rules[0].stacked_fields()
    given = starts or [start() for _ in rules]
    params = {name: torch.stack([each[name] for each in given]) for name in given[0]}
    dtype = params["w1"].dtype
    numbers = {
        name: torch.tensor([getattr(rule, name) for rule in rules], dtype=dtype) for name in fields
    }
    lr = torch.tensor(rates, dtype=dtype)
    data = [(x.to(dtype), y.to(dtype)) for x, y in batches()]
    whole = torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])

    def mapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def one(numbers: dict[str, Tensor], *given: Any) -> Any:
            rule = copy(rules[0])
            for name, number in numbers.items():
                if rules[0].decays or name != "weight_decay":
                    object.__setattr__(rule, name, number)
            return function(rule, *given)

        return lambda *given: torch.func.vmap(one)(numbers, *given)

    def ask(step: int) -> MappedAsk:
        return MappedAsk(data[step % BATCHES], whole, step, steps, KINDS)

    state = mapped(lambda rule, params: rule.init(params, ask(0)))(params)
    for step in range(steps):
        move = mapped(
            lambda rule, *given, step=step: rule.step(*given[:2], ask(step), given[2], step + 1)
        )
        params, state = move(params, state, lr)
    handed = mapped(lambda rule, *given: rule.at(*given))(params, state)
    return [{name: array[i] for name, array in handed.items()} for i in range(len(rules))]
