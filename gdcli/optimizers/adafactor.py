"""Adafactor: steps in proportion to the weights, with squares kept by row and column."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt

from gdcli import trees
from gdcli.method import About, Ask, Method, State

if TYPE_CHECKING:
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Adafactor(Method):
    """param -= rate * max(smallest, rms(param)) * u / max(1, rms(u) / clip) (Shazeer, Stern 2018).

    u = grad / sqrt(square): the square of a matrix is the product of its running means by row and
    by column, divided by their mean; that of a vector is kept in full. The mean's share of the new
    gradient is step^-decay, and rate = min(lr, 1 / sqrt(step)) (algorithms 4 to 6).

    This is torch.optim.Adafactor, with its learning rate, 0.01. As there, rows and columns are the
    last two axes, which in a convolution are those of the kernel, and a square is at least eps^2,
    where the paper adds a number to each squared gradient. optax takes the two largest axes.
    """

    decay: Annotated[float, "power of 1 / step that is a new square's share", Gt(0)] = 0.8
    clip: Annotated[float, "largest root mean square of a parameter's step", Ge(1)] = 1.0
    smallest: Annotated[float, "smallest root mean square of a parameter", Ge(0)] = 1e-3
    eps: Annotated[
        float | None, "smallest root of a square; where none is given, the precision", Gt(0)
    ] = None

    default_lr: ClassVar[float] = 1e-2
    decoupled: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with all squares at 0."""
        return {
            "row": {n: p.new_zeros((*p.shape[:-1], 1)) for n, p in params.items() if p.ndim > 1},
            "column": {
                n: p.new_zeros((*p.shape[:-2], 1, p.shape[-1]))
                for n, p in params.items()
                if p.ndim > 1
            },
            "square": {n: p.new_zeros(p.shape) for n, p in params.items() if p.ndim < 2},
        }

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the clipped step, relative to the parameter and to the learning rate."""
        _, grad = self.gradient(params, ask)
        squares = {name: g * g for name, g in grad.items()}
        # By exp: bits of pow depend on the number of stacked trials.
        keep = 1 - (trees.number(params, -math.log(step)) * self.decay).exp()
        row = {n: squares[n].mean(-1, keepdim=True) for n in state["row"]}
        column = {n: squares[n].mean(-2, keepdim=True) for n in state["column"]}
        state = {
            "row": trees.mixed(state["row"], row, keep),
            "column": trees.mixed(state["column"], column, keep),
            "square": trees.mixed(state["square"], squares, keep),
        }
        least = torch.clamp(1 / (step**0.5 * lr), max=1.0)  # of the rate: 1 where it is 0
        found = {}
        for name, param in params.items():
            eps = torch.finfo(param.dtype).eps if self.eps is None else self.eps
            if name in state["square"]:
                square = state["square"][name]
            else:
                mean = state["row"][name].mean(-2, keepdim=True).clamp(min=eps)
                square = state["row"][name] * state["column"][name] / mean
            way = grad[name] * square.clamp(min=eps * eps).rsqrt()
            size = least * rms(param).clamp(min=self.smallest)
            found[name] = size / (rms(way) / self.clip).clamp(min=1.0) * way
        return found, state


def rms(x: Array) -> Array:
    """Return the root mean square of a tensor."""
    return (x * x).mean().sqrt()
