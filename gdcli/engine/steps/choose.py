"""How the steps between two recorded points are taken: one by one, or fused where that is exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gdcli.engine.device import NumPy
from gdcli.engine.programs.analytic import AnalyticProgram
from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.engine.steps.fused import BlockedLinearModel, ClosedForm, FusedLinearModel, LeastSquares
from gdcli.engine.steps.stepper import Stepwise
from gdcli.optimizers.vanilla import Vanilla

if TYPE_CHECKING:
    from gdcli.engine.programs.network import NetworkProgram
    from gdcli.engine.programs.program import Program
    from gdcli.engine.sampling import Orders
    from gdcli.engine.steps.stepper import Stepper
    from gdcli.engine.update import Rule


def stepper_for(program: Program, rule: Rule, orders: Orders | None) -> Stepper[Any]:
    """Return the fastest way to take the steps of a cohort.

    The choice depends on the problem, the method, the batch size and the optimizer, never on the
    size of the grid: a trial must have the same bits in every grid.
    """
    if orders is None and isinstance(program, AnalyticProgram) and ClosedForm.fits(program, rule):
        return ClosedForm(program, rule, None)
    if not program.device.eager:
        from gdcli.engine.steps.cuda_graph import Graphed

        single = _single(program, rule, orders)
        return Graphed(single) if Graphed.fits(program) else single
    if isinstance(program, LinearModelProgram) and isinstance(program.device, NumPy):
        return _of_linear_model(program, rule, orders)
    return _single(program, rule, orders)


def _of_linear_model(
    program: LinearModelProgram, rule: Rule, orders: Orders | None
) -> Stepper[Any]:
    """Return what takes several steps, or the parts of one, as few products."""
    if orders is None or not _plain(rule):
        return Stepwise(program, rule, orders)
    for kind in (LeastSquares, BlockedLinearModel):  # which look at the examples themselves
        if not program.streamed and kind.fits(program, rule, orders):
            return kind(program, rule, orders)
    return FusedLinearModel(program, rule, orders)


def _single(program: Program, rule: Rule, orders: Orders | None) -> Stepwise[Any]:
    """Return what takes one step after the other."""
    # Only a NetworkProgram has layers; to ask for its class would import torch.
    if orders and _plain(rule) and getattr(program, "layers", None):
        from gdcli.engine.steps.fused import FusedNetwork

        return FusedNetwork(cast("NetworkProgram", program), rule, orders)
    return Stepwise(program, rule, orders)


def _plain(rule: Rule) -> bool:
    """Return whether a step is the gradient times the learning rate, and nothing else."""
    return isinstance(rule.optimizer, Vanilla) and not (rule.clips or rule.decays)
