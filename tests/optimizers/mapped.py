"""A rule mapped over a few trials at once, by torch.func.vmap, on the losses of oracle.py."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gdcli.method import Method
from tests.optimizers.oracle import Params, ask_of, start


def together(rules: Sequence[Method], rates: Sequence[float], steps: int) -> list[Params]:
    """Return where trials of one class end that are trained together, each with its numbers."""
    first = rules[0]
    stacked = {name: [getattr(rule, name) for rule in rules] for name in first.stacked_fields()}
    numbers = {n: torch.tensor(v, dtype=torch.float64) for n, v in stacked.items()}
    if not first.decays:
        del numbers["weight_decay"]
    lrs = torch.tensor(rates, dtype=torch.float64)
    params = {n: torch.stack([param] * len(rules)) for n, param in start().items()}

    def one(numbers: dict[str, Tensor]) -> Method:
        rule = copy(first)
        for name, value in numbers.items():
            object.__setattr__(rule, name, value)
        return rule

    def asked(step: int) -> Any:
        ask = ask_of(step, steps)

        def slopes(params: Params) -> tuple[Tensor, Params]:
            grads, loss = torch.func.grad_and_value(ask.differentiable)(params)
            return loss, grads

        return replace(ask, slopes=slopes)

    about = asked(0)
    state = torch.func.vmap(lambda n, p: one(n).init(p, about))(numbers, params)
    for step in range(steps):
        ask = asked(step)
        params, state = torch.func.vmap(
            lambda n, p, s, lr, ask=ask, step=step: one(n).step(p, s, ask, lr, step + 1)
        )(numbers, params, state, lrs)
    found = torch.func.vmap(lambda n, p, s: one(n).at(p, s))(numbers, params, state)
    return [{n: array[trial] for n, array in found.items()} for trial in range(len(rules))]
