"""What the point is like at which a trial ended: asked only where its gradient has vanished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gdcli.arrays import namespace
from gdcli.engine.curvature import curvature_of
from gdcli.engine.lanczos import MOST
from gdcli.engine.sharpness import Sharpness
from gdcli.errors import RunError
from gdcli.problem import Array, LinearModel, Params

if TYPE_CHECKING:
    from gdcli.engine.initial import Start
    from gdcli.engine.program import Program
    from gdcli.engine.watcher import Watcher

VANISHED = 1e-3  # of the largest gradient norm: what stands still, or nearly
MOST_NUMBERS = 2**25  # that the search for curvature may hold
FALLEN = 0.9  # of the loss at the start: above it, a network may have learned nothing


class Ending:
    """The last points of the trials of a batch; arrays have the shape of the lanes."""

    def __init__(self, program: Program, params: Params, watcher: Watcher, spent: Array) -> None:
        """Take the trials that spent their budget; of others the last point is not kept."""
        self.program, self.params = program, params
        self.spent = program.device.host(spent)
        losses, norms = (
            np.stack([program.device.host(point[place]) for point in watcher.points])
            for place in (0, 1)  # the first of its MEASURES
        )
        self.still = norms[-1] <= VANISHED * np.fmax.reduce(norms)
        self.learned = losses[-1] < FALLEN * losses[0]

    def curvature(self, starts: Sequence[Start]) -> Array:
        """Return the smallest eigenvalue of the Hessian, nan where it is not asked for.

        It is asked where a gradient has vanished and the loss is not known to be convex. Lanczos's
        value lies above the smallest eigenvalue or at it, so that a negative one is a proof.
        """
        program, wanted = self.program, self.spent & self.still
        unknown = program.device.array(np.full(wanted.shape, np.nan))
        size = sum(
            array.size if isinstance(array, np.ndarray) else array.numel()
            for array in self.params.values()
        )
        convex = isinstance(program.problem, LinearModel)
        if not wanted.any() or convex or MOST * size > MOST_NUMBERS:
            return unknown
        known = curvature_of(program.problem, program.data)
        if known and known.exact:
            return unknown
        try:
            return Sharpness(program, starts).smallest(self.params, program.device.array(wanted))
        except (RunError, NotImplementedError):  # the loss has no second derivative
            return unknown

    def dead_units(self) -> Array:
        """Return the share of ReLU units that are 0 for all training examples.

        It is asked where a network's gradient has vanished or its loss is about the start's. nan:
        not asked for, or there are no such units.
        """
        program, wanted = self.program, self.spent & (self.still | ~self.learned)
        unknown = program.device.array(np.full(wanted.shape, np.nan))
        found = program.dead_units(self.params) if wanted.any() else None
        if found is None:
            return unknown
        return namespace(found).where(program.device.array(wanted), found, unknown)
