"""How torch's operations on stacked trials give each trial the same bits among any others.

Three kinds of operation do not, on a CPU. Elementwise functions compute whole registers and the
rest at the end of an array by other instructions: an end there is where the last trial lies. A
product of a matrix and a vector, and one of all trials' rows with a matrix that they share, sum in
an order that depends on the number of trials.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch._ops import OpOverload

    Computed = Callable[[tuple[Any, ...], dict[str, Any], int], Tensor | None]

REGISTERS = 64  # elements: a multiple of what any processor handles at once
# Of the elementwise operations, those that round each result correctly, in any registers.
EXACT = """
abs bitwise_and bitwise_not bitwise_or ceil clamp clamp_max clamp_min clone copy div eq fill floor
ge gt isfinite isinf isnan le logical_and logical_not logical_or lt masked_fill maximum minimum mul
ne neg relu round sign sqrt threshold_backward trunc where
""".split()  # noqa: SIM905 -- a list of literals takes a line each
UNMARKED = """
elu_backward gelu_backward hardsigmoid_backward hardswish_backward hardtanh_backward
leaky_relu_backward log_sigmoid_backward mish_backward softplus_backward
""".split()  # noqa: SIM905 -- elementwise operations that torch does not mark as such


class SameBits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, operations give a trial the same bits for any number of trials.

    Each operation takes some us longer. Where none `differed`, the same calls need no such care.
    """

    trials = 1  # that are stacked
    differed = False  # whether any operation was computed in another way than torch's own

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: torch would import its compiler to skip this, and skip it slowly."""
        return False

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute an operation."""
        way = _way(func)
        found = way(args, kwargs or {}, self.trials) if way else None
        if found is None:
            return func(*args, **kwargs or {})
        self.differed = True
        return found


@cache
def _way(func: OpOverload) -> Computed | None:
    """Return how an operation is computed; None: as it is."""
    name = func.overloadpacket.__name__
    if name in ("mm", "addmm", "bmm", "baddbmm"):
        return _product
    elementwise = name in UNMARKED or torch.Tag.pointwise in func.tags
    one = len(func._schema.returns) == 1  # noqa: SLF001 -- torch shows it only there
    return partial(_elementwise, func) if elementwise and one and name not in EXACT else None


def _elementwise(
    func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], _: int
) -> Tensor | None:
    """Return an elementwise operation computed in whole registers; None: it is already."""
    if _rounds_correctly(func.overloadpacket.__name__, args, kwargs):
        return None
    arrays = [arg for arg in args if isinstance(arg, torch.Tensor) and arg.ndim]
    shapes = {array.shape for array in arrays}
    # torch's own broadcast_shapes imports its symbolic algebra.
    shape = shapes.pop() if len(shapes) == 1 else torch.Size(np.broadcast_shapes(*shapes))
    size = shape.numel()
    missing = -size % REGISTERS
    whole = not missing and not shapes and _alike_in_memory(arrays)
    if whole or not size or func._schema.is_mutable:  # noqa: SLF001 -- torch shows it only there
        return None

    def padded(arg: Any) -> Any:
        if not isinstance(arg, torch.Tensor) or not arg.ndim:
            return arg
        flat = arg.expand(shape).reshape(-1)
        return torch.nn.functional.pad(flat, (0, missing)) if missing else flat

    found: Tensor = func(*map(padded, args), **kwargs)
    return found[:size].view(shape)


def _rounds_correctly(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether it is a sum without a factor, or a square as torch writes it."""
    if name in ("add", "sub"):
        return bool(kwargs.get("alpha", 1) == 1)
    return name == "pow" and not isinstance(args[1], torch.Tensor) and args[1] in (1, 2)


def _alike_in_memory(arrays: list[Tensor]) -> bool:
    """Return whether arrays of one shape have their elements in one order, without gaps."""
    strides = {array.stride() for array in arrays}
    if len(strides) > 1:
        return False
    expected = 1
    for stride, size in sorted(zip(*strides, arrays[0].shape, strict=True)):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def _product(args: tuple[Any, ...], kwargs: dict[str, Any], trials: int) -> Tensor | None:
    """Return a product, and what is added to it; None: torch's own has the same bits."""
    *added, a, b = args
    if a.ndim == 2:
        if trials == 1 or len(a) % trials:
            return None
        # Rows of all trials, and a matrix that they share.
        each = _padded(a.reshape(trials, -1, a.shape[1]), b.expand(trials, *b.shape))
        found = each.reshape(len(a), -1)
    elif a.shape[1] == 1 or b.shape[2] == 1:
        found = _padded(a, b)
    else:
        return None
    if not added:
        return found
    total: Tensor = kwargs.get("beta", 1) * added[0] + kwargs.get("alpha", 1) * found
    return total


def _padded(a: Tensor, b: Tensor) -> Tensor:
    """Return the products of two stacks of matrices; a vector among them gets zeros beside it."""
    rows, columns = a.shape[1], b.shape[2]
    a = torch.nn.functional.pad(a, (0, 0, 0, 1)) if rows == 1 else a
    b = torch.nn.functional.pad(b, (0, 1)) if columns == 1 else b
    return torch.bmm(a, b)[:, :rows, :columns]
