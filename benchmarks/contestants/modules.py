"""What a tutorial would write for each problem: an nn.Module and a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

import torch
from torch import nn

from gdcli.problem import Network

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.loaded import Loaded

Criterion: TypeAlias = Callable[["Tensor", "Tensor"], "Tensor"]


class Bowl(nn.Module):
    """(w' Q w) / 2, of which the curvature is the input."""

    def __init__(self, dimension: int) -> None:
        """Begin with a point that the starting point replaces."""
        super().__init__()
        self.point = nn.Parameter(torch.ones(dimension))

    def forward(self, curvature: Tensor) -> Tensor:
        """Return the height; the curvature is a matrix, or its eigenvalues."""
        pull = curvature @ self.point if curvature.ndim == 2 else curvature * self.point
        return 0.5 * (self.point * pull).sum()


def module_for(loaded: Loaded, seed: int) -> nn.Module:
    """Return the module of a trial, at the starting point of its seed."""
    start = {n: torch.from_numpy(v) for n, v in loaded.starts[seed].items()}
    problem = loaded.first.problem
    module: nn.Module
    if isinstance(problem, Network):
        module = problem.module(loaded.data)  # the nn.Sequential that anybody would write
    elif loaded.kind == "own-loss":
        wide, hidden = start["weight1"].shape[1], len(start["bias1"])
        module = nn.Sequential(nn.Linear(wide, hidden), nn.ReLU(), nn.Linear(hidden, 10))
        start = {f"{i}.{p}": start[f"{p}{n}"] for i, n in ((0, 1), (2, 2)) for p in PARTS}
    elif loaded.kind == "quadratic":
        module = Bowl(len(start["point"]))
    else:
        module = nn.Linear(*start["weight"].shape)
        start["weight"] = start["weight"].T
    # Before the values are loaded: a float32 module would round them.
    module = module.to(loaded.device, getattr(torch, loaded.dtype))
    module.load_state_dict(start)
    return module


PARTS = ("weight", "bias")


def criterion_for(loaded: Loaded) -> Criterion:
    """Return the loss of a module's output and the targets."""
    if loaded.kind == "quadratic":
        return lambda height, _: height
    if loaded.kind == "linear-regression":
        return lambda z, y: 0.5 * nn.functional.mse_loss(z, y)
    return cast("Criterion", nn.functional.cross_entropy)


def tensors_for(loaded: Loaded, device: str) -> tuple[Tensor, Tensor]:
    """Return the examples as tensors."""
    x, y = loaded.examples
    return torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
