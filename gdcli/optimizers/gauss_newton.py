"""Gauss-Newton: Newton-CG with the Gauss-Newton matrix, which has no negative curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from gdcli.optimizers.newton_cg import NewtonCg

if TYPE_CHECKING:
    from gdcli.optimizers._line_search import Batch
    from gdcli.problem import Array


@dataclass(frozen=True)
class GaussNewton(NewtonCg):
    """param += t * z, z about the solution of (G + damping * I) * z = -grad (Schraudolph 2002).

    G = J' H J, with J the Jacobian of the outputs and H the Hessian of the criterion: the Hessian
    itself where the outputs are linear. `levenberg-marquardt` adapts the damping. The minimum that
    it finds of a sum of squares is that of MINPACK, whose steps are others.
    The default of `lr` is the whole step.
    """

    damping: Annotated[float, "added to the diagonal of the matrix", Ge(0)] = 0.0

    needs_outputs: ClassVar[bool] = True

    def product(self, batch: Batch, x: Array, direction: Array) -> Array:
        """Return the damped Gauss-Newton matrix at x times a direction."""
        return batch.gauss_newton_product(x, direction) + self.damping * direction
