"""PSGD-Kron: gradients whitened by two triangular factors, which are fitted step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le

from gdcli import trees
from gdcli.method import About, Ask, Method, State
from gdcli.optimizers.adam import Beta1, unbiased
from gdcli.optimizers.shampoo import as_matrix, eye, sides

if TYPE_CHECKING:
    from gdcli.problem import Array, Params

TINY = 2.0**-126  # added to a divisor, as in the reference


@dataclass(frozen=True)
class PsgdKron(Method):
    """param -= lr * P'P mean Q'Q, cut to a root mean square of 1.1 (Li 2018; Li and others 2024).

    P and Q are upper triangular and fitted so that this whitens the mean gradient: with A = P mean
    Q' and B = P'^-1 v Q^-1, v random, P -= fit * triu(AA' - BB') P / |AA' + BB'|, and Q likewise.
    The norm is a lower bound of the spectral norm. A side that is longer than `largest`, or of
    length 1, and a vector have a diagonal factor. A convolution is a matrix with one row for each
    output channel.

    This is pytorch_optimizer's Kron with its learning rate, 0.001, but for three things. v has
    random signs, which are white as normal numbers are. The factors are fitted every so many steps,
    where that package's default is at every step up to step 500 and ever more rarely then. They are
    scaled to equal size every `balance` steps instead of in one step of 100 at random. Weight decay
    is applied to vectors, too.
    """

    beta: Beta1 = 0.9
    fit: Annotated[float, "learning rate of the factors", Gt(0), Le(1)] = 0.1
    every: Annotated[int, "steps from one fit of the factors to the next", Ge(1)] = 1
    balance: Annotated[int, "steps from one scaling of the factors to the next", Ge(1)] = 100
    largest: Annotated[int, "length of the longest side that has a triangular factor", Ge(1)] = 8192

    default_lr: ClassVar[float] = 1e-3
    decoupled: ClassVar[bool] = True

    def init(self, params: Params, about: About) -> State:
        """Start with the average at 0 and factors of 1."""
        return {
            "mean": trees.zeros(params),
            "factor": {name: self.factors(param) for name, param in params.items()},
        }

    def factors(self, param: Array) -> Params:
        """Return the factors of a parameter: identity matrices, or ones on the diagonal."""
        rows, columns = as_matrix(param).shape
        if param.ndim < 2:
            return {"left": param.new_ones(rows)}
        full = sides(param, self.largest)
        return {
            side: eye(param, size) if side in full else param.new_ones(size)
            for side, size in (("left", rows), ("right", columns))
        }

    def direction(
        self, params: Params, state: State, ask: Ask, lr: Array, step: int
    ) -> tuple[Params, State]:
        """Return the whitened mean gradients."""
        _, grad = self.gradient(params, ask)
        mean = trees.mixed(state["mean"], grad, self.beta)
        fits = step % self.every == 0
        noise = ask.signs(params) if fits else {}
        found, factors = {}, {}
        for name, m in mean.items():
            held = state["factor"][name]
            aim = as_matrix(unbiased(m, self.beta, step))
            if fits and len(held) > 1 and step % self.balance == 0:
                held = balanced(held)
            if fits:
                held = self.fitted(held, aim, as_matrix(noise[name]))
            white = applied(applied(aim, held), {side: flip(q) for side, q in held.items()})
            size = (white * white).mean().sqrt()
            found[name] = ((1.1 / (size + 1e-6)).clamp(max=1.0) * white).view_as(m)
            factors[name] = held
        return found, {"mean": mean, "factor": factors}

    def fitted(self, factors: Params, grad: Array, noise: Array) -> Params:
        """Return the factors after a step towards those that whiten the gradient."""
        a, b = applied(grad, factors), unapplied(noise, factors)
        found = {}
        for side, q in factors.items():
            if side == "right":
                a, b = a.mT, b.mT
            if q.ndim < 2:
                one, two = (a * a).sum(1), (b * b).sum(1)
                size = (one + two).abs().amax()
                found[side] = q - self.fit * (one - two) / (size + TINY) * q
            else:
                one, two = trees.product(a, a.mT), trees.product(b, b.mT)
                size = spectral_bound(one + two)
                change = self.fit * (one - two).triu() / (size + TINY)
                found[side] = q - trees.product(change, q)
        return found


def flip(factor: Array) -> Array:
    """Return a factor's transpose; a diagonal is its own."""
    return factor if factor.ndim < 2 else factor.mT


def applied(matrix: Array, factors: Params) -> Array:
    """Return P matrix Q'."""
    p = factors["left"]
    matrix = p[:, None] * matrix if p.ndim < 2 else trees.product(p, matrix)
    if "right" not in factors:
        return matrix
    q = factors["right"]
    return matrix * q if q.ndim < 2 else trees.product(matrix, q.mT)


def unapplied(matrix: Array, factors: Params) -> Array:
    """Return P'^-1 matrix Q^-1."""
    p = factors["left"]
    if p.ndim < 2:
        matrix = matrix / p[:, None]
    else:
        matrix = torch.linalg.solve_triangular(p.mT, matrix, upper=False)
    if "right" not in factors:
        return matrix
    q = factors["right"]
    if q.ndim < 2:
        return matrix / q
    return torch.linalg.solve_triangular(q, matrix, upper=True, left=False)


def balanced(factors: Params) -> Params:
    """Return the two factors with largest entries of the same size; their product stays."""
    size = {side: q.abs().amax() for side, q in factors.items()}
    middle = (size["left"] * size["right"]).sqrt()
    return {side: q * (middle / size[side]) for side, q in factors.items()}


def spectral_bound(matrix: Array) -> Array:
    """Return a lower bound of the spectral norm of a symmetric matrix.

    It is |matrix x| / |x|, where x is the matrix times its longest column. Matrices times vectors
    are sums of products, because batched ones depend on the number of stacked trials.
    """
    largest = matrix.abs().amax()
    scaled = matrix / torch.where(largest > 0, largest, 1.0)
    at = (scaled * scaled).sum(0).argmax()
    x = (scaled * scaled[at]).sum(1)
    x = x / torch.linalg.vector_norm(x).clamp(min=torch.finfo(matrix.dtype).tiny)
    return largest * torch.linalg.vector_norm((scaled * x).sum(1))
