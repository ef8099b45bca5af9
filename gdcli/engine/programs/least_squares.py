"""Least squares on more examples than features: the loss is a bowl, known by its Hessian.

Around the minimiser w* the loss is value + (w - w*)' A (w - w*) / 2 with A = X'X / n + l2: no pass
over the examples is needed once A is known. Centring matters: expanded around 0, the terms are
large and cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.engine.program import Evaluation
from gdcli.engine.programs.linear_model import LinearModelProgram
from gdcli.problem import Array, Batch, Data, LinearModel, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.device import Device


@dataclass(frozen=True)
class Bowl:
    """A quadratic loss: value + slope' gap + gap' hessian gap / 2, where gap = w - w*."""

    hessian: Array  # (features, features)
    slope: Array  # (features, outputs * width), or a number
    value: Array  # a number

    def gradient(self, gap: Array) -> Array:
        """Return the gradient at w* + gap, of the gap's shape (..., features, outputs * width)."""
        return self.hessian @ gap + self.slope


class LeastSquaresProgram(LinearModelProgram):
    """The same losses and gradients as the plain program's, of all examples at once."""

    @staticmethod
    def fits(problem: LinearModel, data: Data, device: Device) -> bool:
        """Return whether a float64 bowl of the data is worth its making."""
        examples, features = data.train["x"].shape
        return problem.squared and device.dtype == "float64" and examples > features + 1

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return the stacked starting points; find the minimiser and the bowls around it."""
        params = super().start(starts)
        penalty = np.full(self.train["x"].shape[1], self.model.l2)
        penalty[-1] = 0.0
        train = self._on_host(self.train)
        best = _minimiser(*train, penalty)
        self.best = self.device.array(np.repeat(best, self.width, axis=1))
        self.bowl = self._bowl(*train, penalty, best)
        self.test_bowl = None
        if self.test:
            self.test_bowl = self._bowl(*self._on_host(self.test), penalty, best)
        return params

    def _on_host(self, part: Batch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x, with its column of ones, and y of a part, as NumPy arrays."""
        return self.device.host(part["x"]), self.device.host(part["y"])

    def _bowl(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        penalty: NDArray[np.float64],
        best: NDArray[np.float64],
    ) -> Bowl:
        """Return a part's loss around the training loss's minimiser."""
        residual = x @ best - y
        slope = x.T @ residual / len(x) + penalty[:, None] * best
        value = 0.5 * (residual**2).sum() / len(x) + 0.5 * (penalty @ best**2).sum()
        return Bowl(
            self.device.array(_hessian(x, penalty)),
            self.device.array(np.repeat(slope, self.width, axis=1)),
            self.device.array(value[None]),
        )

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return {"weight": gradient}; that of all examples comes from the bowl."""
        if batch is not None:
            return super().gradient(params, batch)
        return {"weight": self.bowl.gradient(params["weight"] - self.best)}

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses and gradient norm on all training and test examples."""
        gap = params["weight"] - self.best
        gradient = {"weight": self.bowl.gradient(gap)}
        values = {"train_loss": self._loss(self.bowl, gap), "grad_norm": self.norm(gradient)}
        if self.test_bowl is not None:
            values["test_loss"] = self._loss(self.test_bowl, gap)
        return Evaluation(values, gradient)

    def _loss(self, bowl: Bowl, gap: Array) -> Array:
        """Return the loss at w* + gap, of the lanes' shape."""
        mean_slope = 0.5 * (bowl.gradient(gap) + bowl.slope)
        return self.total(gap * mean_slope) + bowl.value


def _hessian(x: NDArray[np.float64], penalty: NDArray[np.float64]) -> NDArray[np.float64]:
    return x.T @ x / len(x) + np.diag(penalty)


def _minimiser(
    x: NDArray[np.float64], y: NDArray[np.float64], penalty: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the least-norm minimiser, (features, outputs), to rounding.

    Normal equations lose digits; a second solve, for the slope that is left, brings them back.
    """
    hessian = _hessian(x, penalty)
    best = np.zeros((x.shape[1], y.shape[1]))
    for _ in range(3):
        slope = x.T @ (x @ best - y) / len(x) + penalty[:, None] * best
        best = best - np.linalg.lstsq(hessian, slope, rcond=None)[0]
    return best
