"""Arithmetic on all parameters of one trial: torch tensors by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from gdcli.problem import Array, Params


def zeros(params: Params) -> Params:
    """Return zeros in the shapes of the parameters."""
    return {name: param.new_zeros(param.shape) for name, param in params.items()}


def add(a: Params, b: Params, scale: Any = 1.0) -> Params:
    """Return a + scale * b."""
    return {name: a[name] + scale * b[name] for name in a}


def scaled(factor: Any, a: Params) -> Params:
    """Return factor * a."""
    return {name: factor * array for name, array in a.items()}


def mixed(a: Params, b: Params, share: Any) -> Params:
    """Return share * a + (1 - share) * b."""
    return {name: share * a[name] + (1 - share) * b[name] for name in a}


def dot(a: Params, b: Params, front: int = 0) -> Array:
    """Return the inner product over all parameters, a scalar, for each index of the front axes."""
    products = (a[name] * b[name] for name in a)
    return sum(each.reshape(*each.shape[:front], -1).sum(-1) for each in products)


def norm(a: Params, front: int = 0) -> Array:
    """Return the Euclidean norm over all parameters, a scalar, for each index of the front axes."""
    return dot(a, a, front).sqrt()


def number(params: Params, value: float = 0.0) -> Array:
    """Return a scalar tensor of the parameters' precision and device."""
    return next(iter(params.values())).new_full((), value)


def chosen(condition: Array, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Return a where a scalar condition holds, else b: parameters, or a whole state."""
    return {
        name: chosen(condition, held, b[name])
        if isinstance(held, dict)
        else torch.where(condition, held, b[name])
        for name, held in a.items()
    }


def eigh(matrix: Array) -> tuple[Array, Array]:
    """Return eigenvalues, ascending, and eigenvectors of a symmetric matrix.

    They are nan where the matrix is not finite: LAPACK raises then, for all trials of a
    stack.
    """
    sound = torch.isfinite(matrix).all()
    values, vectors = torch.linalg.eigh(torch.where(sound, matrix, 0.0))
    return torch.where(sound, values, torch.nan), torch.where(sound, vectors, torch.nan)


def qr(matrix: Array) -> Array:
    """Return the orthogonal factor of a matrix; nan where it is not finite."""
    sound = torch.isfinite(matrix).all()
    return torch.where(sound, torch.linalg.qr(torch.where(sound, matrix, 0.0))[0], torch.nan)
