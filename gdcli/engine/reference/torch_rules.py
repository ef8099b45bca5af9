"""Whether optimizers of torch can train a problem at all: tried before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gdcli.catalog.catalog import TorchOptimizer, name_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families.find import precision, starting_point
from gdcli.errors import UserError
from gdcli.fields import said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gdcli.experiment.grid import Trial

LONGEST = 2  # of an axis of the tensors that are moved: a rule may mind their number of axes
STEPS = 2  # the first makes the state, which the second uses


def check(trials: Sequence[Trial]) -> None:
    """Raise UserError for an optimizer of torch that cannot move its problem's parameters."""
    first = trials[0]
    start = starting_point(first.problem, examples_of(first), first.seed)
    shapes = sorted({array.shape for array in start.values()})
    dtype: torch.dtype = getattr(torch, precision(first))
    rules = dict.fromkeys(t.optimizer for t in trials if isinstance(t.optimizer, TorchOptimizer))
    for rule in rules:
        if why := _fault(rule, shapes, dtype):
            what = f"{name_of(rule)} cannot train {name_of(first.problem)}: {why}"
            raise UserError("--optimizer", what, _fix(rule, shapes, dtype))


def _fault(rule: TorchOptimizer, shapes: list[Any], dtype: torch.dtype) -> str:
    """Return what a rule raises for parameters of some shapes, "" where it moves them."""
    small = [torch.ones([min(size, LONGEST) for size in shape], dtype=dtype) for shape in shapes]
    try:
        # As they are, in no memory: what it says of their shapes is true.
        rule.made([torch.zeros((), dtype=dtype).expand(shape) for shape in shapes], 1e-3)
        _moved(rule, small)
    except Exception as error:  # noqa: BLE001 -- any class may raise anything
        return " ".join(said(error).split())
    return ""


def _moved(rule: TorchOptimizer, params: list[Tensor]) -> None:
    """Take steps along a slope that is the same everywhere."""
    made = rule.made(params, 1e-3)

    def closure() -> Tensor:
        for param in params:
            param.grad = torch.ones_like(param)
        return torch.stack([param.sum() for param in params]).sum()

    for _ in range(STEPS):
        made.step(closure)  # type: ignore[arg-type]


def _fix(rule: TorchOptimizer, shapes: list[Any], dtype: torch.dtype) -> str:
    """Return what would do: other options, or another optimizer."""
    if not _fault(type(rule)(), shapes, dtype):
        return f"give {name_of(rule)} other options: its defaults would do"
    if rule.kind == "Muon" and any(len(shape) > 1 and min(shape) > 1 for shape in shapes):
        return "take muon+adamw"
    return f"take {'adam' if rule.kind == 'SparseAdam' else 'adamw'}"
