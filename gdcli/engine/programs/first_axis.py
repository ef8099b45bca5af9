"""Stacks on torch whose parameters have the trials on their first axis."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Self

import torch

from gdcli.engine.layout import Pieces
from gdcli.engine.programs.program import Program, Stack

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.problem import Params


class FirstAxis(Stack, ABC):
    """Parameters of shape (trials, ...), by name."""

    def broadcast(self, values: Tensor, param: Tensor) -> Tensor:
        """Return values with an axis for each of the parameter's own."""
        return values.view(-1, *[1] * (param.ndim - 1))

    def sum_per_trial(self, array: Tensor) -> Tensor:
        """Return the sum over all axes but the trials."""
        return array.flatten(1).sum(1)

    def flatten(self, params: Params) -> Tensor:
        """Return the parameters one after another, in the order of their names."""
        return torch.cat([param.flatten(1) for param in params.values()], 1)

    def unflatten(self, vectors: Tensor, params: Params) -> Params:
        """Return the part of each parameter, in its shape."""
        sizes = [param[0].numel() for param in params.values()]
        parts = torch.split(vectors, sizes, 1)
        return {n: part.view_as(p) for (n, p), part in zip(params.items(), parts, strict=True)}


class FirstAxisProgram(FirstAxis, Program, ABC):
    """A program on torch."""

    pieces = Pieces()  # how many examples are computed at a time: all, unless it is configured

    def configured(self, pieces: Pieces, quantize_from_step: int) -> Self:
        """Return this program, once it is made, with the size of its pieces and its switch."""
        self.pieces, self.quantize_from_step = pieces, quantize_from_step
        return self
