"""The extreme eigenvalues of Hessians that are known by their products, for many trials at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gdcli.arrays import namespace
from gdcli.catalog.catalog import name_of
from gdcli.engine.sampling import stream
from gdcli.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.programs.program import Stack
    from gdcli.problem import Array, Params, Problem

    Floats: TypeAlias = NDArray[np.float64]

MOST = 64  # products at most; after fewer than it takes the estimate is a little low
EVERY = 5  # products between two computations of the eigenvalues
ROUNDING = 10  # times the precision: a shorter rest is rounding, not a direction
CLOSE = 1e-5  # residual of an eigenvector, over its eigenvalue, that is small enough


def largest_eigenvalue(
    product: Callable[[Array], Array],
    start: Array,
    wanted: NDArray[np.bool_],
    device: Device,
    most: int = MOST,
) -> Floats:
    """Return the largest eigenvalue of each matrix, nan where it is not finite or not wanted.

    `start` holds a vector for each matrix, shape (..., size); `product` multiplies each by its own
    matrix, `most` times at most. Lanczos's iteration with full reorthogonalisation (Parlett, The
    Symmetric Eigenvalue Problem, 1980): without it eigenvalues that have been found come again.
    The search for a matrix ends when its own value is accurate enough, so that the value does not
    depend on the other matrices.
    """
    xp, size = namespace(start), start.shape[-1]
    found, sought = np.full(wanted.shape, np.nan), wanted.copy()
    vector = start / _length(start)[..., None]
    most = min(most, size)
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
            sought = sought & (errors > CLOSE * abs(values))  # False for nan: the search ends
            if not sought.any():
                break
        vector = xp.where(length > 0, 1 / length, 0.0)[..., None] * rest
    return found


def _apart(image: Array, basis: Array) -> tuple[Array, Array, Array]:
    """Return the part of an image orthogonal to a basis, its length, and the share of the last.

    One pass leaves rounding errors along the basis; two passes are enough.
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
    # After an entry of 0 the following vectors, and all entries from them, are 0.
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


class HessianEigenvalues:
    """The extreme eigenvalues of the Hessians of a stack's training losses, at any point."""

    def __init__(self, stack: Stack, params: Params, most: int = MOST) -> None:
        """Draw the first direction of each seed's search; `most` bounds the products of one."""
        self.stack, self.most = stack, most
        shapes = {name: array.shape[1:] for name, array in stack.by_trial(params).items()}
        seeds = stack.layout.seeds
        first = stack.start([_direction(stack.problem, seed, shapes) for seed in seeds])
        self.first = stack.flatten(first)

    def largest(self, params: Params, wanted: Array, factor: float = 1.0) -> Array:
        """Return the largest eigenvalue of the Hessian times a factor, nan where it is unwanted."""
        stack, device = self.stack, self.stack.device

        def product(vectors: Array) -> Array:
            along = stack.unflatten(vectors, params)
            return factor * stack.flatten(stack.hessian_product(params, along))

        with _twice_differentiable(stack.problem):
            wanted = device.host(wanted)
            found = largest_eigenvalue(product, self.first, wanted, device, self.most)
        return device.array(found)

    def smallest(self, params: Params, wanted: Array) -> Array:
        """Return the smallest eigenvalue of the Hessian, nan where it is unwanted."""
        return -self.largest(params, wanted, -1.0)


@contextmanager
def _twice_differentiable(problem: Problem) -> Iterator[None]:
    """Raise RunError where PyTorch says that a loss has no second derivative."""
    try:
        yield
    except RuntimeError as error:  # NotImplementedError is one
        if "derivative" not in (said := str(error)) or "not implemented" not in said:
            raise
        what = f"the loss of {name_of(problem)} has no second derivative: {said.rstrip('.')}"
        raise RunError(f"--measure: {what}; leave it out") from None


def _direction(
    problem: Problem, seed: int, shapes: dict[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float64]]:
    """Return a random direction of a seed's parameters."""
    rng = stream(name_of(problem), seed, "sharpness")
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}
