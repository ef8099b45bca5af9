"""Adaptive sharpness-aware minimisation: the ascent is in proportion to each weight's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from gdcli.wrappers.sam import Sam


@dataclass(frozen=True)
class Asam(Sam):
    """grad = gradient at param + rho * param^2 * grad / norm(param * grad), of the same batch.

    (Kwon, Kim, Park and Choi 2021, algorithm 1, with eta = 0, as in pytorch-optimizer; the default
    is the paper's for CIFAR-10.) Each step takes two gradients, and counts the examples of both.
    """

    rho: Annotated[float, "length of the ascent, relative to the weights", Ge(0)] = 0.5

    adaptive: ClassVar[bool] = True
    stacks: ClassVar[bool] = True
