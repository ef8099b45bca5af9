"""What a network's outputs cost: the trial-axis form of a criterion.

Outputs have shape (trials, outputs, batch); targets (trials or 1, outputs, batch), one-hot for
cross_entropy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

Measures: TypeAlias = "dict[str, Tensor]"


class Criterion(ABC):
    """A cost, its slope and what else is measured; each is computed only where it is wanted."""

    @abstractmethod
    def cost(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the costs summed over the batch, shape (trials,)."""

    @abstractmethod
    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the slope of the summed cost in z."""

    @abstractmethod
    def costs(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the cost of each example, shape (trials, batch)."""

    def probabilities(self, z: Tensor) -> Tensor | None:
        """Return the probability of each class, of the shape of z; None: no classifier."""
        return None

    def scores(self, z: Tensor, y: Tensor) -> Measures:
        """Return measures by name, summed over the batch, shape (trials,)."""
        return {}


class CrossEntropy(Criterion):
    """Minus the log of the softmax at the right class."""

    def cost(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the summed cross-entropies."""
        return -(torch.log_softmax(z, 1) * y).sum((1, 2))

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the predicted probabilities, less the targets."""
        return self.probabilities(z) - y

    def costs(self, z: Tensor, y: Tensor) -> Tensor:
        """Return each example's cross-entropy."""
        return -(torch.log_softmax(z, 1) * y).sum(1)

    def probabilities(self, z: Tensor) -> Tensor:
        """Return the softmax of the outputs."""
        return torch.softmax(z, 1)

    def scores(self, z: Tensor, y: Tensor) -> Measures:
        """Return how often no other class has as large an output as the right one.

        Comparisons run over the whole batch at once; an argmax over the outputs does not.
        """
        return {"accuracy": self.right(z, y).sum(1).to(z.dtype)}

    def right(self, z: Tensor, y: Tensor) -> Tensor:
        """Return which examples are right, (trials, batch)."""
        right = (z * y).sum(1, keepdim=True)
        return (z >= right).sum(1) == 1


class WeightedCrossEntropy(CrossEntropy):
    """The cross-entropy, times the weight of the right class."""

    def __init__(self, weights: Tensor) -> None:
        """Take the weight of each class, shape (outputs,)."""
        self.weights = weights

    def cost(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the summed cross-entropies."""
        return self.costs(z, y).sum(1)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the weighted slopes."""
        return super().slope(z, y) * (self.weights @ y)[:, None]

    def costs(self, z: Tensor, y: Tensor) -> Tensor:
        """Return each example's cross-entropy."""
        return super().costs(z, y) * (self.weights @ y)


class SquaredError(Criterion):
    """The squared error, averaged over the outputs."""

    def cost(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the summed errors."""
        return (z - y).square().sum((1, 2)) / z.shape[1]

    def costs(self, z: Tensor, y: Tensor) -> Tensor:
        """Return each example's error."""
        return (z - y).square().sum(1) / z.shape[1]

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """Return 2 (z - y) over the number of outputs."""
        return (z - y) * (2 / z.shape[1])


CRITERIA: dict[str, Criterion] = {"cross_entropy": CrossEntropy(), "mse": SquaredError()}


def one_hot(classes: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Return class indices (examples,) as `count` numbers each: zeros and a one."""
    return torch.nn.functional.one_hot(classes.long(), count).to(dtype)
