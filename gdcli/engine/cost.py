"""What the outputs of one trial's network cost, by the name of its criterion."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional

from gdcli.discovery import name_of
from gdcli.engine.examples import load
from gdcli.engine.initial import module_of
from gdcli.errors import UserError
from gdcli.fields import show

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.problem import Network

OF_CLASSES = {"cross_entropy", "nll_loss", "multi_margin_loss"}  # their targets may be indices
MEAN = 2  # arguments of a loss that is a mean over examples: outputs and targets


class Cost:
    """A loss of torch.nn.functional: a mean over the examples, or over all their places."""

    def __init__(self, problem: Network, weights: Tensor | None = None) -> None:
        """Find the function; raises UserError where there is none of the problem's name for it.

        `weights`: what an example of each class counts.
        """
        self.weights = weights
        self.name = {"mse": "mse_loss"}.get(problem.criterion, problem.criterion)
        self.function = cast("Callable[..., Any]", getattr(functional, self.name, None))
        if not _is_loss(self.function):
            what = f"its criterion {show(problem.criterion)} is no loss of outputs and targets"
            fix = "name one of torch.nn.functional, such as cross_entropy, mse or smooth_l1_loss"
            raise UserError(name_of(problem), what, fix)

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the mean cost."""
        z, y = self.aligned(z, y)
        if self.weights is None:
            return cast("Tensor", self.function(z, y))
        return self._weighted(z, y).sum() / (y >= 0).sum()

    def _weighted(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the weighted cost of each example or place, 0 where the target does not count."""
        weights = cast("Tensor", self.weights)
        more = z.shape[1] - len(weights)  # outputs that no example is of
        weights = torch.cat([weights, weights.new_ones(more)]) if more > 0 else weights
        return functional.cross_entropy(z, y, weight=weights, reduction="none")

    def of_each(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the mean cost of each example, shape (examples,)."""
        if self.weights is None:
            costs = self.function(*self.aligned(z, y), reduction="none")
        else:
            costs = self._weighted(*self.aligned(z, y))
        return cast("Tensor", costs.flatten(1).mean(1) if costs.ndim > 1 else costs)

    def right(self, z: Tensor, y: Tensor) -> Tensor:
        """Return where the largest output is the target's, and where a target counts at all."""
        z, y = self.aligned(z, y)
        counts = torch.ones_like(y, dtype=torch.bool)
        if y.is_floating_point():
            return torch.stack([z.argmax(1) == y.argmax(1), counts[:, 0]])
        return torch.stack([(z.argmax(1) == y) & (y >= 0), y >= 0])

    def hits(self, z: Tensor, y: Tensor) -> Tensor:
        """Return how many targets of each class the largest output is right about, (classes,)."""
        z, y = self.aligned(z, y)
        if y.is_floating_point():
            y = y.argmax(1)
        right = (z.argmax(1) == y) & (y >= 0)
        classes = functional.one_hot(y.clamp(min=0), z.shape[1])
        return (classes * right[..., None]).flatten(0, -2).sum(0)

    def aligned(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and targets as torch has them: classes second, a number for each output.

        Raises ValueError for shapes that do not fit.
        """
        if self.name in OF_CLASSES and not y.is_floating_point():
            if len(z) == len(y) and z.ndim == y.ndim + 1:
                if z.shape[2:] == y.shape[1:]:
                    return z, y
                if z.shape[:-1] == y.shape:
                    return z.movedim(-1, 1), y
            fix = "(examples, classes, ...) or (examples, ..., classes) and (examples, ...)"
        else:
            if z.shape == y.shape:
                return z, y
            if z.shape == (*y.shape, 1):
                return z, y[..., None]
            fix = "targets of the shape of the outputs"
        shapes = f"outputs of shape {tuple(z.shape)} and targets of shape {tuple(y.shape)}"
        raise ValueError(f"{self.name} has {shapes}: it takes {fix}")


def _is_loss(function: object) -> bool:
    """Return whether a function is of outputs and targets, and averages by itself."""
    if not inspect.isfunction(function) or function.__name__.startswith("_"):
        return False
    known = inspect.signature(function).parameters
    needed = [name for name, p in known.items() if p.default is p.empty]
    reduces = "reduction" in known and known["reduction"].default == "mean"
    return reduces and len(needed) == MEAN and needed[1] == "target"


@lru_cache(maxsize=16)
def check_criterion(problem: Network, data_seed: int) -> None:
    """Raise UserError for a network whose outputs and targets do not fit its criterion.

    So does one whose targets have no class that could be weighed.

    It is seen on two examples; a network that raises is left to the run, which tells of it.
    """
    cost, data = Cost(problem), load(problem, data_seed)
    if problem.weighs and data.train["y"].dtype.kind == "f":
        what = "its targets are shares of the classes, and not one class each"
        raise UserError("--class-weights", what, "give class indices as targets, or leave it out")
    x, y = (torch.from_numpy(data.train[name][:2]) for name in ("x", "y"))
    try:
        module = module_of(problem, data).eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            z = module(x.to(torch.get_default_dtype()) if x.is_floating_point() else x)
    except Exception:  # noqa: BLE001 -- the run tells of it
        return
    try:
        cost.aligned(z, y)
    except ValueError as error:
        fix = "mend the module or the targets, or name another criterion"
        raise UserError(name_of(problem), str(error), fix) from None
