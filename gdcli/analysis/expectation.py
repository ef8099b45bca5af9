"""What theory expects of a setting at a learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gdcli.analysis.theory import (
    Limit,
    convergence_rate,
    limit_of,
    stable_sharpness,
)
from gdcli.catalog.catalog import OPTIMIZERS, SCHEDULES, Catalogue
from gdcli.fields import Option, options_of
from gdcli.optimizer import Optimizer
from gdcli.optimizers.vanilla import Vanilla
from gdcli.schedule import Schedule

if TYPE_CHECKING:
    from gdcli.analysis.facts import Facts, Goals
    from gdcli.analysis.rows import Value
    from gdcli.engine.noise_floor import Floor

COMMON = ("weight_decay", "clip_norm")  # settings of every optimizer, named without it


class Expectation(NamedTuple):
    """What is known of a setting; None is what is not."""

    optimizer: Optimizer
    limit: Limit | None = None
    rate: float | None = None  # the factor by which a step shrinks the distance to the minimiser
    floor: Floor | None = None
    edge: float | None = None  # sharpness up to which steps are stable, where the Hessian varies


def expectation(
    given: Mapping[str, Value], lr: float, facts: Facts | None, goals: Goals
) -> Expectation | None:
    """Return what theory expects of the setting `given`, by name; None of an unknown optimizer.

    Of a schedule that is not constant nothing is expected.
    """
    optimizer = optimizer_of(given)
    if optimizer is None:
        return None
    if facts is None or given["schedule"] != "constant":
        return Expectation(optimizer)
    method, curvature = str(given["method"]), facts.curvature
    return Expectation(
        optimizer,
        limit_of(optimizer, method, curvature) if curvature else None,
        _rate(optimizer, method, lr, facts),
        _floor(optimizer, given, lr, facts, goals),
        _edge(optimizer, method, lr, facts),
    )


def optimizer_of(given: Mapping[str, Value]) -> Optimizer | None:
    """Return the optimizer of a setting, with its fields that vary; None of one's own."""
    found: Optimizer | None = _component(given, "optimizer", OPTIMIZERS)
    return found


def schedule_of(given: Mapping[str, Value]) -> Schedule | None:
    """Return the schedule of a setting, with its fields that vary; None of one's own."""
    found: Schedule | None = _component(given, "schedule", SCHEDULES)
    return found


def _component(given: Mapping[str, Value], what: str, known: Catalogue[Any]) -> Any:
    """Return the built-in of a name that a setting has, with its fields that vary."""
    name = str(given[what])
    rule = _rule(name, what, known)
    if rule is None:
        return None
    kind, options = rule
    fields: dict[str, Any] = {}
    for option in options:
        column = option.field if option.field in COMMON else f"{name}.{option.field}"
        if (value := given.get(column)) is not None:
            fields[option.field] = option.read(str(value), column)
    return kind(**fields)


@lru_cache  # a run may have thousands of settings, and a handful of optimizers
def _rule(name: str, what: str, known: Catalogue[Any]) -> tuple[type, tuple[Option, ...]] | None:
    """Return the built-in class of that name and its options, None where there is none."""
    if name not in known.built_in():  # nobody's own file is run for it
        return None
    kind = known.find(name, what)
    return kind, tuple(options_of(kind).values())


def _rate(optimizer: Optimizer, method: str, lr: float, facts: Facts) -> float | None:
    """Return the rate of descent on all examples where the Hessian is the same everywhere.

    Along axes of curvature 0 the gradient is 0: there is nothing to descend. Weight decay has
    another minimiser than the loss: the gradient does not vanish there.
    """
    curvature = facts.curvature
    if method != "gd" or curvature is None or not curvature.exact or optimizer.weight_decay:
        return None
    slowest = curvature.slowest
    return convergence_rate(optimizer, lr, (slowest, curvature.largest)) if slowest else None


def _edge(optimizer: Optimizer, method: str, lr: float, facts: Facts) -> float | None:
    """Return the stable sharpness of descent on all examples, unless the limit says it all."""
    known = facts.curvature is not None and facts.curvature.exact
    return None if method != "gd" or known else stable_sharpness(optimizer, lr)


def _floor(
    optimizer: Optimizer, given: Mapping[str, Value], lr: float, facts: Facts, goals: Goals
) -> Floor | None:
    """Return the floor of plain SGD that draws with replacement; none is known of a shuffle."""
    size, plain = given["batch_size"], type(optimizer) is Vanilla and optimizer == Vanilla()
    if not plain or given["method"] == "gd" or goals.order != "replacement":
        return None
    return facts.floor(size, lr) if isinstance(size, int) else None
