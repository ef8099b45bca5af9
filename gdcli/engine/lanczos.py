"""The largest eigenvalue of a symmetric matrix that is known by its products, for many at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gdcli.arrays import namespace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.problem import Array

    Floats: TypeAlias = NDArray[np.float64]

MOST = 64  # products at most; the estimate is then a little low, as it is on the way
EVERY = 5  # products from one look at the eigenvalues to the next
ROUNDING = 10  # times the precision: what is left of a product is no direction, but rounding
CLOSE = 1e-5  # residual of an eigenvector, over its eigenvalue, that is small enough


def largest_eigenvalue(
    product: Callable[[Array], Array], start: Array, wanted: NDArray[np.bool_], device: Device
) -> Floats:
    """Return the largest eigenvalue of each matrix, nan where it is not finite or not wanted.

    `start` holds a vector for each matrix, shape (..., size), and `product` multiplies each by its
    own. Lanczos's iteration with full reorthogonalisation (Parlett, The Symmetric Eigenvalue
    Problem, 1980): without it eigenvalues that have been found come again. A matrix has its value
    when that is accurate enough, so that it does not depend on the others.
    """
    xp, size = namespace(start), start.shape[-1]
    found, sought = np.full(wanted.shape, np.nan), wanted.copy()
    vector = start / _length(start)[..., None]
    most = min(MOST, size)
    basis = xp.zeros((*start.shape[:-1], most, size), dtype=start.dtype, device=start.device)
    diagonal: list[Floats] = []
    beside: list[Floats] = []
    for count in range(1, most + 1):
        basis[..., count - 1, :] = vector
        rest, length, along = _apart(product(vector), basis[..., :count, :])
        diagonal.append(_on_host(along, device))
        beside.append(_on_host(length, device))
        if count % EVERY == 0 or count == most:
            values, errors = _largest(diagonal, beside, sought)
            found = np.where(sought, values, found)
            sought = sought & (errors > CLOSE * abs(values))  # nan is no error worth another look
            if not sought.any():
                break
        vector = xp.where(length > 0, 1 / length, 0.0)[..., None] * rest
    return found


def _apart(image: Array, basis: Array) -> tuple[Array, Array, Array]:
    """Return what of an image is orthogonal to a basis, its length, and the share of the last.

    Once leaves rounding errors along the basis; twice is enough.
    """
    xp, along = namespace(image), 0.0
    rounding = ROUNDING * xp.finfo(image.dtype).eps * _length(image)
    for _ in range(2):
        shares = xp.matmul(basis, image[..., None])
        image = image - xp.matmul(basis.mT, shares)[..., 0]
        along = along + shares[..., -1, 0]
    length = _length(image)
    return image, xp.where(length > rounding, length, 0.0), along


def _length(vectors: Array) -> Array:
    return (vectors * vectors).sum(-1) ** 0.5


def _on_host(values: Array, device: Device) -> Floats:
    return np.asarray(device.host(values), np.float64)


def _largest(
    diagonal: list[Floats], beside: list[Floats], wanted: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return the largest eigenvalue of each tridiagonal matrix, and bounds of its error.

    The error is at most the residual: the next entry beside the diagonal times the eigenvector's
    last (Parlett 1980). Both are nan where they are not wanted or an entry is not finite.
    """
    main, side = np.stack(diagonal, -1), np.stack(beside, -1)
    # After an entry of 0 nothing follows: the vectors, and all that is made of them, are 0.
    over = np.cumsum(side[..., :-1] == 0, axis=-1) > 0
    main[..., 1:] = np.where(over, main[..., :1], main[..., 1:])
    sound = wanted & np.isfinite(main).all(-1) & np.isfinite(side).all(-1)
    values, errors = np.full(sound.shape, np.nan), np.full(sound.shape, np.nan)
    matrix = main[sound][:, :, None] * np.eye(main.shape[-1])
    places = np.arange(main.shape[-1] - 1)
    matrix[:, places + 1, places] = side[sound][:, :-1]  # the lower half is all that eigh reads
    eigenvalues, vectors = np.linalg.eigh(matrix)
    values[sound] = eigenvalues[:, -1]
    errors[sound] = side[sound][:, -1] * abs(vectors[:, -1, -1])
    return values, errors
