"""Gradient descent in NumPy: a solver a learning rate, evaluated after every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchopt import BaseSolver
from benchopt.stopping_criterion import NoCriterion

from benchmarks.benchopt_run import cohort

if TYPE_CHECKING:
    from collections.abc import Callable


class Solver(BaseSolver):
    """Full-batch gradient descent."""

    name = "gradient descent"
    sampling_strategy = "callback"
    stopping_criterion = NoCriterion(strategy="callback")
    parameters = {"lr": list(cohort().rates)}  # noqa: RUF012 - where benchopt looks for them

    def set_objective(self, x: Any, y: Any, weight: Any, bias: Any) -> None:
        """Take the examples and the starting point."""
        self.x, self.y, self.weight, self.bias = x, y, weight, bias

    def run(self, callback: Callable[[], bool]) -> None:
        """Step until benchopt has seen enough."""
        while callback():
            residual = self.x @ self.weight + self.bias - self.y
            self.weight = self.weight - self.lr * (self.x.T @ residual) / len(residual)
            self.bias = self.bias - self.lr * residual.mean(0)

    def get_next(self, stop_val: int) -> int:
        """Return the next step, so that every one is recorded."""
        return stop_val + 1

    def get_result(self) -> dict[str, Any]:
        """Return where it is."""
        return {"weight": self.weight, "bias": self.bias}
