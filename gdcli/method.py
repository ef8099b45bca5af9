"""The contract of a method: an update rule that sees all parameters of one trial.

A method is written in torch for one trial. The engine maps it over the trials of a stack, and what
it asks of its batch with it: gradients still come from the stacked program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from gdcli.arrays import plus
from gdcli.optimizer import Optimizer, Rule

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
    def epoch(self) -> int:
        """The steps of an epoch."""

    @property
    def examples(self) -> int:
        """The number of training examples."""

    @property
    def full_batch(self) -> bool:
        """Whether every step has the same batch, whose loss is a function of the point alone."""

    @property
    def predictions(self) -> int:
        """The predictions of an example, by a linear model; 0 elsewhere."""

    @property
    def l2(self) -> float:
        """The strength of a linear model's penalty, which acts on "weight" alone; 0 elsewhere."""


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

    def gauss_newton_diagonal(self, params: Params) -> Params:
        """Return an estimate of the diagonal of the batch's Gauss-Newton matrix.

        It is n times the squared mean gradient of n labels, which are drawn from the classes'
        probabilities at the point, others at every step. The penalty's part is exact.
        """

    def signs(self, params: Params) -> Params:
        """Return random signs, 1 or -1, in the shapes of the parameters: others at every step."""

    @property
    def chosen(self) -> Array:
        """The indices of the batch's examples, (batch,): twice where one is drawn twice."""

    def example_slopes(self, params: Params) -> Array:
        """Return the slope of each example's cost in its predictions, (batch, predictions).

        Of linear models alone, as are `chosen` and `mean_gradient`.
        """

    def mean_gradient(self, params: Params, slopes: Array) -> Params:
        """Return the mean gradient of costs with such slopes over the batch, without the penalty.

        It costs no examples and is not clipped.
        """

    def clipped(self, gradient: Params) -> Params:
        """Return a gradient that the rule has put together, of at most the norm `clip_norm`."""

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
    needs_outputs: ClassVar[bool] = False  # True: it asks for Gauss-Newton products
    needs_curvature: ClassVar[bool] = False  # True: it asks for Hessian products
    needs_labels: ClassVar[bool] = False  # True: it asks for gradients of labels that are drawn
    asks_elsewhere: ClassVar[bool] = False  # True: not at the parameters alone
    uses_horizon: ClassVar[bool] = False  # True: it steps otherwise where the budget is another
    # True: its code takes arrays with further axes in front, which numbers and the loss have too.
    # The engine then calls it with all trials at once, and maps nothing. It is not inherited.
    stacks: ClassVar[bool] = False
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

        `step` counts from 1. A method whose steps are not such a product has a `step` of its own.
        """
        raise NotImplementedError

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step, and the next state."""
        direction, state = self.direction(params, state, ask, lr, step)
        return self.move(params, direction, lr), state

    def at(self, params: Params, state: State) -> Params:
        """Return the point that is recorded and exported: an average, say."""
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
        return loss, {n: plus(g, self.decay_of(n), params[n]) for n, g in grad.items()}

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return the parameters moved along a direction, with decoupled weight decay."""
        if self.decoupled and self.decays:
            direction = {n: plus(d, self.decay_of(n), params[n]) for n, d in direction.items()}
        return {name: plus(param, -lr, direction[name]) for name, param in params.items()}

    @property
    def takes_stacks(self) -> bool:
        """Whether the engine may call it with all trials at once."""
        return takes_stacks(type(self))

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
    changes_gradient: ClassVar[bool] = False  # True: of the batch, before the rule is given it
    needs_outputs: ClassVar[bool] = False  # True: it asks for Gauss-Newton products
    needs_curvature: ClassVar[bool] = False  # True: it asks for Hessian products
    needs_labels: ClassVar[bool] = False  # True: it asks for gradients of labels that are drawn
    asks_elsewhere: ClassVar[bool] = False  # True: not at the parameters alone
    uses_horizon: ClassVar[bool] = False  # as of a method
    one_point: ClassVar[bool] = False  # True: it knows the gradient at the parameters alone
    stacks: ClassVar[bool] = False  # as of a method

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
        """Return the point that is recorded and exported."""
        return inner.at(params, state["inner"])


def takes_stacks(kind: type[Rule | Wrapper]) -> bool:
    """Return whether code of a rule or wrapper takes all trials of a stack at once."""
    return issubclass(kind, Optimizer) or vars(kind).get("stacks", False)
