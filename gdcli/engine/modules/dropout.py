"""Dropout whose masks follow from the seed, the step and the layer, not from what was drawn before.

Trials with the same seed have the same masks, in any grid and after any interruption.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from gdcli.engine.streams import at_block, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Shape: TypeAlias = tuple[int, ...]
Masks: TypeAlias = "dict[str, list[Tensor]]"  # by layer, one for each time that it is called
WHOLE_CHANNELS = (torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d)


class KeyedDropout(torch.nn.Module):
    """Dropout (Srivastava et al. 2014) by masks that it is told of; the first axis is the batch."""

    def __init__(self, layer: torch.nn.Dropout) -> None:
        """Take the share that is dropped from the layer in whose place this one is."""
        super().__init__()
        self.p, self.channels = layer.p, isinstance(layer, WHOLE_CHANNELS)
        self.mask: Callable[[Shape], Tensor] | None = None

    @staticmethod
    def fits(layer: torch.nn.Module) -> bool:
        """Return whether a layer is such a dropout, of elements or of whole channels."""
        return type(layer) in (torch.nn.Dropout, *WHOLE_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the mask in training, else x."""
        if not self.training or self.mask is None:
            return x
        shape = x.shape[:2] + (1,) * (x.ndim - 2) if self.channels else x.shape
        return x * self.mask(tuple(shape)).to(x.dtype)

    def drawn(self, rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
        """Return a mask: 0 for what is dropped, and for the rest what keeps the mean."""
        kept = (rng.random(shape) >= self.p).astype(np.float64)
        return kept / (1 - self.p) if self.p < 1 else kept


def mask_stream(problem: str, seed: int, step: int, layer: str) -> np.random.Generator:
    """Return the stream of a layer's masks in a step, one after the other as it is called."""
    return at_block(stream(problem, seed, "dropout", layer), step)
