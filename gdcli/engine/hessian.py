"""Sharpness: the largest eigenvalue of the Hessian of the full training loss.

The largest eigenvalue of a symmetric matrix that is known by its products, for many at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gdcli.arrays import namespace
from gdcli.catalog.catalog import name_of
from gdcli.engine.sampling import stream
from gdcli.engine.theory.curvature import curvature_of
from gdcli.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.initial import Start
    from gdcli.engine.programs.program import Program
    from gdcli.problem import Array, Params, Problem

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


class Sharpness:
    """Measures every trial of a program, at any point.

    It is exact where the Hessian is the same everywhere; elsewhere Lanczos's iteration finds it.
    """

    def __init__(self, program: Program, starts: Sequence[Start]) -> None:
        """Draw the direction that each seed's search begins with; `starts` is one a seed."""
        self.program, problem = program, program.problem
        known = curvature_of(problem, program.data)
        self.everywhere = known.largest if known and known.exact else None
        seeds = zip(program.lanes.seeds, starts, strict=True)
        first = program.start([direction(problem, seed, start) for seed, start in seeds])
        self.first = program.vectors(first)

    def at(self, params: Params, wanted: Array) -> Array:
        """Return the sharpness of the trials that are wanted, of the lanes' shape; else nan."""
        device = self.program.device
        if self.everywhere is not None:
            return device.array(np.where(device.host(wanted), self.everywhere, np.nan))
        return self._largest(params, wanted, 1.0)

    def smallest(self, params: Params, wanted: Array) -> Array:
        """Return the smallest eigenvalue of the trials that are wanted, as `at` the largest."""
        return -self._largest(params, wanted, -1.0)

    def _largest(self, params: Params, wanted: Array, factor: float) -> Array:
        """Return the largest eigenvalue of the Hessian times a factor."""
        device = self.program.device

        def product(vectors: Array) -> Array:
            along = self.program.parted(vectors, params)
            return factor * self.program.vectors(self.program.hessian_product(params, along))

        with twice_differentiable(self.program.problem):
            found = largest_eigenvalue(product, self.first, device.host(wanted), device)
        return device.array(found)


@contextmanager
def twice_differentiable(problem: Problem) -> Iterator[None]:
    """Raise RunError where PyTorch says that a loss has no second derivative."""
    try:
        yield
    except RuntimeError as error:  # NotImplementedError is one
        if "derivative" not in (said := str(error)) or "not implemented" not in said:
            raise
        what = f"the loss of {name_of(problem)} has no second derivative: {said.rstrip('.')}"
        raise RunError(f"--measure: {what}; leave it out") from None


def direction(problem: Problem, seed: int, start: Start) -> dict[str, NDArray[np.float64]]:
    """Return a random direction for the parameters that a seed starts from."""
    rng = stream(name_of(problem), seed, "sharpness")
    return {name: rng.standard_normal(value.shape) for name, value in start.items()}
