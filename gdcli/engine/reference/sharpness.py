"""The sharpness of one trial: products with its Hessian by autograd, twice over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gdcli.engine.lanczos import largest_eigenvalue
from gdcli.engine.reference.objective import Objective, Tensors, tensors
from gdcli.engine.sharpness import direction, twice_differentiable

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.engine.device import Torch
    from gdcli.engine.initial import Start


class Sharpness:
    """Measures one trial, at any point."""

    def __init__(self, objective: Objective[Any], seed: int, start: Start, device: Torch) -> None:
        """Draw the direction that the search begins with: any engine's."""
        self.objective, self.device = objective, device
        first = tensors(direction(objective.problem, seed, start), device)
        self.first = _vector(list(first.values()))

    def at(self, params: Tensors) -> Tensor:
        """Return the sharpness, nan where it is not finite."""

        def product(vector: Tensor) -> Tensor:
            sums = torch.zeros_like(vector)
            for share, leaves, slopes in self.objective.curved(params):
                gradient = _vector(slopes)
                if gradient.requires_grad:  # else the loss is linear
                    bent = torch.autograd.grad(gradient, leaves, vector, materialize_grads=True)
                    sums += share * _vector(bent)
            return sums

        with twice_differentiable(self.objective.problem):
            found = largest_eigenvalue(product, self.first, np.array([True]), self.device)
        return self.first.new_tensor(found[0])


def _vector(parts: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """Return tensors as one vector, of the only trial: shape (1, size)."""
    return torch.cat([part.flatten() for part in parts])[None]
