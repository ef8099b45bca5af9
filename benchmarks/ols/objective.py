"""Ordinary least squares, as gdcli has it: half the mean squared residual."""

from __future__ import annotations

from typing import Any

from benchopt import BaseObjective


class Objective(BaseObjective):
    """The loss of weights and a bias on the training examples."""

    name = "least squares"

    def set_data(self, x: Any, y: Any, weight: Any, bias: Any) -> None:
        """Take the examples and the starting point."""
        self.x, self.y, self.weight, self.bias = x, y, weight, bias

    def get_objective(self) -> dict[str, Any]:
        """Return what a solver is given."""
        return {"x": self.x, "y": self.y, "weight": self.weight, "bias": self.bias}

    def evaluate_result(self, weight: Any, bias: Any) -> dict[str, float]:
        """Return the loss."""
        residual = self.x @ weight + bias - self.y
        return {"value": 0.5 * float((residual**2).mean())}

    def get_one_result(self) -> dict[str, Any]:
        """Return a result for benchopt's own tests."""
        return {"weight": self.weight, "bias": self.bias}
