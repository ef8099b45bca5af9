"""Rules put together by name: adamw+cautious+ema, muon+adamw.

The first part is a rule. A further rule takes the kinds of parameters that the rules before it do
not move, or those that --for gives it, and a wrapper goes around all before it. The whole is one
frozen dataclass with the fields of its parts, so that it is varied, stacked, named and told apart
like any other rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, get_type_hints

from gdcli.catalog.classes import import_part
from gdcli.errors import UserError
from gdcli.fields import LATER
from gdcli.method import Kind, Method, Wrapper, takes_stacks
from gdcli.optimizer import OF_EVERY_RULE, Rule
from gdcli.parameter_groups import DECAY, LR, RULE, groups_of, said_of, unmatched, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from gdcli.method import About, Ask, State
    from gdcli.parameter_groups import ParameterGroup
    from gdcli.problem import Array, Params

FOR = "--for"


class Part(NamedTuple):
    """A rule or a wrapper by its name in results."""

    name: str
    kind: type[Rule | Wrapper]
    given: bool = False  # whether it moves only what --for gives it

    @property
    def wraps(self) -> bool:
        """Whether it is a wrapper."""
        return issubclass(self.kind, Wrapper)


class Share(NamedTuple):
    """Parameters that one rule moves, with the same settings."""

    rule: str
    lr: str  # "" where the trial's own counts, or "0.1x"
    weight_decay: str  # the same, or a number
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Composed(Method):
    """Parts put together; a class for each composed name is made by `composed`."""

    groups: Annotated[str | None, LATER, "settings of some parameters, as --for says them"] = None

    refused: ClassVar[tuple[str, ...]] = ("groups",)  # --for of the grid sets it
    parts: ClassVar[tuple[Part, ...]] = ()
    flat: ClassVar[Mapping[tuple[str, str], str]] = {}  # the field of the whole of a part's field

    def __post_init__(self) -> None:
        """Make the parts; raises UserError for values that one of them refuses."""
        made = tuple(part.kind(**self._own(part)) for part in self.parts)
        object.__setattr__(self, "_made", made)

    @property
    def records_another_point(self) -> bool:
        """Whether one of the parts hands out another point."""
        return any(records_another_point(part.kind) for part in self.parts)

    @property
    def takes_stacks(self) -> bool:
        """Whether all parts do."""
        return all(takes_stacks(part.kind) for part in self.parts)

    def init(self, params: Params, about: About) -> State:
        """Return the state of the whole, and the kinds of the parameters where rules share them."""
        groups = groups_of(self.groups, FOR) if self.groups else ()
        if wrong := unmatched(groups, about.kind, FOR):
            raise wrong
        part: Any = _assembly().Passing(about)  # nobody is asked yet
        whole = self._whole(about.kind).init(params, part)
        return {"whole": whole, "kind": self._kinds(params, about)}

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the direction of the whole and the next state."""
        return self._asked("direction", params, state, (ask, lr, step))

    def step(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the parameters after a step of the whole, and the next state."""
        return self._asked("step", params, state, (ask, lr, step))

    def at(self, params: Params, state: State) -> Params:
        """Return the point that the whole hands out."""
        kind: dict[str, Any] = {n: kind for kind, names in state["kind"].items() for n in names}
        return self._whole(kind).at(params, state["whole"])

    def _asked(
        self, what: str, params: Params, state: State, now: tuple[Ask, Array, int]
    ) -> tuple[Params, State]:
        """Return what the whole does in a step, `now`: who is asked, the rate, and the number."""
        ask, lr, step = now
        # The parts want the gradient at the same point: it is computed, and charged, once.
        asked = _assembly().Remembered(ask)
        found, whole = getattr(self._whole(ask.kind), what)(params, state["whole"], asked, lr, step)
        return found, {**state, "whole": whole}

    def _kinds(self, params: Params, about: About) -> dict[str, Params]:
        """Return scalars by kind and name: `at` has nobody to ask for the kinds."""
        if sum(not part.wraps for part in self.parts) < 2 and not self.groups:
            return {}
        found: dict[str, Params] = {}
        for name, param in params.items():
            found.setdefault(about.kind[name], {})[name] = param.new_zeros(())
        return found

    def _whole(self, kind: Mapping[str, Kind]) -> Method:
        """Return the parts put together, with the values that the fields have now.

        The engine puts tensors in place of numbers, which the parts have checked before.
        """
        made: tuple[Any, ...] = vars(self)["_made"]
        now = [copy(part) for part in made]
        for part, instance in zip(self.parts, now, strict=True):
            for name, value in self._own(part).items():
                object.__setattr__(instance, name, value)
        whole, owner, before = self._rule(now[0], kind), self.owners(kind), {self.parts[0].name}
        for part, instance in zip(self.parts[1:], now[1:], strict=True):
            if isinstance(instance, Wrapper):
                whole = _assembly().Wrapped(wrapper=instance, inner=whole)
                continue
            names = frozenset(name for name in kind if owner[name].name in before)
            whole = _assembly().Routed(first=whole, rest=self._rule(instance, kind), names=names)
            before.add(part.name)
        return whole

    def owners(self, kind: Mapping[str, Kind]) -> dict[str, Part]:
        """Return the rule of each parameter: that of --for, or the first that moves its kind."""
        rules = [part for part in self.parts if not part.wraps]
        groups = groups_of(self.groups, FOR) if self.groups else ()
        found = {}
        for name, own in kind.items():
            if chosen := value_of(groups, RULE, None, name, own):
                found[name] = next(part for part in rules if part.name == chosen)
                continue
            kinds = {part: kinds_of(part.kind) for part in rules if not part.given}  # type: ignore[arg-type]
            taking = (part for part, moved in kinds.items() if moved is None or own in moved)
            found[name] = next(taking, rules[0])
        return found

    def shares(self, kind: Mapping[str, Kind]) -> list[Share]:
        """Return which rule moves which parameters, and what --for sets of them."""
        groups = groups_of(self.groups, FOR) if self.groups else ()
        owners, found = self.owners(kind), dict[tuple[str, str, str], list[str]]()
        for name, own in kind.items():
            said = [said_of(groups, setting, name, own) for setting in (LR, DECAY)]
            texts = [f"{one.value:g}{'x' * one.factor}" if one else "" for one in said]
            found.setdefault((owners[name].name, texts[0], texts[1]), []).append(name)
        return [Share(*settings, tuple(names)) for settings, names in found.items()]

    def _rule(self, instance: Any, kind: Mapping[str, Kind]) -> Method:
        whole: Method = _assembly().method_of(instance)
        if self.groups:
            whole = _assembly().Grouped(inner=whole, groups=groups_of(self.groups, FOR), kind=kind)
        return whole

    def _own(self, part: Part) -> dict[str, Any]:
        """Return the values of a part's fields. The gradient is clipped before the parts see it."""
        own = {
            f.name: getattr(self, self.flat[part.name, f.name])
            for f in fields(part.kind)
            if (part.name, f.name) in self.flat
        }
        return own if part.wraps else {**own, "weight_decay": self.weight_decay}


def _assembly() -> ModuleType:
    """Return the module of methods made of others, which only a rule that trains needs."""
    return import_part("gdcli.assembly")


def compose(parts: Sequence[Part], where: str) -> type[Composed]:
    """Return the class of some parts; raises UserError, naming `where`, where they do not fit."""
    _check(parts, where)
    return _made(tuple(parts))


@cache
def _made(parts: tuple[Part, ...]) -> type[Composed]:
    first = parts[0].kind
    whole = {f.name: f for f in fields(first) if f.name in OF_EVERY_RULE}
    hints = get_type_hints(first, include_extras=True)
    own: list[tuple[str, Any, Any]] = [
        (name, hints[name], field(default=whole[name].default)) for name in OF_EVERY_RULE
    ]
    flat: dict[tuple[str, str], str] = {}
    for part in parts:
        hints = get_type_hints(part.kind, include_extras=True)
        for f in fields(part.kind):
            if not part.wraps and f.name in OF_EVERY_RULE:
                continue
            name = f"{part.name.replace('-', '_')}__{f.name}"
            while name in flat.values() or not name.isidentifier():
                name = f"of_{name}"
            flat[part.name, f.name] = name
            default = field(default=f.default, default_factory=f.default_factory)
            own.append((name, hints[f.name], default))
    rules = [part.kind for part in parts if issubclass(part.kind, Rule)]
    name = "+".join(part.name for part in parts if not part.given)
    made = make_dataclass(
        "".join(part.kind.__name__ for part in parts),
        own,
        bases=(Composed,),
        namespace={
            "parts": parts,
            "flat": flat,
            "default_lr": rules[0].default_lr,
            "kinds": _all_kinds(_by_kind(parts)),
            "linear_models": any(getattr(rule, "linear_models", False) for rule in rules),
            "__doc__": f"{name}: {', then '.join(part.kind.__name__ for part in parts)}.",
        },
        frozen=True,
    )
    made.__module__ = __name__
    return made


def _by_kind(parts: Sequence[Part]) -> list[type[Rule]]:
    """Return the rules that move what --for does not give to others."""
    return [p.kind for p in parts if issubclass(p.kind, Rule) and not p.given]


def _all_kinds(rules: Sequence[type[Rule]]) -> frozenset[Kind] | None:
    """Return the kinds of parameters that some rules move together; None: all."""
    found: frozenset[Kind] = frozenset()
    for rule in rules:
        kinds = kinds_of(rule)
        if kinds is None:
            return None
        found |= kinds
    return found


def kinds_of(rule: type[Rule]) -> frozenset[Kind] | None:
    """Return the kinds of parameters that a rule moves; None: all."""
    return rule.kinds if issubclass(rule, Method) else None


def grouped(
    parts: Sequence[Part], groups: str, where: str, find: Callable[[str], Part]
) -> type[Composed]:
    """Return a rule whose parameters may have the settings of some groups; raises UserError.

    `find` returns the part that an optimizer's name in a group means.
    """
    said = groups_of(groups, where)
    parts = _with_given(parts, said, where, find)
    decays = any(group.setting == DECAY for group in said)
    for part in parts:
        if part.wraps:
            continue
        if not has_direction(part.kind):
            what = f"{part.name} takes steps of its own, in which all parameters are treated alike"
            raise UserError(where, what, "leave --for out, or take another optimizer")
        if decays and getattr(part.kind, "decay_alike", False):
            what = f"the step size of {part.name} depends on its weight decay, one for all"
            raise UserError(where, what, f"leave {DECAY} out, or take another optimizer")
    return compose(parts, where)


def _with_given(
    parts: Sequence[Part], groups: Sequence[ParameterGroup], where: str, find: Callable[[str], Part]
) -> list[Part]:
    """Return the parts with the rules that groups name; these stand within all wrappers."""
    found, known = list(parts), {part.name for part in parts}
    for name in dict.fromkeys(str(group.value) for group in groups if group.setting == RULE):
        if name in known:
            continue
        part = find(name)
        if part.wraps:
            what = f"{name} is a wrapper, which goes around a rule"
            raise UserError(where, what, f"write --optimizer {'+'.join([*known, name])}")
        at = next((i for i, part in enumerate(found) if part.wraps), len(found))
        found.insert(at, part._replace(given=True))
    for part in found if len(found) > len(parts) else ():
        if getattr(part.kind, "linear_models", False):
            what = f"{part.name} moves all parameters of a linear model at once"
            raise UserError(where, what, f"leave {RULE} out, or take another optimizer")
    return found


def _check(parts: Sequence[Part], where: str) -> None:
    """Raise UserError, naming `where`, for parts that do not fit together."""
    names = [part.name for part in parts if not part.given]
    first = parts[0]
    if first.wraps:
        rule = next((part.name for part in parts if not part.wraps), "adamw")
        others = [name for name in names if name != rule]
        what = f"{first.name} is a wrapper, which goes around a rule"
        raise UserError(where, what, f"write {'+'.join([rule, *others])}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        once = "+".join(dict.fromkeys(names))
        raise UserError(where, f"{twice} is named twice in {'+'.join(names)}", f"write {once}")
    rules: list[Part] = []
    for at, part in enumerate(parts):
        if part.wraps:
            _check_direction(parts[:at], part, where)
            _check_points(parts[:at], part, where)
            _check_averages(parts[:at], part, where)
        if part.wraps or part.given:
            continue
        moved = _all_kinds([rule.kind for rule in rules if issubclass(rule.kind, Rule)])
        if rules and moved is None:
            _refuse_rest(rules, part, where)
        own = kinds_of(part.kind)  # type: ignore[arg-type]
        if rules and own is not None and moved is not None and own <= moved:
            said = " and ".join(rule.name for rule in rules)
            what = f"{part.name} moves no parameter that {said} does not move already"
            raise UserError(where, what, f"leave {part.name} out")
        if rules and not has_direction(part.kind):
            said = " and ".join(rule.name for rule in rules)
            what = f"{part.name} takes steps of its own, and {said} moves some of the parameters"
            names = [name for name in names if name != part.name]
            raise UserError(where, what, f"write {'+'.join(names)}+adamw, or {part.name} alone")
        rules.append(part)


def _refuse_rest(rules: Sequence[Part], part: Part, where: str) -> None:
    last = rules[-1]
    what = f"{last.name} moves all parameters, so that {part.name} has none to move"
    if kinds_of(part.kind) is not None:  # type: ignore[arg-type]
        raise UserError(where, what, f"write {part.name}+{last.name}")
    before = "".join(f"{rule.name}+" for rule in rules[:-1])
    fix = f"to compare them, write {before}{last.name},{before}{part.name}"
    raise UserError(where, what, fix)


def _check_direction(before: Sequence[Part], wrapper: Part, where: str) -> None:
    """Raise UserError for a wrapper that changes what the parts before it do not take."""
    if wrapper.kind.changes_gradient:  # type: ignore[union-attr]
        for part in before:
            if getattr(part.kind, "linear_models", False):
                own = f"{part.name} makes its own, example by example"
                what = f"{wrapper.name} changes the gradient of a batch, and {own}"
                raise UserError(where, what, f"leave {wrapper.name} out")
    if wrapper.kind.step is not Wrapper.step:  # type: ignore[union-attr]
        return
    for part in before:
        if part.wraps and not part.kind.keeps_direction:  # type: ignore[union-attr]
            what = f"{wrapper.name} changes steps that {part.name}, which is before it, takes"
            names = [p.name for p in before if p is not part]
            fix = f"write {'+'.join([*names, wrapper.name, part.name])}"
            raise UserError(where, what, fix)
        if not part.wraps and not has_direction(part.kind):
            what = f"{wrapper.name} changes the direction of a step, and {part.name} has none"
            fix = f"leave {wrapper.name} out, or put it around another optimizer"
            raise UserError(where, what, fix)


def _check_points(before: Sequence[Part], wrapper: Part, where: str) -> None:
    """Raise UserError for a wrapper that knows the gradient at one point around one of others."""
    other = next((part for part in before if getattr(part.kind, "asks_elsewhere", False)), None)
    if other is not None and getattr(wrapper.kind, "one_point", False):
        what = f"{other.name} asks at another point for batches that {wrapper.name} has left behind"
        names = [part.name for part in before if part is not other]
        fix = f"write {'+'.join([*names, wrapper.name, other.name])}"
        raise UserError(where, what, fix if other.wraps else "give a larger --batch-size instead")


def _check_averages(before: Sequence[Part], wrapper: Part, where: str) -> None:
    """Raise UserError for a wrapper that hands out its own point around a part that does, too."""
    if not getattr(wrapper.kind, "own_point", False):
        return
    for part in before:
        if records_another_point(part.kind):
            what = f"{part.name} hands out an average that {wrapper.name} around it passes over"
            names = [other.name for other in before if other is not part]
            fix = f"write {'+'.join([*names, wrapper.name, part.name])}"
            own = f"leave {wrapper.name} out"
            raise UserError(where, what, fix if part.wraps else own)


def records_another_point(kind: type[Rule | Wrapper]) -> bool:
    """Return whether a part hands out another point than the parameters that it trains."""
    return getattr(kind, "at", Method.at) not in (Method.at, Wrapper.at)


def has_direction(rule: type[Any]) -> bool:
    """Return whether the steps of a rule are a direction times the learning rate."""
    if not issubclass(rule, Method):
        return True
    return rule.direction is not Method.direction and rule.step is Method.step
