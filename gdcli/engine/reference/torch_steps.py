"""Steps that a class of torch.optim takes: on the parameters of one trial, as a tutorial has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from gdcli.engine.reference.objective import Slopes, Tensors, norm

if TYPE_CHECKING:
    from torch import Tensor

    from gdcli.catalog.catalog import TorchOptimizer
    from gdcli.experiment.grid import Trial

Mover: TypeAlias = Callable[[Tensors, Callable[[Tensors], Slopes], int], Tensors]


class TorchSteps:
    """An optimizer of torch and the parameters that it moves in place."""

    def __init__(
        self, trial: Trial, rule: TorchOptimizer, params: Tensors, rates: Callable[[int], float]
    ) -> None:
        """Take copies of the parameters; `rates` says the multiplier of the rate at a step."""
        self.lr, self.clip_norm, self.rates = trial.lr, rule.clip_norm, rates
        self.params = {name: param.detach().clone() for name, param in params.items()}
        for param in self.params.values():
            param.requires_grad_()
        self.optimizer = rule.made(list(self.params.values()), trial.lr)

    def __call__(self, params: Tensors, slopes: Callable[[Tensors], Slopes], step: int) -> Tensors:
        """Take a step; return the parameters as they are then."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * self.rates(step)

        def closure() -> Tensor:
            loss, gradient = slopes({name: p.detach() for name, p in self.params.items()})
            for name, slope in clipped(gradient, self.clip_norm).items():
                self.params[name].grad = slope
            return loss

        self.optimizer.step(closure)  # type: ignore[arg-type]
        return {name: param.detach().clone() for name, param in self.params.items()}


def clipped(gradient: Tensors, longest: float | None) -> Tensors:
    """Return a gradient of at most the given norm."""
    length, longest = norm(gradient), longest or math.inf
    if not length > longest:
        return gradient
    return {name: slope * (longest / length) for name, slope in gradient.items()}
