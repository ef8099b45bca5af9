"""What a rule asks that is part of another: the whole's questions, remembered, fewer or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from gdcli.method import Ask, Kind, Wrapper
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from gdcli.method import Method, State

Answer: TypeAlias = tuple[Array, Params]  # the loss of the batch and its gradient


@dataclass
class Passing:
    """Passes every question on."""

    ask: Ask
    kind: Mapping[str, Kind] = field(init=False)
    horizon: int = field(init=False)
    examples: int = field(init=False)
    full_batch = False  # a part does not know whether the point stays between its steps
    epoch: int = field(init=False)
    predictions: int = field(init=False)
    l2: float = field(init=False)

    def __post_init__(self) -> None:
        """Know of the trial what the one knows who is asked."""
        self.kind, self.horizon = self.ask.kind, self.ask.horizon
        self.examples, self.epoch = self.ask.examples, self.ask.epoch
        self.predictions, self.l2 = self.ask.predictions, self.ask.l2

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

    @property
    def chosen(self) -> Array:
        """The indices of the batch's examples."""
        return self.ask.chosen

    def example_slopes(self, params: Params) -> Array:
        """Return the slope of each example's cost."""
        return self.ask.example_slopes(params)

    def mean_gradient(self, params: Params, slopes: Array) -> Params:
        """Return the mean gradient of costs with such slopes."""
        return self.ask.mean_gradient(params, slopes)

    def clipped(self, gradient: Params) -> Params:
        """Return a gradient of at most the largest norm."""
        return self.ask.clipped(gradient)

    def signs(self, params: Params) -> Params:
        """Return the random signs of the step."""
        return self.ask.signs(params)

    def everyone(self, done: Array) -> bool:
        """Return whether all trials of the stack are done."""
        return self.ask.everyone(done)


@dataclass
class Remembered(Passing):
    """Asks for the gradient at a point once: the parts of a rule that want it share the answer.

    The same point is the same tensors. The first one of the step, where all parts begin, and the
    latest one are remembered.
    """

    first: tuple[Params, Answer] | None = field(default=None, init=False)
    latest: tuple[Params, Answer] | None = field(default=None, init=False)

    def __call__(self, params: Params) -> Answer:
        """Return loss and gradient of the batch, as remembered where the point is the same."""
        for held in (self.first, self.latest):
            if held is not None and same(held[0], params):
                return held[1]
        self.latest = dict(params), self.ask(params)
        self.first = self.first or self.latest
        return self.latest[1]


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

    def __post_init__(self) -> None:
        """Know the kinds of the parameters that the rule moves."""
        super().__post_init__()
        self.kind = {name: self.ask.kind[name] for name in self.names}

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

    def example_slopes(self, params: Params) -> Array:
        """Return the slope of each example's cost."""
        return self.ask.example_slopes(self._all(params))

    def mean_gradient(self, params: Params, slopes: Array) -> Params:
        """Return the mean gradient of costs with such slopes, of the rule's parameters."""
        return self.own(self.ask.mean_gradient(self._all(params), slopes))

    def clipped(self, gradient: Params) -> Params:
        """Return a gradient of the rule's parameters, of at most the largest norm."""
        return self.own(self.ask.clipped(self._padded(gradient)))

    def own(self, arrays: Params) -> Params:
        """Return the arrays of the rule's parameters."""
        return {name: arrays[name] for name in self.names}

    def _all(self, params: Params) -> Params:
        return {**self.whole, **params}

    def _padded(self, direction: Params) -> Params:
        zeros = {name: 0 * array for name, array in self.whole.items() if name not in direction}
        return {name: {**zeros, **direction}[name] for name in self.whole}


@dataclass(frozen=True)
class OfGradient(Wrapper):
    """A wrapper that changes the gradient of the batch, at every point that the rule asks for it.

    The rule adds its weight decay afterwards.
    """

    changes_gradient: ClassVar[bool] = True

    def changed(self, ask: Ask, params: Params, loss: Array, gradient: Params) -> Answer:
        """Return the loss and the gradient that the rule is given in place of those of a point."""
        raise NotImplementedError

    def direction(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's direction for the changed gradient."""
        return super().direction(inner, params, state, self._asked(ask), lr, step)

    def step(  # noqa: PLR0913, PLR0917 -- those of the contract
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's step with the changed gradient."""
        params, after = inner.step(params, state["inner"], self._asked(ask), lr, step)
        return params, {"inner": after}

    def _asked(self, ask: Ask) -> Ask:
        return Remembered(Changed(ask, partial(self.changed, ask)))


def same(a: Params, b: Params) -> bool:
    """Return whether two points are the same tensors."""
    return a.keys() == b.keys() and all(a[name] is b[name] for name in a)
