"""The contract of an optimizer: how it turns gradients into steps.

A rule that treats every coordinate by itself is an `Optimizer`; one that needs more of the trial,
such as norms, matrices, the loss or another point, is a `Method` (gdcli/method.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar, TypeAlias

from annotated_types import Ge, Gt

from gdcli.fields import options_of
from gdcli.problem import Array

State: TypeAlias = dict[str, Array]


WEIGHT_DECAY = "weight decay by the optimizer, which is not part of the loss"
CLIP_NORM = "scale a gradient with a larger norm down to this norm"
OF_EVERY_RULE = ("weight_decay", "clip_norm")  # the fields that every rule has


@dataclass(frozen=True)
class Rule:
    """What every update rule has: a frozen dataclass whose fields are its options."""

    weight_decay: Annotated[float, WEIGHT_DECAY, Ge(0)] = 0.0
    clip_norm: Annotated[float | None, CLIP_NORM, Gt(0)] = None

    # The learning rate where none is given: its paper's or its library's. None: the problem's own,
    # as for plain descent, whose rate depends on the problem alone.
    default_lr: ClassVar[float | None] = None
    decoupled: ClassVar[bool] = False  # True: weight decay is added to the direction instead
    decays_itself: ClassVar[bool] = False  # True: in a way of its own, which its docstring says
    # True: direction and next state are linear in gradient and state, with the same factors at
    # every step and for every coordinate. The engine then computes many steps as a matrix power.
    linear: ClassVar[bool] = False
    needs_torch: ClassVar[bool] = False  # True: it uses torch functions on any problem

    @classmethod
    @cache
    def stacked_fields(cls) -> tuple[str, ...]:
        """Return the names of the fields that the engine passes as arrays: the plain numbers.

        Other fields (a flag, a word, an optional number) are equal for all stacked trials.
        """
        options = options_of(cls).values()
        return tuple(o.field for o in options if o.kind is float and not (o.optional or o.many))


@dataclass(frozen=True)
class Optimizer(Rule, ABC):
    """A rule of each coordinate by itself.

    Write elementwise arithmetic for one parameter of one trial. The engine adds an axis of trials
    to every array, and passes each numeric field as an array with one value for each trial, which
    broadcasts against the others. The arrays are NumPy arrays or torch tensors.
    """

    def init(self, param: Array) -> State:
        """Return the state before the first step: a dictionary of arrays like `param`."""
        return {}

    @abstractmethod
    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Return the direction and the next state; the engine does param -= lr * direction.

        `step` counts from 1. Do not change `grad`, `state` or `param` in place.
        """
