"""What a rule cannot train, said in one line before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from gdcli.catalog.catalog import name_of
from gdcli.catalog.composed import FOR, Composed, Part, kinds_of
from gdcli.catalog.user_code import name_in, relative, source_of
from gdcli.errors import UserError
from gdcli.method import Method
from gdcli.optimizer import Rule
from gdcli.parameter_groups import RULE, groups_of, unmatched, value_of
from gdcli.problem import LinearModel, Network, Problem, StatefulNetwork

if TYPE_CHECKING:
    from gdcli.method import Kind

WHERE = "--optimizer"
REST = "adamw"  # moves whatever another rule does not
OTHERS = f"use {REST} or another optimizer that takes any problem"
PLURAL: dict[Kind, str] = {
    "matrix": "matrices",
    "convolution": "convolutions",
    "embedding": "embeddings",
    "bias": "biases",
    "norm": "parameters of norms",
    "vector": "vectors",
}
NAMED = 2  # parameters, at most


def check_rule(rule: Rule, problem: Problem, kinds: Callable[[], Mapping[str, Kind]]) -> None:
    """Raise UserError for a problem that a rule, or a part of it, cannot train.

    `kinds` returns the kind of each of the problem's parameters, by name.
    """
    parts = rule.parts if isinstance(rule, Composed) else (Part(name_of(rule), type(rule)),)
    if not any(issubclass(part.kind, Method) or part.wraps for part in parts):
        return
    for part in parts:
        _check_part(part, problem)
    rules = [part for part in parts if not part.wraps]
    moved = {part: kinds_of(part.kind) for part in rules}  # type: ignore[arg-type]
    given = any(part.given for part in rules)
    if given or any(found is not None for found in moved.values()):
        own = kinds()
        if isinstance(rule, Composed) and rule.groups:
            own = _check_given(rule, moved, own)
        by_kind = {part: found for part, found in moved.items() if not part.given}
        _check_kinds(tuple(p for p in parts if not p.given), by_kind, problem, own, given=given)


def _check_given(
    rule: Composed, moved: Mapping[Part, frozenset[Kind] | None], kinds: Mapping[str, Kind]
) -> dict[str, Kind]:
    """Return the parameters that --for gives to no rule; raises UserError for what one can't move.

    A pattern that matches no parameter is another mistake.
    """
    groups = groups_of(rule.groups or "", FOR)
    if wrong := unmatched(groups, kinds, FOR):
        raise wrong
    chosen = {name: value_of(groups, RULE, None, name, kind) for name, kind in kinds.items()}
    by_name = {part.name: found for part, found in moved.items()}
    for name, own in chosen.items():
        found = by_name[own] if own else None
        if found is not None and kinds[name] not in found:
            what = f"{own} moves {_words(found)}, and {name} is none of these"
            raise UserError(FOR, what, f"give {name} another optimizer, or leave it out")
    return {name: kind for name, kind in kinds.items() if not chosen[name]}


def _check_part(part: Part, problem: Problem) -> None:
    """Raise UserError where a part asks what nobody can answer for the problem."""
    own, kind = name_of(problem), part.kind
    if getattr(kind, "linear_models", False) and not isinstance(problem, LinearModel):
        what = f"{part.name} is for linear models, and {own} is not one"
        raise UserError(WHERE, what, OTHERS)
    predicts = isinstance(problem, LinearModel | Network)
    if getattr(kind, "needs_outputs", False) and not predicts:
        what = (
            f"{part.name} needs a linear model, or a network with a criterion, and {own} is neither"
        )
        raise UserError(WHERE, what, OTHERS)
    if getattr(kind, "needs_curvature", False) and isinstance(problem, StatefulNetwork):
        what = f"{part.name} needs Hessian products, which gdcli does not compute for {own}"
        raise UserError(WHERE, what, OTHERS)


def _check_kinds(
    parts: tuple[Part, ...],
    moved: Mapping[Part, frozenset[Kind] | None],
    problem: Problem,
    kinds: Mapping[str, Kind],
    *,
    given: bool,
) -> None:
    """Raise UserError for a rule without a parameter to move, and for parameters without a rule.

    `given`: whether --for has given parameters to other rules.
    """
    own, there = name_of(problem), set(kinds.values())
    for part, found in moved.items():
        if found is not None and not found & there:
            none = f"--for leaves it none of {own}'s" if given else f"{own} has none"
            what = f"{part.name} moves {_words(found)}, and {none}"
            others = [other for other in parts if other is not part]
            fix = f"use {REST}" if len(moved) == 1 else f"write {_joined(others)}"
            raise UserError(WHERE, what, fix)
    if None in moved.values():
        return
    whole: frozenset[Kind] = frozenset().union(*(found for found in moved.values() if found))
    if left := [name for name, kind in kinds.items() if kind not in whole]:
        rules = _and([part.name for part in moved])
        verb = "moves" if len(moved) == 1 else "move"
        what = f"{rules} {verb} {_words(whole)}, which {_named(left)} of {own} "
        what += "is not" if len(left) == 1 else "are not"
        last = max(parts.index(part) for part in moved)
        rest = Part(REST, Rule)
        fix = f"write {_joined([*parts[: last + 1], rest, *parts[last + 1 :]])}"
        raise UserError(WHERE, what, fix)


def _named(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    if len(names) <= NAMED + 1:
        return _and(names)
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more parameters"


def _and(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _words(kinds: Iterable[Kind]) -> str:
    """Return kinds of parameters in words."""
    return _and([words for kind, words in PLURAL.items() if kind in set(kinds)])


def _joined(parts: Iterable[Part]) -> str:
    """Return parts as they are typed together: a file of the user's own by its path."""
    return "+".join(map(_typed, parts))


def _typed(part: Part) -> str:
    source = source_of(part.kind)
    if source is None:
        return part.name
    if source.file and name_in(source.file) == part.name:
        return relative(source.file)
    return f"{part.kind.__module__}:{part.kind.__qualname__}"
