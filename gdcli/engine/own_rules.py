"""Whether a rule of the user's own may be computed for many trials at once: it is tried on a few.

A rule that breaks its contract, as one that mixes coordinates in an elementwise `update` does,
would be silently wrong in a stack: there it mixes trials. Its trials are trained one at a time
instead.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gdcli.catalog.composed import Composed
from gdcli.fields import said
from gdcli.method import Method
from gdcli.optimizer import Optimizer, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.problem import Array

SHAPE = (3, 4)
STEPS = 4
SCALES = (1e-4, 1.0, 1e3)  # of parameters and gradients: a rule may branch on their size
CLOSE = 1e-9  # relative: elementwise functions may round otherwise in another place of an array


@lru_cache(maxsize=64)
def why_alone(rule: Rule) -> str | None:
    """Return why trials of a rule are trained one at a time; None: they are stacked.

    Rules of gdcli's own keep their contract, which tests show.
    """
    kinds = [part.kind for part in rule.parts] if isinstance(rule, Composed) else [type(rule)]
    if all(kind.__module__.startswith("gdcli.") for kind in kinds):
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


def _tried(rule: Optimizer, make: Callable[[np.ndarray], Array]) -> str | None:
    for scale in SCALES:
        whole = _directions(rule, make, scale, (slice(None), slice(None)))
        if isinstance(whole, str):
            return whole
        for row in range(SHAPE[0]):
            for column in range(SHAPE[1]):
                place = slice(row, row + 1), slice(column, column + 1)
                alone = _directions(rule, make, scale, place)
                here = [direction[place] for direction in whole]
                if isinstance(alone, str) or not np.allclose(
                    alone, here, rtol=CLOSE, atol=0.0, equal_nan=True
                ):
                    return "a coordinate by itself takes another direction than among others"
    return None


def _directions(
    rule: Optimizer,
    make: Callable[[np.ndarray], Array],
    scale: float,
    place: tuple[slice, slice],
) -> list[np.ndarray] | str:
    """Return the directions of some steps at a place of a parameter, or what is wrong with them.

    The numeric settings are arrays, as they are in a stack. The last gradient is not finite at one
    coordinate, as that of a trial that diverges.
    """
    rng, stacked = np.random.default_rng(0), copy(rule)
    param = make(scale * rng.standard_normal(SHAPE)[place])
    for name in rule.stacked_fields():
        values = make(np.full((len(np.asarray(param)), 1), getattr(rule, name)))
        object.__setattr__(stacked, name, values)
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
