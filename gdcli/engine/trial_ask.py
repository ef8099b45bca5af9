"""What a method asks of its batch, answered for one trial by autograd."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from gdcli.engine.sampling import signs
from gdcli.method import Kind
from gdcli.problem import Params

Loss: TypeAlias = Callable[[Params], Tensor]
Slopes: TypeAlias = tuple[Tensor, Params]


@dataclass
class TrialAsk:
    """The batch of one step of one trial, with the functions that answer for it."""

    kind: Mapping[str, Kind]
    horizon: int
    examples: int
    slopes: Callable[[Params], Slopes]  # of the batch
    all_slopes: Callable[[Params], Slopes]  # of all training examples
    differentiable: Loss  # the batch's loss with its graph
    size: int = 1  # examples of the batch
    longest: float | None = None  # largest norm of a gradient
    key: tuple[object, ...] = ()  # of the random signs: problem and seed
    at: int = 0  # the step, counted from 0
    outputs: Callable[[Params], Tensor] | None = None  # of the batch; None: there are none
    cost: Callable[[Tensor], Tensor] | None = None  # the batch's loss, of its outputs
    # The batch's loss at labels that are drawn from outputs, and how many these are.
    drawn: Callable[[Tensor], tuple[Tensor, Any]] | None = None
    penalty: Callable[[Params], Any] | None = None  # a quadratic form that the loss adds
    full_batch: bool = False  # whether every step has this batch, and draws nothing
    epoch: int = 1  # steps of an epoch
    predictions: int = 0  # of an example, by a linear model
    l2: float = 0.0
    order: Tensor | None = None  # the indices of the batch's examples; None: all of them
    seen: int = 0  # examples asked for so far

    def __call__(self, params: Params) -> Slopes:
        """Return loss and gradient of the batch."""
        self.seen += self.size
        loss, grad = self.slopes(params)
        return loss, clipped(grad, self.longest)

    def loss(self, params: Params) -> Tensor:
        """Return the loss of the batch."""
        self.seen += self.size
        with torch.no_grad():
            return self.differentiable(params)

    def all_examples(self, params: Params) -> Slopes:
        """Return loss and gradient of all training examples."""
        self.seen += self.examples
        return self.all_slopes(params)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the product of the batch's Hessian, by autograd applied twice."""
        self.seen += self.size
        leaves = _leaves(params)
        held = list(leaves.values())
        slopes = torch.autograd.grad(
            self.differentiable(leaves), held, create_graph=True, materialize_grads=True
        )
        return _pulled(slopes, leaves, [direction[name] for name in leaves])

    def gauss_newton_product(self, params: Params, direction: Params) -> Params:
        """Return J' H J times the direction, J of the outputs and H of the criterion.

        What the penalty's Hessian makes of the direction is added.
        J times a direction is the derivative along it of J' u, which is linear in u. Raises
        NotImplementedError where the loss is not a function of outputs.
        """
        if self.outputs is None or self.cost is None:
            raise NotImplementedError
        self.seen += self.size
        leaves = _leaves(params)
        held = list(leaves.values())
        z = self.outputs(leaves)
        dual = torch.zeros_like(z, requires_grad=True)
        pulled = torch.autograd.grad(z, held, dual, create_graph=True, materialize_grads=True)
        along = [direction[name] for name in leaves]
        (pushed,) = torch.autograd.grad(pulled, dual, along, materialize_grads=True)
        free = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.cost(free), free, create_graph=True)
        (bent,) = torch.autograd.grad(slope, free, pushed, materialize_grads=True)
        found = dict(
            zip(leaves, torch.autograd.grad(z, held, bent, materialize_grads=True), strict=True)
        )
        return self._with_penalty(found, direction)

    def gauss_newton_diagonal(self, params: Params) -> Params:
        """Return n times the squared mean gradient of n labels that are drawn.

        Raises NotImplementedError where none are.
        """
        if self.outputs is None or self.drawn is None:
            raise NotImplementedError
        self.seen += self.size
        leaves = _leaves(params)
        cost, labels = self.drawn(self.outputs(leaves))
        slopes = torch.autograd.grad(cost, list(leaves.values()), materialize_grads=True)
        found = {n: labels * slope * slope for n, slope in zip(leaves, slopes, strict=True)}
        return self._with_penalty(found, {n: torch.ones_like(p) for n, p in params.items()})

    def _with_penalty(self, found: Params, direction: Params) -> Params:
        """Add what the penalty's Hessian makes of a direction: its gradient there."""
        way = _leaves(direction)
        if self.penalty is None or not isinstance(added := self.penalty(way), Tensor):
            return found
        slopes = torch.autograd.grad(added, list(way.values()), materialize_grads=True)
        return {name: found[name] + slope for name, slope in zip(way, slopes, strict=True)}

    @property
    def chosen(self) -> Tensor:
        """The indices of the batch's examples."""
        return torch.arange(self.examples) if self.order is None else self.order

    def example_slopes(self, params: Params) -> Tensor:
        """Return the slope of each example's cost, by autograd."""
        if self.outputs is None or self.cost is None:
            raise NotImplementedError
        self.seen += self.size
        free = self.outputs({n: p.detach() for n, p in params.items()}).requires_grad_()
        (slope,) = torch.autograd.grad(self.cost(free), free)
        return slope * self.size  # the cost is a mean

    def mean_gradient(self, params: Params, slopes: Tensor) -> Params:
        """Return the mean gradient of costs with such slopes, by autograd."""
        if self.outputs is None:
            raise NotImplementedError
        leaves = _leaves(params)
        found = torch.autograd.grad(self.outputs(leaves), [*leaves.values()], slopes / self.size)
        return dict(zip(leaves, found, strict=True))

    def clipped(self, gradient: Params) -> Params:
        """Return a gradient of at most the largest norm."""
        return clipped(gradient, self.longest)

    def signs(self, params: Params) -> Params:
        """Return the random signs of the step."""
        return {
            name: torch.from_numpy(signs(self.key, name, self.at, tuple(param.shape))).to(param)
            for name, param in params.items()
        }

    def everyone(self, done: Tensor) -> bool:
        """Return whether the only trial is done."""
        return bool(done)


def clipped(gradient: Params, longest: float | None) -> Params:
    """Return a gradient of at most the given norm."""
    if longest is None:
        return gradient
    length = norm(gradient)
    if not length > longest:
        return gradient
    return {name: slope * (longest / length) for name, slope in gradient.items()}


def _leaves(params: Params) -> Params:
    return {name: param.detach().requires_grad_() for name, param in params.items()}


def _pulled(slopes: tuple[Tensor, ...], leaves: Params, along: list[Tensor]) -> Params:
    """Return the gradient of the slopes along a direction; 0 where the loss is linear."""
    if not any(slope.requires_grad for slope in slopes):
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    found = torch.autograd.grad(slopes, list(leaves.values()), along, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def norm(gradient: Params) -> Tensor:
    """Return the Euclidean norm over all parameters."""
    squares = [(slope**2).sum() for slope in gradient.values()]
    return torch.stack(squares).sum().sqrt()
