"""A stack of linear classifiers, one for each trial, with what each trial is charged.

A classifier's loss is written in sums over one axis and in
operations that are rounded correctly (exp and log are not), so that a trial's numbers have the same
bits alone as in a stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from gdcli import trees
from gdcli.engine.trial_ask import TrialAsk
from tests.optimizers.stacked import Stack, given

if TYPE_CHECKING:
    from gdcli.method import Method

Params = dict[str, Tensor]
Data = tuple[Tensor, Tensor]
EXAMPLES, FEATURES = 24, 5


def problem(seed: int, size: float = 1.0) -> Data:
    """Return features and labels, -1 or 1, of a classifier."""
    rng = torch.Generator().manual_seed(seed)
    x = size * torch.randn(EXAMPLES, FEATURES, generator=rng, dtype=torch.float64)
    noise = torch.randn(EXAMPLES, generator=rng, dtype=torch.float64)
    return x, (x.sum(1) + noise).sign()


def start(seed: int) -> Params:
    """Return a starting point."""
    rng = torch.Generator().manual_seed(100 + seed)
    return {
        "weight": torch.randn(FEATURES, generator=rng, dtype=torch.float64),
        "bias": torch.randn((), generator=rng, dtype=torch.float64),
    }


def outputs(params: Params, data: Data) -> Tensor:
    """Return the margins of all examples."""
    return (data[0] * params["weight"]).sum(-1) + params["bias"]


def cost(z: Tensor, data: Data) -> Tensor:
    """Return the mean of sqrt(1 + m**2) - m, m = y * z: a convex, smooth loss of margins."""
    m = data[1] * z
    return ((1 + m * m).sqrt() - m).mean()


def loss(params: Params, data: Data) -> Tensor:
    """Return the loss of a trial, with a little weight decay that makes its minimum unique."""
    return cost(outputs(params, data), data) + 0.01 * params["weight"].square().sum()


class _Seen(torch.autograd.Function):
    """A scalar of one trial, shown to a function as those of all trials."""

    @staticmethod
    def forward(*_: Any) -> Tensor:
        raise AssertionError

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: there is no way back."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, show: Callable[[Tensor], None], scalar: Tensor) -> Any:
        where = in_dims[1]
        every = scalar.expand(info.batch_size) if where is None else scalar
        show(every)
        return every.clone(), 0


@dataclass
class Charges:
    """The examples that each trial of a stack has asked for, shape (trials,)."""

    seen: Tensor
    running: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.running = torch.ones_like(self.seen, dtype=torch.bool)

    def add(self) -> None:
        """Charge all trials that are not done for one pass over their examples."""
        self.seen = self.seen + EXAMPLES * self.running


@dataclass
class StackAsk:
    """What a step may ask, inside of vmap."""

    data: Data
    charges: Charges
    loss_of: Callable[[Params, Data], Tensor]
    kind: Any = None
    horizon: int = 50
    examples: int = EXAMPLES
    full_batch: bool = False
    epoch: int = 1
    predictions: int = 0
    l2: float = 0.0

    def __call__(self, params: Params) -> tuple[Tensor, Params]:
        """Return loss and gradient."""
        self.charges.add()
        grad, found = torch.func.grad_and_value(self.loss_of)(params, self.data)
        return cast("Tensor", found), cast("Params", grad)

    def loss(self, params: Params) -> Tensor:
        """Return the loss."""
        self.charges.add()
        return self.loss_of(params, self.data)

    def all_examples(self, params: Params) -> tuple[Tensor, Params]:
        """Return loss and gradient of the only batch."""
        return self(params)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the gradient of the slope along a direction."""
        self.charges.add()

        def slope(params: Params) -> Tensor:
            found = torch.func.grad(self.loss_of)(params, self.data)
            return cast("Tensor", trees.dot(found, direction))

        return cast("Params", torch.func.grad(slope)(params))

    def gauss_newton_product(self, params: Params, direction: Params) -> Params:
        """Return J' H J times a direction: J times it is the derivative of J' u, linear in u."""
        self.charges.add()
        z, pull, *_ = torch.func.vjp(lambda params: outputs(params, self.data), params)
        pushed = torch.func.grad(lambda u: trees.dot(pull(u)[0], direction))(torch.zeros_like(z))
        slope = torch.func.grad(lambda z: cost(z, self.data))
        bent = torch.func.grad(lambda z: (slope(z) * pushed).sum())(z)
        return cast("Params", pull(bent)[0])

    def signs(self, params: Params) -> Params:
        """Return ones: no rule here draws any."""
        return {name: torch.ones_like(param) for name, param in params.items()}

    def everyone(self, done: Tensor) -> bool:
        """Return whether all trials are done, and charge only the others from now on."""

        def show(every: Tensor) -> None:
            self.charges.running = ~every

        _Seen.apply(show, done)  # type: ignore[no-untyped-call]
        return not bool(self.charges.running.any())


@dataclass
class Ended:
    """Where the trials of a stack end, and what each was charged for each step."""

    params: Params
    charged: list[list[int]]  # by step and trial
    state: Any


def stacked(  # noqa: PLR0913, PLR0917 -- what a stack is made of
    rule: Method,
    seeds: Sequence[int],
    lrs: Sequence[float],
    numbers: dict[str, Sequence[float]] | None = None,
    steps: int = 8,
    loss_of: Callable[[Params, Data], Tensor] = loss,
    sizes: Sequence[float] | None = None,
) -> Ended:
    """Return where the trials end; each has a seed, a learning rate and numbers of its own."""
    sizes = sizes or [1.0] * len(seeds)
    made = [problem(seed, size) for seed, size in zip(seeds, sizes, strict=True)]
    data = (torch.stack([x for x, _ in made]), torch.stack([y for _, y in made]))
    fields = numbers or {}
    rules = [given(rule, {n: values[i] for n, values in fields.items()}) for i in range(len(seeds))]
    steps_charged: list[Charges] = []

    def ask(_: int, data: Data) -> StackAsk:
        steps_charged.append(Charges(torch.zeros(len(seeds), dtype=torch.int64)))
        return StackAsk(data, steps_charged[-1], loss_of)

    stack = Stack(rules, lrs, [start(seed) for seed in seeds], ask, data)
    _, params, state = stack.trained(steps)
    charged = [[int(seen) for seen in charges.seen] for charges in steps_charged[1:]]
    return Ended(params, charged, state)


def plain_ask(data: Data, loss_of: Callable[[Params, Data], Tensor] = loss) -> TrialAsk:
    """Return what a step of one trial may ask, answered by autograd."""

    def slopes(params: Params) -> tuple[Tensor, Params]:
        leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
        found = loss_of(leaves, data)
        grads = torch.autograd.grad(found, list(leaves.values()))
        return found.detach(), dict(zip(leaves, grads, strict=True))

    return TrialAsk(
        kind={},
        horizon=50,
        examples=EXAMPLES,
        slopes=slopes,
        all_slopes=slopes,
        differentiable=lambda params: loss_of(params, data),
        size=EXAMPLES,
        outputs=lambda params: outputs(params, data),
        cost=lambda z: cost(z, data),
    )


def plain(  # noqa: PLR0913, PLR0917 -- what a trial is made of
    rule: Method,
    seed: int,
    lr: float,
    steps: int = 8,
    loss_of: Callable[[Params, Data], Tensor] = loss,
    size: float = 1.0,
) -> Ended:
    """Return where one trial ends without vmap."""
    data, params, charged = problem(seed, size), start(seed), []
    state = rule.init(params, plain_ask(data, loss_of))
    for step in range(1, steps + 1):
        ask = plain_ask(data, loss_of)
        rate = torch.tensor(lr, dtype=torch.float64)
        params, state = rule.step(params, state, ask, rate, step)
        charged.append([ask.seen])
    return Ended(params, charged, state)
