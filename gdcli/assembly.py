"""Methods made of others: of a rule of each coordinate, of rules for some parameters, of wrappers.

The whole of `muon+adamw+ema` is Wrapped(Ema, Routed(Muon, Elementwise(AdamW))). What a part asks is
passed on to the one who answers the whole: remembered, for fewer parameters, or changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from gdcli.arrays import plus, spread
from gdcli.method import Ask, Kind, Method, Wrapper
from gdcli.optimizer import Optimizer
from gdcli.parameter_groups import DECAY, LR, ParameterGroup, value_of
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from gdcli.method import About, State

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

    def gauss_newton_diagonal(self, params: Params) -> Params:
        """Return an estimate of the diagonal of the batch's Gauss-Newton matrix."""
        return self.ask.gauss_newton_diagonal(params)

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

    def gauss_newton_diagonal(self, params: Params) -> Params:
        """Return an estimate of the Gauss-Newton matrix's diagonal, of the rule's parameters."""
        return self.own(self.ask.gauss_newton_diagonal(self._all(params)))

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


@dataclass(frozen=True)
class Elementwise(Method):
    """A rule of each coordinate by itself, as a method; its state is that of each parameter."""

    rule: Optimizer = field(kw_only=True)

    def __post_init__(self) -> None:
        """Take the rule's weight decay, and how it is applied."""
        object.__setattr__(self, "weight_decay", self.rule.weight_decay)
        object.__setattr__(self, "decoupled", self.rule.decoupled)

    def init(self, params: Params, about: About) -> State:
        """Return the rule's state of each parameter."""
        return {name: self.rule.init(param) for name, param in params.items()}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's direction for each parameter, and the next states."""
        # The names of all rules are known without torch.
        from gdcli.mapped import together  # noqa: PLC0415

        _, gradient = ask(params)
        # The rule computes with stacked arrays as it does where it is not part of another.
        numbers = {n: v for n, v in vars(self.rule).items() if hasattr(v, "ndim")}
        within = self.decays and not self.decoupled
        decays = {name: self.decay_of(name) for name in params if within}

        def update(
            numbers: Params, decays: Params, params: Params, gradient: Params, state: State
        ) -> tuple[Params, State]:
            found, after, rules = {}, {}, {}
            for name, param in params.items():
                if param.ndim not in rules:
                    rules[param.ndim] = self._with(numbers, param)
                grad = gradient[name]
                if name in decays:
                    grad = plus(grad, decays[name], param)
                given = grad, state[name], param, step
                found[name], after[name] = rules[param.ndim].update(*given)
            return found, after

        found: tuple[Params, State] = together(update, numbers, decays, params, gradient, state)
        return found

    def _with(self, numbers: Params, param: Array) -> Optimizer:
        """Return the rule with numbers that broadcast with a parameter."""
        rule = copy(self.rule)
        # The dataclass is frozen.
        vars(rule).update({name: spread(value, param) for name, value in numbers.items()})
        return rule


@dataclass(frozen=True)
class Grouped(Method):
    """A rule with learning rates and weight decay of their own for some parameters."""

    inner: Method = field(kw_only=True)
    groups: tuple[ParameterGroup, ...] = field(kw_only=True)
    kind: Mapping[str, Kind] = field(kw_only=True)  # of each parameter

    def __post_init__(self) -> None:
        """Give the rule the weight decay of each parameter, which it applies in its own way."""
        inner = copy(self.inner)
        decays = {n: self._own(DECAY, inner.weight_decay, n) for n in self.kind}
        object.__setattr__(inner, "decay_by_name", decays)
        object.__setattr__(self, "inner", inner)
        object.__setattr__(self, "kinds", inner.kinds)

    def init(self, params: Params, about: About) -> State:
        """Return the rule's state."""
        return self.inner.init(params, about)

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's direction."""
        return self.inner.direction(params, state, ask, lr, step)

    def gradient(self, params: Params, ask: Ask) -> tuple[Array, Params]:
        """Return loss and gradient as the rule takes them."""
        return self.inner.gradient(params, ask)

    def at(self, params: Params, state: State) -> Params:
        """Return the point that the rule hands out."""
        return self.inner.at(params, state)

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return each parameter as the rule moves it with the parameter's learning rate."""
        moved: Params = {}
        for name, param in params.items():
            own = self._own(LR, lr, name)
            moved |= self.inner.move({name: param}, {name: direction[name]}, own)
        return moved

    def _own(self, setting: str, value: Any, name: str) -> Any:
        return value_of(self.groups, setting, value, name, self.kind[name])


@dataclass(frozen=True)
class Routed(Method):
    """One rule for some parameters, and another one for the rest."""

    first: Method = field(kw_only=True)
    rest: Method = field(kw_only=True)
    names: frozenset[str] = field(kw_only=True)  # of the first rule's parameters

    def __post_init__(self) -> None:
        """Move the kinds that both rules move."""
        first, rest = self.first.kinds, self.rest.kinds
        object.__setattr__(self, "kinds", first | rest if first and rest else None)

    def init(self, params: Params, about: About) -> State:
        """Return both states."""
        return {
            name: rule.init(share, Among(about, params, (*share,)))  # type: ignore[arg-type]  # it asks for no gradient
            for name, rule, share in self._shares(params)
        }

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the direction of each rule for its parameters, and the next states."""
        return self._each("direction", params, state, (ask, lr, step))

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step of each rule, and the next states."""
        return self._each("step", params, state, (ask, lr, step))

    def at(self, params: Params, state: State) -> Params:
        """Return the point that each rule hands out for its parameters."""
        found: Params = {}
        for name, rule, share in self._shares(params):
            found |= rule.at(share, state[name])
        return {name: found[name] for name in params}

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return the parameters as each rule moves its own."""
        found: Params = {}
        for _, rule, share in self._shares(params):
            found |= rule.move(share, {n: direction[n] for n in share}, lr)
        return {name: found[name] for name in params}

    def gradient(self, params: Params, ask: Ask) -> tuple[Array, Params]:
        """Return loss and gradient as each rule takes them for its parameters."""
        loss, found = ask(params)
        for _, rule, share in self._shares(params):
            found = {**found, **rule.gradient(share, Among(ask, params, (*share,)))[1]}
        return loss, found

    def _each(
        self, what: str, params: Params, state: State, now: tuple[Ask, Array, int]
    ) -> tuple[Params, State]:
        """Return what both rules do in a step, `now`: who is asked, the rate, and the number."""
        ask, lr, step = now
        found: Params = {}
        after: State = {}
        for name, rule, share in self._shares(params):
            own = Among(ask, params, (*share,))
            moved, after[name] = getattr(rule, what)(share, state[name], own, lr, step)
            found |= moved
        return {name: found[name] for name in params}, after

    def _shares(self, params: Params) -> list[tuple[str, Method, Params]]:
        """Return the name of each rule that moves something, the rule and what it moves."""
        first = {name: param for name, param in params.items() if name in self.names}
        rest = {name: param for name, param in params.items() if name not in first}
        shares = (("first", self.first, first), ("rest", self.rest, rest))
        return [(name, rule, share) for name, rule, share in shares if share]


@dataclass(frozen=True)
class Wrapped(Method):
    """A wrapper and the rule that it is put around."""

    wrapper: Wrapper = field(kw_only=True)
    inner: Method = field(kw_only=True)

    def __post_init__(self) -> None:
        """Move the kinds that the rule moves."""
        object.__setattr__(self, "kinds", self.inner.kinds)

    def init(self, params: Params, about: About) -> State:
        """Return the wrapper's state, which holds the rule's."""
        return self.wrapper.init(self.inner, params, about)

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the direction that the wrapper makes of the rule's, and the next state."""
        return self.wrapper.direction(self.inner, params, state, ask, lr, step)

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step, and the next state."""
        return self.wrapper.step(self.inner, params, state, ask, lr, step)

    def at(self, params: Params, state: State) -> Params:
        """Return the point that the wrapper hands out."""
        return self.wrapper.at(self.inner, params, state)

    def gradient(self, params: Params, ask: Ask) -> tuple[Array, Params]:
        """Return loss and gradient as the rule takes them."""
        return self.inner.gradient(params, ask)

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return the parameters as the rule moves them along a direction."""
        return self.inner.move(params, direction, lr)


def method_of(rule: Any) -> Method:
    """Return a rule as a method."""
    return Elementwise(rule=rule) if isinstance(rule, Optimizer) else rule
