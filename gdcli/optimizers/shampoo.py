"""Shampoo: gradients multiplied by inverse roots of their summed outer products on each side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt

from gdcli import trees
from gdcli.method import About, Ask, Method, State
from gdcli.optimizers.muon import flattened

if TYPE_CHECKING:
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Shampoo(Method):
    """param -= lr * L^-exponent grad R^-exponent (Gupta, Koren and Singer 2018, algorithm 1).

    L = eps * I + sum(grad grad') and R = eps * I + sum(grad' grad). A convolution is a matrix with
    one row for each output channel. A side that is longer than `largest`, or of length 1, has no
    factor, and the exponent of the other is twice as large. So a vector is multiplied by
    L^(-2 * exponent), which is full-matrix AdaGrad at the default. Where no side has a factor, the
    direction is the gradient.

    This is pytorch_optimizer's rule without its momentum, which averages a gradient with a
    multiplied one; with its learning rate, 0.001, and its eps. That package starts with roots of 0
    and does not move before step `every`; here each step up to that one computes the roots.
    """

    exponent: Annotated[float, "exponent of each inverse root of a matrix", Gt(0)] = 0.25
    eps: Annotated[float, "smallest eigenvalue, from which the sums start", Gt(0)] = 1e-6
    every: Annotated[int, "steps from one computation of the roots to the next", Ge(1)] = 1
    largest: Annotated[int, "length of the longest side that has a factor", Ge(2)] = 8192

    default_lr: ClassVar[float] = 1e-3

    def init(self, params: Params, about: About) -> State:
        """Start with sums of eps times the identity."""
        state: State = {"sum": {}, "root": {}}
        for name, param in params.items():
            eyes = {side: eye(param, size) for side, size in sides(param, self.largest).items()}
            state["sum"][name] = trees.scaled(self.eps, eyes)
            state["root"][name] = eyes
        return state

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the gradients, multiplied on each side."""
        _, grad = self.gradient(params, ask)
        sums, roots, found = {}, {}, {}
        for name, g in grad.items():
            m = as_matrix(g)
            sums[name] = trees.add(state["sum"][name], outer(m, state["sum"][name]))
            roots[name] = state["root"][name]
            if step <= self.every or step % self.every == 0:
                factors = len(sums[name])
                roots[name] = {side: self.root(s, factors) for side, s in sums[name].items()}
            found[name] = multiplied(m, roots[name]).view_as(g)
        return found, {"sum": sums, "root": roots}

    def root(self, matrix: Array, factors: int) -> Array:
        """Return the inverse root of a sum, for a parameter with so many factors."""
        values, vectors = trees.eigh(matrix)
        power = 2 * self.exponent / factors
        roots = trees.power(values.clamp(min=self.eps), -power)
        return trees.product(vectors * roots, vectors.mT)


def as_matrix(param: Array) -> Array:
    """Return a parameter as a matrix; a vector is a column."""
    return flattened(param) if param.ndim > 1 else param.reshape(-1, 1)


def sides(param: Array, largest: int) -> dict[str, int]:
    """Return the lengths of the sides that have a factor, by their names."""
    rows, columns = as_matrix(param).shape
    if rows == columns == 1:
        return {"left": 1}
    found = {"left": rows, "right": columns}
    return {side: size for side, size in found.items() if 1 < size <= largest}


def eye(param: Array, size: int) -> Array:
    """Return an identity matrix of a parameter's precision and device."""
    return torch.eye(size, dtype=param.dtype, device=param.device)


def outer(matrix: Array, factors: Params) -> Params:
    """Return the outer products of the sides that have a factor."""
    both = {"left": (matrix, matrix.mT), "right": (matrix.mT, matrix)}
    return {side: trees.product(*both[side]) for side in factors}


def multiplied(matrix: Array, factors: Params) -> Array:
    """Return a matrix multiplied by the factor of each side."""
    if "left" in factors:
        matrix = trees.product(factors["left"], matrix)
    return trees.product(matrix, factors["right"]) if "right" in factors else matrix
