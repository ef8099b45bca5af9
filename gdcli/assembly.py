"""Methods made of others: of a rule of each coordinate, of rules for some parameters, of wrappers.

The whole of `muon+adamw+ema` is Wrapped(Ema, Routed(Muon, Elementwise(AdamW))).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gdcli.arrays import plus, spread
from gdcli.asks import Among
from gdcli.method import Kind, Method, Wrapper
from gdcli.optimizer import Optimizer
from gdcli.parameter_groups import DECAY, LR, ParameterGroup, value_of

if TYPE_CHECKING:
    from gdcli.method import About, Ask, State
    from gdcli.problem import Array, Params


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

    def gradient(self, params: Params, ask: Ask) -> tuple[Array, Params]:
        """Return loss and gradient as each rule takes them for its parameters."""
        loss, found = ask(params)
        for _, rule, share in self._shares(params):
            found = {**found, **rule.gradient(share, Among(ask, params, (*share,)))[1]}
        return loss, found

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
