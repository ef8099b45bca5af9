"""How a function written for one trial is computed for all: together, or one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gdcli.engine.uncompiled import uncompiled

if TYPE_CHECKING:
    from gdcli.problem import Params

Function = Callable[..., Any]


class Mapping(ABC):
    """A way to compute a function of one trial for every trial of a stack."""

    words: ClassVar[str]  # "{}" stands for what is mapped
    steady: ClassVar[bool]  # the same call has the same result

    @abstractmethod
    def each(
        self,
        function: Function,
        shared: Sequence[bool],
        begin: Callable[[int], None],
        at_once: int | None = None,
    ) -> Any:
        """Return the function of stacked arguments, but for those that all trials share.

        `begin` is told of a trial's place before it is computed, where that is done by itself; no
        more than `at_once` are computed at a time.
        """

    @abstractmethod
    def slopes(self, loss: Function) -> Function:
        """Return what gives gradient, and (loss, rest), of a function that gives (loss, rest)."""

    @abstractmethod
    def product(self, loss: Function) -> Function:
        """Return what gives the Hessian's product, of (parameters, direction, rest)."""


def as_differentiated(function: Function) -> Function:
    """Return a function as it is computed where gradients are wanted.

    Only there does torch take recurrent layers apart into what can be mapped.
    """

    def computed(params: Params, *rest: Any) -> Any:
        return torch.func.vjp(lambda p: function(p, *rest), params)[0]

    return computed


class Together(Mapping):
    """All trials at once, by torch.func.vmap."""

    words = "vmap of the {}"
    steady = True

    def each(
        self,
        function: Function,
        shared: Sequence[bool],
        begin: Callable[[int], None],
        at_once: int | None = None,
    ) -> Any:
        """Return the mapped function."""
        axes = tuple(None if s else 0 for s in shared)
        return uncompiled()(torch.func.vmap(function, in_dims=axes, chunk_size=at_once))

    def slopes(self, loss: Function) -> Function:
        """Return the gradient by torch.func."""
        return torch.func.grad_and_value(loss, has_aux=True)

    def product(self, loss: Function) -> Function:
        """Return the gradient of the gradient along the direction, by torch.func."""

        def product(params: Params, direction: Params, *rest: Any) -> Any:
            def along(params: Params) -> Any:
                return _along(torch.func.grad(loss)(params, *rest), direction)

            return torch.func.grad(along)(params)

        return product


class OneByOne(Mapping):
    """One trial after another: nothing is asked of the function but that it can be differentiated.

    What it draws from torch's own stream follows from the trial.
    """

    words = "{} of one trial at a time"
    steady = False

    def each(
        self,
        function: Function,
        shared: Sequence[bool],
        begin: Callable[[int], None],
        at_once: int | None = None,
    ) -> Any:
        """Return the function that goes from trial to trial."""

        def mapped(params: Params, *rest: Any) -> Any:
            found = []
            with torch.random.fork_rng(devices=[]):
                for i in range(len(next(iter(params.values())))):
                    begin(i)
                    pairs = zip((params, *rest), shared, strict=True)
                    found.append(function(*(a if s else _at(a, i) for a, s in pairs)))
            return stacked(found)

        return mapped

    def slopes(self, loss: Function) -> Function:
        """Return the gradient by plain autograd."""

        def slopes(params: Params, *rest: Any) -> Any:
            leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
            value, others = loss(leaves, *rest)
            found = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
            return dict(zip(leaves, found, strict=True)), (value.detach(), others)

        return slopes

    def product(self, loss: Function) -> Function:
        """Return the gradient of the gradient along the direction, by plain autograd."""

        def product(params: Params, direction: Params, *rest: Any) -> Any:
            leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
            return hessian_product(loss(leaves, *rest), leaves, direction)

        return product


def hessian_product(loss: Any, leaves: Params, direction: Params) -> Params:
    """Return the product of a loss's Hessian with a direction, by plain autograd, twice over."""
    held = list(leaves.values())
    slopes = torch.autograd.grad(loss, held, create_graph=True, materialize_grads=True)
    along = _along(dict(zip(leaves, slopes, strict=True)), direction)
    if not along.requires_grad:  # the loss is linear
        return {name: torch.zeros_like(param) for name, param in leaves.items()}
    found = torch.autograd.grad(along, held, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def _along(gradient: Params, direction: Params) -> Any:
    return sum((gradient[name] * direction[name]).sum() for name in gradient)


def _at(tree: Any, i: int) -> Any:
    """Return the i-th trial's part of stacked arrays."""
    if isinstance(tree, dict):
        return {name: _at(part, i) for name, part in tree.items()}
    return [_at(part, i) for part in tree] if isinstance(tree, list) else tree[i]


def stacked(trees: Sequence[Any]) -> Any:
    """Return trials' tensors, or mappings and tuples of them, with a first axis of trials."""
    first = trees[0]
    if isinstance(first, dict):
        return {name: stacked([tree[name] for tree in trees]) for name in first}
    if isinstance(first, tuple):
        return tuple(stacked(parts) for parts in zip(*trees, strict=True))
    return torch.stack([tree.detach() for tree in trees])
