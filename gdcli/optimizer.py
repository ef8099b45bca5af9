"""How a step is taken: the contract of an update rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar, TypeAlias

from annotated_types import Ge, Gt

from gdcli.fields import options_of
from gdcli.problem import Array

State: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class Optimizer(ABC):
    """An update rule: a frozen dataclass whose fields are its options.

    It is elementwise arithmetic, written for one parameter of one trial. In the engine every
    array has an axis of trials besides, and every field that is a number is an array of one value
    a trial that broadcasts against it. NumPy or torch, whichever its arguments are.
    """

    weight_decay: Annotated[float, "weight decay, not part of the loss", Ge(0)] = 0.0
    clip_norm: Annotated[float | None, "largest norm of a trial's gradient", Gt(0)] = None

    decoupled: ClassVar[bool] = False  # weight decay joins the direction, not the gradient
    # Direction and next state are sums of multiples of the gradient and the state, the same at
    # every step and for every coordinate: the rule knows no axes, and a power of it is a matrix.
    linear: ClassVar[bool] = False
    needs_torch: ClassVar[bool] = False  # its arithmetic is torch's own, on any problem

    @classmethod
    @cache
    def stacked_fields(cls) -> tuple[str, ...]:
        """Return the fields that are arrays in the engine: the plain numbers.

        Others (a flag, a word, a number that may be left out) are the same for all trials that
        are stacked.
        """
        options = options_of(cls).values()
        return tuple(o.field for o in options if o.kind is float and not (o.optional or o.many))

    def init(self, param: Array) -> State:
        """Return the state before the first step: arrays of the parameter's shape, by name."""
        return {}

    @abstractmethod
    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the direction and the next state; the engine does param -= lr * direction.

        `step` counts from 1. Neither `grad`, `state` nor `param` may be changed.
        """
