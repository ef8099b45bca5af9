"""Largest eigenvalue of the Hessian of the training loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gdcli.engine.families.family import family_of
from gdcli.measure import Column, Measure

if TYPE_CHECKING:
    from gdcli.engine.hessian import HessianEigenvalues
    from gdcli.engine.programs.program import Evaluation, Stack
    from gdcli.problem import Array, Params


@dataclass(frozen=True)
class Sharpness(Measure):
    """Found by Lanczos's iteration on Hessian-vector products, where the Hessian varies."""

    columns: ClassVar[tuple[Column, ...]] = (
        Column("sharpness", phrase="largest eigenvalue of the Hessian of the training loss"),
    )
    vectors: ClassVar[int] = 64  # the basis of the iteration: one for each product, at most
    second_order: ClassVar[bool] = True

    def prepare(self, stack: Stack, params: Params) -> HessianEigenvalues | float:
        """Return the one value of a constant Hessian, else the iteration."""
        theory, known = family_of(stack.problem).theory, None
        if stack.constant_hessian:
            known = theory.curvature(stack.problem, stack.data)
        return known.largest if known else stack.hessian_eigenvalues(params, self.vectors)

    def values(
        self,
        stack: Stack,
        params: Params,
        evaluation: Evaluation,
        prepared: HessianEigenvalues | float,
    ) -> dict[str, Array]:
        """Return the sharpness of the running trials, nan of the others."""
        if not isinstance(prepared, float):
            return {"sharpness": prepared.largest(params, evaluation.running)}
        import numpy as np

        device = stack.device
        running = device.host(evaluation.running)
        return {"sharpness": device.array(np.where(running, prepared, np.nan))}
