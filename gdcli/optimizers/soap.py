"""SOAP: Adam in the eigenvectors of Shampoo's matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Lt

from gdcli import trees
from gdcli.method import About, Ask, Method, State
from gdcli.optimizers.adam import Beta1, Beta2, Eps, power
from gdcli.optimizers.adamw import WeightDecay
from gdcli.optimizers.shampoo import as_matrix, eye, multiplied, outer, sides

if TYPE_CHECKING:
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Soap(Method):
    """param -= lr * rate * P (P' mean Q / (sqrt(square) + eps)) Q' (Vyas et al. 2024, algorithm 3).

    P and Q hold eigenvectors of running means of grad grad' and grad' grad, and the square is a
    running mean of (P' grad Q)^2; rate = sqrt(1 - beta2^t) / (1 - beta1^t). Every so many steps P
    and Q take one step of the power iteration with a QR decomposition, and the columns are sorted
    by their eigenvalue. A convolution is a matrix with one row for each output channel; a side that
    is longer than `largest` has no eigenvectors, and vectors are trained by Adam, as by the
    authors.

    This is the authors' code, whose defaults are pytorch_optimizer's: learning rate 0.003 and
    weight decay 0.01. The first step finds the eigenvectors, and weight decay alone moves the
    parameters in it. Both references apply weight decay after each step but the first; here it is
    taken before every step, as in AdamW. Eigenvectors of a singular matrix are not unique: which
    ones are found depends on rounding.
    """

    beta1: Beta1 = 0.95
    beta2: Beta2 = 0.95
    beta3: Annotated[
        float | None,
        "share of the running means of both sides that is kept in each step; "
        "where none is given, beta2",
        Ge(0),
        Lt(1),
    ] = None
    every: Annotated[int, "steps from one QR decomposition to the next", Ge(1)] = 10
    largest: Annotated[int, "length of the longest side that has eigenvectors", Ge(2)] = 10000
    eps: Eps = 1e-8
    weight_decay: WeightDecay = 0.01

    default_lr: ClassVar[float] = 3e-3
    decoupled: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with all averages at 0."""
        flat = {name: as_matrix(param) for name, param in params.items()}
        bases = {
            name: {side: eye(p, size) for side, size in sides(p, self.largest).items()}
            if params[name].ndim > 1
            else {}
            for name, p in flat.items()
        }
        return {
            "mean": trees.zeros(flat),
            "square": trees.zeros(flat),
            "outer": {name: trees.zeros(basis) for name, basis in bases.items()},
            "basis": bases,
        }

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return Adam's direction in the eigenvectors, turned back."""
        _, grad = self.gradient(params, ask)
        after: State = {"mean": {}, "square": {}, "outer": {}, "basis": {}}
        found = {}
        for name, g in grad.items():
            held = {key: state[key][name] for key in after}
            way, kept = self.of_matrix(as_matrix(g), held, step)
            found[name] = way.view_as(g)
            for key, value in kept.items():
                after[key][name] = value
        return found, after

    def of_matrix(self, grad: Array, held: State, step: int) -> tuple[Array, State]:
        """Return the direction of one matrix, and what is kept of it."""
        beta3 = self.beta2 if self.beta3 is None else self.beta3
        if step == 1:
            sums = trees.scaled(1 - beta3, outer(grad, held["outer"]))
            basis = {side: trees.eigh(s)[1].flip(1) for side, s in sums.items()}
            return torch.zeros_like(grad), {**held, "outer": sums, "basis": basis}
        basis, turns = held["basis"], step - 1
        mean = self.beta1 * held["mean"] + (1 - self.beta1) * grad
        turned = turn(grad, basis)
        square = self.beta2 * held["square"] + (1 - self.beta2) * turned * turned
        rate = (1 - power(self.beta2, turns)) ** 0.5 / (1 - power(self.beta1, turns))
        way = rate * turn_back(turn(mean, basis) / (square.sqrt() + self.eps), basis)
        sums = trees.mixed(held["outer"], outer(grad, basis), beta3)
        if turns % self.every == 0:
            basis, square = next_basis(basis, sums, square)
        return way, {"mean": mean, "square": square, "outer": sums, "basis": basis}


def turn(matrix: Array, basis: Params) -> Array:
    """Return a matrix in the bases of its sides."""
    return multiplied(matrix, {n: b.mT if n == "left" else b for n, b in basis.items()})


def turn_back(matrix: Array, basis: Params) -> Array:
    """Return a matrix that is given in the bases of its sides."""
    return multiplied(matrix, {n: b if n == "left" else b.mT for n, b in basis.items()})


def next_basis(basis: Params, sums: Params, square: Array) -> tuple[Params, Array]:
    """Return the bases after one step of the power iteration, and the square sorted like them."""
    found = {}
    for side, old in basis.items():
        product = trees.product(sums[side], old)
        order = torch.argsort((old * product).sum(0), descending=True, stable=True)
        found[side] = trees.qr(product[:, order])
        square = square[order] if side == "left" else square[:, order]
    return found, square
