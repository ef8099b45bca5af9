"""Arithmetic on all parameters of one trial: torch tensors by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gdcli.mapped import together

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def power(base: Array, exponent: Any) -> Array:
    """Return a power of numbers of at least 0, with the same bits in stacks of any size.

    Those of ** by a fraction depend on where in memory a number is.
    """
    return (exponent * base.log()).exp()


ALIGNED = 16  # numbers: a row of so many begins where the one before did, in a line of the cache


def product(a: Array, b: Array) -> Array:
    """Return a matrix product, with the same bits for each number of stacked trials.

    Bits of a product depend on where in memory a matrix begins: zeros fill up rows and columns, so
    that all of a stack begin alike. Batched products with a vector have others: they are sums.
    """
    found: Array = together(_product, a, b)
    return found


def _product(a: Array, b: Array) -> Array:
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    if inner == 1:
        return a * b
    if columns == 1:
        return (a * b.mT).sum(-1, keepdim=True)
    if rows == 1:
        return (a.mT * b).sum(-2, keepdim=True)
    found = torch.bmm(_filled(a), _filled(b))[:, :rows, :columns]
    return found.reshape(*a.shape[:-2], rows, columns)


def _filled(matrix: Array) -> Array:
    """Return matrices, (n, rows, columns), with zeros up to a multiple of ALIGNED."""
    rows, columns = (-size % ALIGNED for size in matrix.shape[-2:])
    return torch.nn.functional.pad(
        matrix.reshape(-1, *matrix.shape[-2:]), (0, columns, 0, rows)
    ).contiguous()


def eigh(matrix: Array) -> tuple[Array, Array]:
    """Return eigenvalues, ascending, and eigenvectors of a symmetric matrix.

    They are nan where the matrix is not finite: LAPACK raises then, for all trials of a stack. Each
    matrix of a stack is taken by itself, since bits depend on where in memory it begins.
    """
    found: tuple[Array, Array] = together(_eigh, matrix)
    return found


def _eigh(matrix: Array) -> tuple[Array, Array]:
    pairs = [torch.linalg.eigh(one) for one in _each(matrix)]
    values, vectors = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    sound = torch.isfinite(matrix).all(-1).all(-1)
    values = torch.where(sound[..., None], values.reshape(matrix.shape[:-1]), torch.nan)
    return values, torch.where(sound[..., None, None], vectors.reshape(matrix.shape), torch.nan)


def qr(matrix: Array) -> Array:
    """Return the orthogonal factor of a matrix; nan where it is not finite; else as `eigh`."""
    found: Array = together(_qr, matrix)
    return found


def _qr(matrix: Array) -> Array:
    factors = torch.stack([torch.linalg.qr(one)[0] for one in _each(matrix)])
    sound = torch.isfinite(matrix).all(-1).all(-1)[..., None, None]
    return torch.where(sound, factors.reshape(*matrix.shape[:-1], -1), torch.nan)


def svd(matrix: Array) -> tuple[Array, Array, Array]:
    """Return U, the singular values and V'; nan where the matrix is not finite; else as `eigh`."""
    found: tuple[Array, Array, Array] = together(_svd, matrix)
    return found


def _svd(matrix: Array) -> tuple[Array, ...]:
    parts = [torch.linalg.svd(one, full_matrices=False) for one in _each(matrix)]
    sound, ahead = torch.isfinite(matrix).all(-1).all(-1), matrix.shape[:-2]
    stacked = [torch.stack(part) for part in zip(*parts, strict=True)]
    return tuple(
        torch.where(
            sound.reshape(*ahead, *[1] * (part.ndim - 1)),
            part.reshape(*ahead, *part.shape[1:]),
            torch.nan,
        )
        for part in stacked
    )


def _each(matrix: Array) -> Iterator[Array]:
    """Yield each matrix of a stack in memory of its own; zeros where it is not finite."""
    for one in matrix.reshape(-1, *matrix.shape[-2:]):
        yield torch.where(torch.isfinite(one).all(), one, 0.0)
