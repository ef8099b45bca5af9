"""Whether a rule of the user's own may be computed for many trials at once: it is tried on a few.

A rule that breaks its contract, as one that mixes coordinates in an elementwise `update` does,
would be silently wrong in a stack: there it mixes trials. Its trials are trained one at a time
instead. One that keeps numbers outside its state is refused: a resumed run would go another way.
"""

from __future__ import annotations

import random
import sys
from copy import copy
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.catalog.catalog import name_of
from gdcli.catalog.composed import Composed
from gdcli.errors import UserError
from gdcli.fields import said
from gdcli.method import Method
from gdcli.optimizer import Optimizer, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.problem import Array

SHAPE = (3, 4)
WHOLE = slice(None), slice(None)
STEPS = 4
SCALES = (1e-4, 1.0, 1e3)  # of parameters and gradients: a rule may branch on their size
CLOSE = 1e-9  # relative: elementwise functions may round otherwise in another place of an array


def check_own_rule(rule: Rule, *, torch: bool) -> None:
    """Raise UserError for a rule of the user's own that no run can train.

    `torch`: whether the problem gives it torch tensors.
    """
    if not all(map(_built_in, parts_of(rule))) and (what := _why_never(rule, torch=torch)):
        raise UserError("--optimizer", *what)


@lru_cache(maxsize=64)
def _why_never(rule: Rule, *, torch: bool) -> tuple[str, str] | None:
    """Return why no run can train a rule, and what to do; None: nothing is known."""
    composed = isinstance(rule, Composed)
    parts: tuple[Any, ...] = vars(rule)["_made"] if composed else (rule,)
    for part in parts:
        if _built_in(type(part)):
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


def parts_of(rule: Rule) -> list[type[Any]]:
    """Return the classes that a rule is put together of."""
    return [part.kind for part in rule.parts] if isinstance(rule, Composed) else [type(rule)]


def _built_in(kind: type[Any]) -> bool:
    return kind.__module__.startswith("gdcli.")


@lru_cache(maxsize=64)
def why_alone(rule: Rule) -> str | None:
    """Return why trials of a rule are trained one at a time; None: they are stacked.

    Rules of gdcli's own keep their contract, which tests show.
    """
    if all(map(_built_in, parts_of(rule))):
        return None
    if isinstance(rule, Method):
        from gdcli.engine.own_methods import why_not_mapped

        return why_not_mapped(rule)
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
        from gdcli.engine.own_methods import way

        tried = partial(way, rule)
    elif isinstance(rule, Optimizer):
        make = _torch if rule.needs_torch else np.array
        tried = partial(_directions, _with_arrays(rule, make), make, 1.0, WHOLE)
    else:
        return False
    try:
        with np.errstate(all="ignore"):
            first, second = _seeded(tried), _seeded(tried)
    except Exception:  # noqa: BLE001 -- what it raises is told where it is tried in a stack
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
