"""What a rule asks that is part of another: the whole's questions, remembered, fewer or changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from gdcli.method import Ask
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gdcli.method import Kind

Answer: TypeAlias = tuple[Array, Params]  # the loss of the batch and its gradient


@dataclass
class Passing:
    """Passes every question on."""

    ask: Ask

    @property
    def kind(self) -> Mapping[str, Kind]:
        """The kind of each parameter."""
        return self.ask.kind

    @property
    def horizon(self) -> int:
        """The steps of the whole budget."""
        return self.ask.horizon

    @property
    def examples(self) -> int:
        """The training examples."""
        return self.ask.examples

    def __call__(self, params: Params) -> Answer:
        """Return loss and gradient of the batch."""
        return self.ask(params)

    def loss(self, params: Params) -> Array:
        """Return the loss of the batch."""
        return self.ask.loss(params)

    def all_examples(self, params: Params) -> Answer:
        """Return loss and gradient of all training examples."""
        return self.ask.all_examples(params)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the Hessian of the batch's loss times a direction."""
        return self.ask.hessian_product(params, direction)

    def gauss_newton_product(self, params: Params, direction: Params) -> Params:
        """Return the batch's Gauss-Newton matrix times a direction."""
        return self.ask.gauss_newton_product(params, direction)

    def signs(self, params: Params) -> Params:
        """Return the random signs of the step."""
        return self.ask.signs(params)

    def everyone(self, done: Array) -> bool:
        """Return whether all trials of the stack are done."""
        return self.ask.everyone(done)


@dataclass
class Remembered(Passing):
    """Asks for the gradient at a point once: the parts of a rule that want it share the answer.

    The same point is the same tensors; the latest one is remembered.
    """

    held: tuple[Params, Answer] | None = field(default=None, init=False)

    def __call__(self, params: Params) -> Answer:
        """Return loss and gradient of the batch, as remembered where the point is the same."""
        if self.held is None or not same(self.held[0], params):
            self.held = dict(params), self.ask(params)
        return self.held[1]


@dataclass
class Changed(Passing):
    """Changes the gradient of the batch at every point that it is asked for."""

    change: Callable[[Params, Array, Params], Answer]  # of the point, its loss and gradient

    def __call__(self, params: Params) -> Answer:
        """Return loss and changed gradient."""
        return self.change(params, *self.ask(params))


@dataclass
class Among(Passing):
    """Asks for a rule that moves some of the parameters; the others stay where they are."""

    whole: Params
    names: tuple[str, ...]

    @property
    def kind(self) -> Mapping[str, Kind]:
        """The kind of each parameter that the rule moves."""
        return {name: self.ask.kind[name] for name in self.names}

    def __call__(self, params: Params) -> Answer:
        """Return the loss of the batch and its gradient, of the rule's parameters."""
        loss, gradient = self.ask(self._all(params))
        return loss, self.own(gradient)

    def loss(self, params: Params) -> Array:
        """Return the loss of the batch."""
        return self.ask.loss(self._all(params))

    def all_examples(self, params: Params) -> Answer:
        """Return loss and gradient of all training examples."""
        loss, gradient = self.ask.all_examples(self._all(params))
        return loss, self.own(gradient)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the Hessian times a direction that is 0 in the other parameters."""
        return self.own(self.ask.hessian_product(self._all(params), self._padded(direction)))

    def gauss_newton_product(self, params: Params, direction: Params) -> Params:
        """Return the Gauss-Newton matrix times a direction that is 0 in the other parameters."""
        product = self.ask.gauss_newton_product(self._all(params), self._padded(direction))
        return self.own(product)

    def own(self, arrays: Params) -> Params:
        """Return the arrays of the rule's parameters."""
        return {name: arrays[name] for name in self.names}

    def _all(self, params: Params) -> Params:
        return {**self.whole, **params}

    def _padded(self, direction: Params) -> Params:
        zeros = {name: 0 * array for name, array in self.whole.items() if name not in direction}
        return {name: {**zeros, **direction}[name] for name in self.whole}


def same(a: Params, b: Params) -> bool:
    """Return whether two points are the same tensors."""
    return a.keys() == b.keys() and all(a[name] is b[name] for name in a)
