"""Which way the steps of a cohort are taken: one by one, or fused where that is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gdcli.engine.device import NumPy
from gdcli.engine.programs.analytic import AnalyticProgram
from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.steps.fused import (
    BlockedLinearModel,
    ClosedForm,
    FusedLinearModel,
    FusedNetwork,
    LeastSquares,
)
from gdcli.engine.steps.stepper import Stepwise
from gdcli.optimizers.vanilla import Vanilla

if TYPE_CHECKING:
    from gdcli.engine.programs.network import NetworkProgram
    from gdcli.engine.programs.program import Program
    from gdcli.engine.sampling import Orders
    from gdcli.engine.steps.stepper import Stepper
    from gdcli.engine.update import StackedOptimizer


def stepper_for(
    program: Program, optimizer: StackedOptimizer, orders: Orders | None
) -> Stepper[Any]:
    """Return the fastest way to take the steps of a cohort.

    The choice depends on the problem, the method, the batch size and the optimizer, never on the
    size of the grid: a trial must have the same bits in every grid.
    """
    if (
        orders is None
        and isinstance(program, AnalyticProgram)
        and ClosedForm.fits(program, optimizer)
    ):
        return ClosedForm(program, optimizer, None)
    if not program.device.eager:
        from gdcli.engine.steps.cuda_graph import Graphed

        single = _single(program, optimizer, orders)
        return Graphed(single) if Graphed.fits(program) else single
    if isinstance(program, LinearModelProgram) and isinstance(program.device, NumPy):
        return _of_linear_model(program, optimizer, orders)
    return _single(program, optimizer, orders)


def _of_linear_model(
    program: LinearModelProgram, optimizer: StackedOptimizer, orders: Orders | None
) -> Stepper[Any]:
    """Return a stepper that fuses several steps, or the parts of one, into few products."""
    if orders is None or not _plain(optimizer):
        return Stepwise(program, optimizer, orders)
    for kind in (LeastSquares, BlockedLinearModel):  # which need all examples in memory
        if not program.streamed and kind.fits(program, optimizer, orders):
            return kind(program, optimizer, orders)
    return FusedLinearModel(program, optimizer, orders)


def _single(program: Program, optimizer: StackedOptimizer, orders: Orders | None) -> Stepwise[Any]:
    """Return a stepper that takes one step after the other."""
    # Only a NetworkProgram has layers; its class would import torch.
    if orders and _plain(optimizer) and getattr(program, "layers", None):
        return FusedNetwork(cast("NetworkProgram", program), optimizer, orders)
    return Stepwise(program, optimizer, orders)


def _plain(optimizer: StackedOptimizer) -> bool:
    """Return whether a step is the gradient times the learning rate, and nothing else."""
    return isinstance(optimizer.first, Vanilla) and not (optimizer.clips or optimizer.decays)
