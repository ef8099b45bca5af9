"""Numbers as a few integer levels and a scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

TERNARY = 2  # bits: the levels -1, 0 and 1
FLOAT = 32  # bits: not rounded at all


def levels(x: Tensor, bits: int, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return whole numbers of the given bits, and the scale that they are to be multiplied by.

    Each slice along `axes` has a scale of its own, symmetric about 0: the largest magnitude is the
    largest level, 2^(bits - 1) - 1 (Jacob et al. 2018). Of two bits the largest magnitude would
    round almost everything to 0: there the scale is the mean magnitude (Ma et al. 2024).
    """
    largest = 2 ** (bits - 1) - 1
    sizes = x.abs()
    size = sizes.mean(axes, keepdim=True) if bits == TERNARY else sizes.amax(axes, keepdim=True)
    scale = torch.where(size > 0, size / largest, 1.0)
    return (x / scale).round().clamp(-largest, largest), scale


def rounded(x: Tensor, bits: int, axes: tuple[int, ...]) -> Tensor:
    """Return the numbers that the levels stand for; autograd passes their slopes straight through.

    The straight-through estimator (Bengio, Leonard and Courville 2013): rounding has the slope 0
    almost everywhere, and is differentiated as if it were not there, clamping included.
    """
    if bits == FLOAT:
        return x
    whole, scale = levels(x.detach(), bits, axes)
    return whole * scale + (x - x.detach())
