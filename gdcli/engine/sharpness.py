"""Sharpness: the largest eigenvalue of the Hessian of the full training loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from gdcli.catalog.catalog import name_of
from gdcli.engine.curvature import curvature_of
from gdcli.engine.lanczos import largest_eigenvalue
from gdcli.engine.streams import stream
from gdcli.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.initial import Start
    from gdcli.engine.program import Program
    from gdcli.problem import Array, Params, Problem


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
