"""What a rule cannot train, said in one line before anything starts.

A rule of the user's own is tried on a few numbers. One that breaks its contract, as one that mixes
coordinates in an elementwise `update` does, would be silently wrong in a stack: there it mixes
trials. Its trials are trained one at a time instead. One that keeps numbers outside its state is
refused: a resumed run would go another way.
"""

from __future__ import annotations

import random
import sys
from copy import copy
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.catalog.composed import FOR, Composed, Part, kinds_of
from gdcli.catalog.user_code import name_in, relative, source_of
from gdcli.errors import UserError
from gdcli.fields import said
from gdcli.method import Method
from gdcli.optimizer import Optimizer, Rule
from gdcli.parameter_groups import RULE, groups_of, unmatched, value_of
from gdcli.problem import LinearModel, Network, OfClasses, Problem, StatefulNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from gdcli.method import Kind
    from gdcli.problem import Array

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
    if not isinstance(rule, Composed) and not isinstance(rule, Method):
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
    if getattr(kind, "needs_labels", False) and (why := _no_labels(problem)):
        what = f"{part.name} draws labels from the probabilities of a classifier, {why}"
        raise UserError(WHERE, what, OTHERS)
    if getattr(kind, "needs_curvature", False) and isinstance(problem, StatefulNetwork):
        what = f"{part.name} needs Hessian products, which gdcli does not compute for {own}"
        raise UserError(WHERE, what, OTHERS)


def _no_labels(problem: Problem) -> str:
    """Return why no labels can be drawn by which a loss is a likelihood; empty: they can."""
    own = name_of(problem)
    if isinstance(problem, LinearModel):
        fits = problem.likelihood
    else:
        fits = isinstance(problem, Network) and problem.criterion == "cross_entropy"
    if not fits:
        return f"and the loss of {own} is not their cross-entropy"
    weighs = isinstance(problem, OfClasses) and problem.weighs
    return "and --class-weights weighs the examples by their own labels" if weighs else ""


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
        if given and not there:
            what = f"--for gives every parameter of {own} to another optimizer"
            raise UserError(WHERE, f"{part.name} moves nothing: {what}", "leave one of them out")
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


SHAPE = (3, 4)
WHOLE = slice(None), slice(None)
STEPS = 4
SCALES = (1e-4, 1.0, 1e3)  # of parameters and gradients: a rule may branch on their size
CLOSE = 1e-9  # relative: elementwise functions may round otherwise in another place of an array


def check_own_rule(rule: Rule, *, torch: bool) -> None:
    """Raise UserError for a rule of the user's own that no run can train.

    `torch`: whether the problem gives it torch tensors.
    """
    if not all(map(built_in, parts_of(rule))) and (what := _why_never(rule, torch=torch)):
        raise UserError("--optimizer", *what)


@lru_cache(maxsize=64)
def _why_never(rule: Rule, *, torch: bool) -> tuple[str, str] | None:
    """Return why no run can train a rule, and what to do; None: nothing is known."""
    composed = isinstance(rule, Composed)
    parts: tuple[Any, ...] = vars(rule)["_made"] if composed else (rule,)
    for part in parts:
        if built_in(type(part)):
            continue
        name = name_of(part)
        if keeps_numbers(part):
            what = f"{name} keeps numbers outside its state: from one start it goes two ways"
            return what, "keep them in the state that it returns"
        # A part of another rule is given torch tensors on any problem.
        if isinstance(part, Optimizer) and (torch or composed) and not part.needs_torch:
            try:
                _directions(_with_arrays(part, _torch), _torch, 1.0, WHOLE)
            except Exception as error:  # noqa: BLE001 -- the user's code may raise anything
                what = f"{name} is given torch tensors here, and fails: {said(error)}"
                return what, "compute by operators, or by xp = gdcli.arrays.namespace(grad)"
    return None


def _own_methods() -> Any:
    """Return the module that tries methods, on torch."""
    from gdcli.engine import own_methods

    return own_methods


def parts_of(rule: Rule) -> list[type[Any]]:
    """Return the classes that a rule is put together of."""
    return [part.kind for part in rule.parts] if isinstance(rule, Composed) else [type(rule)]


def built_in(kind: type[Any]) -> bool:
    """Return whether a class is one of gdcli's own."""
    return kind.__module__.startswith("gdcli.")


@lru_cache(maxsize=64)
def why_alone(rule: Rule) -> str | None:
    """Return why trials of a rule are trained one at a time; None: they are stacked.

    Rules of gdcli's own keep their contract, which tests show.
    """
    if all(map(built_in, parts_of(rule))):
        return None
    if isinstance(rule, Method):
        why: str | None = _own_methods().why_not_mapped(rule)
        return why
    return why_not_elementwise(rule) if isinstance(rule, Optimizer) else None


def why_not_elementwise(rule: Optimizer) -> str | None:
    """Return what tells that a rule is not elementwise; None: nothing does."""
    make = _torch if rule.needs_torch else np.array
    try:
        with np.errstate(all="ignore"):
            return _tried(rule, make)
    except Exception as error:  # noqa: BLE001 -- the user's code may raise anything
        return f"it cannot take arrays of several trials: {said(error)}"


def keeps_numbers(rule: Rule) -> bool:
    """Return whether a rule goes another way when it starts once more: its state is not all of it.

    Random numbers of NumPy's, Python's and torch's own generators are the same in both tries.
    """
    tried: Callable[[], Any]
    if isinstance(rule, Method):
        tried = partial(_own_methods().way, rule)
    elif isinstance(rule, Optimizer):
        make = _torch if rule.needs_torch else np.array
        tried = partial(_directions, _with_arrays(rule, make), make, 1.0, WHOLE)
    else:
        return False
    try:
        with np.errstate(all="ignore"):
            first, second = _seeded(tried), _seeded(tried)
    except Exception:  # noqa: BLE001 -- why_alone says what it raises
        return False
    return not isinstance(first, str) and not all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)
    )


def _seeded(tried: Callable[[], Any]) -> Any:
    """Return what a try returns with the generators of random numbers at a fixed point."""
    held = random.getstate(), np.random.get_state()  # noqa: NPY002 -- those that users' code has
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    try:
        if "torch" not in sys.modules:
            return tried()
        import torch

        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            return tried()
    finally:
        random.setstate(held[0])
        np.random.set_state(held[1])  # noqa: NPY002


def _tried(rule: Optimizer, make: Callable[[np.ndarray], Array]) -> str | None:
    stacked = _with_arrays(rule, make)
    for scale in SCALES:
        whole = _directions(stacked, make, scale, WHOLE)
        if isinstance(whole, str):
            return whole
        for row in range(SHAPE[0]):
            for column in range(SHAPE[1]):
                place = slice(row, row + 1), slice(column, column + 1)
                alone = _directions(_with_arrays(rule, make, place), make, scale, place)
                here = [direction[place] for direction in whole]
                if isinstance(alone, str) or not np.allclose(
                    alone, here, rtol=CLOSE, atol=0.0, equal_nan=True
                ):
                    return "a coordinate by itself takes another direction than among others"
    return None


def _with_arrays(
    rule: Optimizer, make: Callable[[np.ndarray], Array], place: tuple[slice, slice] = WHOLE
) -> Optimizer:
    """Return a rule whose numeric settings are arrays, as they are in a stack."""
    stacked, rows = copy(rule), len(np.empty(SHAPE)[place])
    for name in rule.stacked_fields():
        object.__setattr__(stacked, name, make(np.full((rows, 1), getattr(rule, name))))
    return stacked


def _directions(
    stacked: Optimizer,
    make: Callable[[np.ndarray], Array],
    scale: float,
    place: tuple[slice, slice],
) -> list[np.ndarray] | str:
    """Return the directions of some steps at a place of a parameter, or what is wrong with them.

    The last gradient is not finite at one coordinate, as that of a trial that diverges.
    """
    rng = np.random.default_rng(0)
    param = make(scale * rng.standard_normal(SHAPE)[place])
    state, found = stacked.init(param), []
    for step in range(1, STEPS + 1):
        drawn = scale * rng.standard_normal(SHAPE)
        if step == STEPS:
            drawn[0, 0] = np.inf
        direction, after = stacked.update(make(drawn[place]), state, param, step)
        for name, value in {"direction": direction, **after}.items():
            if np.shape(value) != np.shape(param):
                return f"its {name} has not the shape of the parameter"
        if set(after) != set(state):
            return "the names in its state change from step to step"
        param, state = param - 0.1 * direction, after
        found.append(np.asarray(direction).copy())
    return found


def _torch(values: np.ndarray) -> Array:
    import torch

    return torch.from_numpy(values)


LONGEST = 2  # of an axis of the tensors that are moved: a rule may mind their number of axes
TORCH_STEPS = 2  # the first makes the state, which the second uses


def check_torch(
    rules: Iterable[TorchOptimizer], problem: Problem, shapes: list[Any], dtype: str
) -> None:
    """Raise UserError for an optimizer of torch that cannot move parameters of some shapes."""
    for rule in rules:
        if why := _fault(rule, shapes, dtype):
            what = f"{name_of(rule)} cannot train {name_of(problem)}: {why}"
            raise UserError(WHERE, what, _fix(rule, shapes, dtype))


def _fault(rule: TorchOptimizer, shapes: list[Any], dtype: str) -> str:
    """Return what a rule raises for parameters of some shapes, "" where it moves them."""
    import torch

    small = [
        torch.ones([min(size, LONGEST) for size in shape], dtype=getattr(torch, dtype))
        for shape in shapes
    ]
    try:
        # As they are, in no memory: what it says of their shapes is true.
        rule.made(
            [torch.zeros((), dtype=getattr(torch, dtype)).expand(shape) for shape in shapes], 1e-3
        )
        _moved(rule, small)
    except Exception as error:  # noqa: BLE001 -- any class may raise anything
        return " ".join(said(error).split())
    return ""


def _moved(rule: TorchOptimizer, params: list[Tensor]) -> None:
    """Take steps along a slope that is the same everywhere."""
    import torch

    made = rule.made(params, 1e-3)

    def closure() -> Tensor:
        for param in params:
            param.grad = torch.ones_like(param)
        return torch.stack([param.sum() for param in params]).sum()

    for _ in range(TORCH_STEPS):
        made.step(closure)  # type: ignore[arg-type]


def _fix(rule: TorchOptimizer, shapes: list[Any], dtype: str) -> str:
    """Return what would do: other options, or another optimizer."""
    if not _fault(type(rule)(), shapes, dtype):
        return f"give {name_of(rule)} other options: its defaults would do"
    if rule.kind == "Muon" and any(len(shape) > 1 and min(shape) > 1 for shape in shapes):
        return "take muon+adamw"
    return f"take {'adam' if rule.kind == 'SparseAdam' else 'adamw'}"
