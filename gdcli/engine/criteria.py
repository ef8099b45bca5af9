"""What a network's outputs cost: the trial-axis form of a criterion.

Outputs have shape (trials, outputs, batch); targets (trials or 1, outputs, batch), one-hot for
cross_entropy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

Measures: TypeAlias = "dict[str, Tensor]"


def one_hot(classes: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Return class indices (examples,) as `count` numbers each: zeros and a one."""
    return torch.nn.functional.one_hot(classes.long(), count).to(dtype)


def cross_entropy(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the costs summed over the batch, shape (trials,), and their slope in z."""
    log = torch.log_softmax(z, 1)
    return -(log * y).sum((1, 2)), torch.softmax(z, 1) - y


def mse(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return squared errors, averaged over outputs and summed over the batch, and their slope."""
    error = z - y
    return error.square().sum((1, 2)) / z.shape[1], error * (2 / z.shape[1])


def accuracy(z: Tensor, y: Tensor) -> Measures:
    """Return how many predictions are right, shape (trials,)."""
    return {"accuracy": (z.argmax(1) == y.argmax(1)).sum(1).to(z.dtype)}


CRITERIA = {"cross_entropy": cross_entropy, "mse": mse}
