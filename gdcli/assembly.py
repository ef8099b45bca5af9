"""Methods made of others: of a rule of each coordinate, of rules for some parameters, of wrappers.

The whole of `muon+adamw+ema` is Wrapped(Ema, Routed(Muon, Elementwise(AdamW))).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gdcli.arrays import spread
from gdcli.asks import Among, Changed, Remembered
from gdcli.mapped import together
from gdcli.method import Kind, Method, Wrapper
from gdcli.optimizer import Optimizer
from gdcli.parameter_groups import Group, value_of

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


DECAY = "decay"  # the weight decay among the numbers of a rule


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
        _, gradient = ask(params)
        # The rule computes with stacked arrays as it does where it is not part of another.
        numbers = {n: v for n, v in vars(self.rule).items() if hasattr(v, "ndim")}
        if self.decays and not self.decoupled:
            numbers[DECAY] = self.weight_decay

        def update(
            numbers: Params, params: Params, gradient: Params, state: State
        ) -> tuple[Params, State]:
            found, after, rules = {}, {}, {}
            for name, param in params.items():
                if param.ndim not in rules:
                    rules[param.ndim] = self._with(numbers, param)
                rule, decay = rules[param.ndim]
                grad = gradient[name]
                if decay is not None:
                    grad = grad + decay * param
                found[name], after[name] = rule.update(grad, state[name], param, step)
            return found, after

        found: tuple[Params, State] = together(update, numbers, params, gradient, state)
        return found

    def _with(self, numbers: Params, param: Array) -> tuple[Optimizer, Array]:
        """Return the rule with numbers that broadcast with a parameter, and the decay it adds."""
        rule = copy(self.rule)
        shaped = {name: spread(value, param) for name, value in numbers.items()}
        decay = shaped.pop(DECAY, None)
        vars(rule).update(shaped)  # the dataclass is frozen
        return rule, decay


@dataclass(frozen=True)
class Grouped(Method):
    """A rule with learning rates and weight decay of their own for some parameters.

    The rule within decays nothing: this does, as the rule would.
    """

    inner: Method = field(kw_only=True)
    groups: tuple[Group, ...] = field(kw_only=True)
    kind: Mapping[str, Kind] = field(kw_only=True)  # of each parameter

    def __post_init__(self) -> None:
        """Move what the rule moves, and decay as it does."""
        object.__setattr__(self, "kinds", self.inner.kinds)
        object.__setattr__(self, "decoupled", self.inner.decoupled)

    def init(self, params: Params, about: About) -> State:
        """Return the rule's state."""
        return self.inner.init(params, about)

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the rule's direction, for the gradient with each parameter's weight decay."""
        decayed = ask if self.decoupled else Remembered(Changed(ask, self._decayed))
        return self.inner.direction(params, state, decayed, lr, step)

    def gradient(self, params: Params, ask: Ask) -> tuple[Array, Params]:
        """Return loss and gradient with each parameter's weight decay that is part of it."""
        loss, gradient = ask(params)
        return (loss, gradient) if self.decoupled else self._decayed(params, loss, gradient)

    def at(self, params: Params, state: State) -> Params:
        """Return the point that the rule hands out."""
        return self.inner.at(params, state)

    def move(self, params: Params, direction: Params, lr: Array) -> Params:
        """Return each parameter moved with its learning rate and decoupled weight decay."""
        moved = {}
        for name, param in params.items():
            along = direction[name]
            if self.decoupled:
                decay = self._own("weight-decay", self.weight_decay, name)
                along = along + spread(decay, param) * param
            moved[name] = param - spread(self._own("lr", lr, name), param) * along
        return moved

    def _decayed(self, params: Params, loss: Array, gradient: Params) -> tuple[Array, Params]:
        decayed = {}
        for name, slope in gradient.items():
            decay = self._own("weight-decay", self.weight_decay, name)
            decayed[name] = slope + spread(decay, slope) * params[name]
        return loss, decayed

    def _own(self, setting: str, value: Any, name: str) -> Any:
        return value_of(self.groups, setting, value, name, self.kind[name])


@dataclass(frozen=True)
class Routed(Method):
    """One rule for the kinds of parameters that it moves, and another one for the rest."""

    first: Method = field(kw_only=True)
    rest: Method = field(kw_only=True)
    kind: Mapping[str, Kind] = field(kw_only=True)  # of each parameter

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
        return self._each("direction", params, state, ask, lr, step)

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step of each rule, and the next states."""
        return self._each("step", params, state, ask, lr, step)

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

    def _each(  # noqa: PLR0913, PLR0917 -- those of a method, and what is asked of both
        self, what: str, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        found: Params = {}
        after: State = {}
        for name, rule, share in self._shares(params):
            own = Among(ask, params, (*share,))
            moved, after[name] = getattr(rule, what)(share, state[name], own, lr, step)
            found |= moved
        return {name: found[name] for name in params}, after

    def _shares(self, params: Params) -> list[tuple[str, Method, Params]]:
        """Return the name of each rule that moves something, the rule and what it moves."""
        kinds = self.first.kinds or frozenset()
        first = {name: param for name, param in params.items() if self.kind[name] in kinds}
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
