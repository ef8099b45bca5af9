"""The contract of a method: an update rule that sees all parameters of one trial.

A method is written in torch for one trial. The engine maps it over the trials of a stack, and what
it asks of its batch with it: gradients still come from the stacked program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from gdcli.arrays import spread
from gdcli.optimizer import Rule

if TYPE_CHECKING:
    from gdcli.problem import Array, Params

State: TypeAlias = dict[str, Any]  # tensors by name, or further such dictionaries
Kind: TypeAlias = Literal["matrix", "convolution", "embedding", "bias", "norm", "vector"]


class About(Protocol):
    """What a method may know of its trial before it trains."""

    @property
    def kind(self) -> Mapping[str, Kind]:
        """The kind of each parameter; a norm is the weight or bias of such a layer."""

    @property
    def horizon(self) -> int:
        """The steps of the whole budget."""

    @property
    def examples(self) -> int:
        """The number of training examples."""

    @property
    def full_batch(self) -> bool:
        """Whether every step has the same batch, whose loss is a function of the point alone."""


class Ask(About, Protocol):
    """What a step may ask of its batch, at any point and as often as it likes.

    Every answer is charged: its examples are counted.
    """

    def __call__(self, params: Params) -> tuple[Array, Params]:
        """Return the mean loss of the batch, a scalar, and its gradient, clipped to `clip_norm`."""

    def loss(self, params: Params) -> Array:
        """Return the mean loss of the batch alone."""

    def all_examples(self, params: Params) -> tuple[Array, Params]:
        """Return the mean loss of all training examples, and its gradient."""

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return the Hessian of the batch's loss times a direction."""

    def gauss_newton_product(self, params: Params, direction: Params) -> Params:
        """Return the batch's Gauss-Newton matrix times a direction: J' H J, H the criterion's."""

    def signs(self, params: Params) -> Params:
        """Return random signs, 1 or -1, in the shapes of the parameters: others at every step."""

    def everyone(self, done: Array) -> bool:
        """Return whether all trials of the stack are done: then a loop ends.

        `done` is a scalar. What is asked afterwards is charged to the trials that are not done.
        """


@dataclass(frozen=True)
class Method(Rule):
    """A rule of all parameters of one trial: a frozen dataclass whose fields are its options.

    Write it for one trial, in torch functions that torch.func.vmap maps. Numeric fields and `lr`
    are scalars, which differ between the trials of a stack. Branch on `step`, on fields that are
    whole numbers or words, and on `everyone`; never on the value of a tensor: take torch.where.
    Change nothing in place.
    """

    needs_torch: ClassVar[bool] = True
    # Which kinds of parameters it moves; others need a second rule: muon+adamw. None: all kinds.
    kinds: ClassVar[frozenset[Kind] | None] = None
    linear_models: ClassVar[bool] = False  # True: it is a rule for linear models only
    # The weight decay of each parameter by name, where --for gives some of them their own.
    decay_by_name: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    decay_alike: ClassVar[bool] = False  # True: all parameters have the same weight decay

    def init(self, params: Params, about: About) -> State:
        """Return the state before the first step: tensors of any shapes, by name."""
        return {}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the direction and the next state; `step` does params -= lr * direction.

        `step` counts from 1. A method whose steps are no such thing has a `step` of its own.
        """
        raise NotImplementedError

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step, and the next state."""
        direction, state = self.direction(params, state, ask, lr, step)
        return self.move(params, direction, lr), state

    def at(self, params: Params, state: State) -> Params:
        """Return the point that is recorded and handed out: an average, say."""
        return params

    @property
    def records_another_point(self) -> bool:
        """Whether `at` is not the parameters themselves."""
        return type(self).at is not Method.at

    def gradient(self, params: Params, ask: Ask) -> tuple[Array, Params]:
        """Return loss and gradient of the batch, with the weight decay that is part of it."""
        loss, grad = ask(params)
        if self.decoupled or not self.decays:
            return loss, grad
        return loss, {n: g + spread(self.decay_of(n), g) * params[n] for n, g in grad.items()}

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return the parameters moved along a direction, with decoupled weight decay."""
        if self.decoupled and self.decays:
            decay = {n: spread(self.decay_of(n), d) for n, d in direction.items()}
            direction = {n: d + decay[n] * params[n] for n, d in direction.items()}
        return {name: param - spread(lr, param) * direction[name] for name, param in params.items()}

    def decay_of(self, name: str) -> Any:
        """Return the weight decay of a parameter."""
        return self.decay_by_name.get(name, self.weight_decay)

    @property
    def decays(self) -> bool:
        """Whether there is weight decay; all trials of a stack agree on it."""
        if self.decay_by_name:
            return True
        decay: Array = self.weight_decay  # a tensor where the trials of a stack decay
        return not isinstance(decay, float) or decay > 0


@dataclass(frozen=True)
class Wrapper:
    """What is put around any rule: a frozen dataclass whose fields are its options.

    `inner` is the rule within, `state["inner"]` its state. What is not redefined is the rule's own.
    """

    # Whether the steps of the whole are still a direction times the learning rate.
    keeps_direction: ClassVar[bool] = True

    def init(self, inner: Method, params: Params, about: About) -> State:
        """Return the state before the first step."""
        return {"inner": inner.init(params, about)}

    def direction(  # noqa: PLR0913, PLR0917 -- those of a method, and the rule within
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the direction and the next state."""
        direction, after = inner.direction(params, state["inner"], ask, lr, step)
        return direction, {**state, "inner": after}

    def step(  # noqa: PLR0913, PLR0917 -- those of a method, and the rule within
        self, inner: Method, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step, and the next state."""
        direction, state = self.direction(inner, params, state, ask, lr, step)
        return inner.move(params, direction, lr), state

    def at(self, inner: Method, params: Params, state: State) -> Params:
        """Return the point that is recorded and handed out."""
        return inner.at(params, state["inner"])
