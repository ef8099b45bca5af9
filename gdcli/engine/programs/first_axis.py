"""Programs on torch whose parameters have the trials on their first axis."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING

import torch

from gdcli.engine.layout import Pieces
from gdcli.engine.programs.program import Program

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.problem import Params


class FirstAxisProgram(Program, ABC):
    """Parameters of shape (trials, ...), by name."""

    pieces = Pieces()  # what is computed at a time: all, unless it is said

    def over(self, values: Tensor, param: Tensor) -> Tensor:
        """Return values with an axis for each of the parameter's own."""
        return values.view(-1, *[1] * (param.ndim - 1))

    def total(self, array: Tensor) -> Tensor:
        """Return the sum over all axes but the trials."""
        return array.flatten(1).sum(1)

    def vectors(self, params: Params) -> Tensor:
        """Return the parameters one after another, in the order of their names."""
        return torch.cat([param.flatten(1) for param in params.values()], 1)

    def parted(self, vectors: Tensor, params: Params) -> Params:
        """Return what stands in the place of each parameter."""
        sizes = [param[0].numel() for param in params.values()]
        parts = torch.split(vectors, sizes, 1)
        return {n: part.view_as(p) for (n, p), part in zip(params.items(), parts, strict=True)}
