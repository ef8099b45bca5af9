"""Least squares over all examples: a quadratic, known by its Hessian.

Least squares on more examples than features is a quadratic that its Hessian describes. Around a
centre c the loss is value + slope' (w - c) + (w - c)' A (w - c) / 2, A = X'X / n + l2: once A is
known, no pass over the examples is needed. The centre matters. Around 0 the terms are large and
cancel. So they do around the minimiser where features are nearly collinear, since it is far away
then. The centre is therefore the minimiser within the directions that the data determine well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.datasets.out_of_core import parts, total
from gdcli.datasets.sparse import Sparse
from gdcli.engine.programs.linear_model import LinearModelProgram, with_ones
from gdcli.engine.programs.program import (
    Evaluation,
)
from gdcli.problem import Array, Batch, Data, LinearModel, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.layout import TrialLayout


MOST_FEATURES = 256  # since the Hessian is factored for every batch of trials


LARGEST = 1e100  # of features and targets: their squares must not overflow


DETERMINED = 1e-6  # least curvature over the largest: the centre moves only along larger ones


@dataclass(frozen=True)
class QuadraticForm:
    """A quadratic loss: value + slope' gap + gap' hessian gap / 2, gap = w - centre."""

    hessian: Array  # (features, features)
    slope: Array  # (features, outputs * width), or a number
    value: Array  # a number

    def gradient(self, gap: Array) -> Array:
        """Return the gradient at centre + gap, shape (..., features, outputs * width)."""
        return self.hessian @ gap + self.slope


class LeastSquaresProgram(LinearModelProgram):
    """The plain program's losses and gradients; over all examples they come from the Hessian."""

    description = "least squares by its Hessian"

    @staticmethod
    def fits(problem: LinearModel, data: Data, device: Device) -> bool:
        """Return whether the Hessian in float64 is worth computing."""
        x = data.train["x"]
        if isinstance(x, Sparse):
            return False
        suits = problem.squared and device.dtype == "float64" and len(x) > x.shape[1] + 1
        if not suits or x.shape[1] > MOST_FEATURES:
            return False
        largest = (
            max(abs(x).max(initial=0.0), abs(y).max(initial=0.0)) for x, y in parts(data.train)
        )
        return bool(max(largest) < LARGEST)

    def __init__(
        self, problem: LinearModel, data: Data, layout: TrialLayout, device: Device
    ) -> None:
        """Compute the centre and the quadratics around it."""
        super().__init__(problem, data, layout, device)
        penalty = np.full(self.train["x"].shape[1], problem.l2)
        penalty[-1] = 0.0
        train = with_ones(data.train)
        centre = _centre(train, penalty)
        self.centre = self.device.array(np.repeat(centre, self.width, axis=1))
        self.quadratic = self._quadratic(train, penalty, centre)
        self.test_quadratic = None
        if self.test:
            self.test_quadratic = self._quadratic(with_ones(data.test), penalty, centre)

    def _quadratic(
        self, part: Batch, penalty: NDArray[np.float64], centre: NDArray[np.float64]
    ) -> QuadraticForm:
        """Return a part's loss around the centre."""
        count = len(part["x"])
        squares = total(part, lambda x, y: ((x @ centre - y) ** 2).sum())
        slope = _slope(part, penalty, centre)
        value = 0.5 * squares / count + 0.5 * (penalty @ centre**2).sum()
        return QuadraticForm(
            self.device.array(_hessian(part, penalty)),
            self.device.array(np.repeat(slope, self.width, axis=1)),
            self.device.array(value[None]),
        )

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return {"weight": gradient}; over all examples it comes from the quadratic."""
        if batch is not None:
            return super().gradient(params, batch)
        return {"weight": self.quadratic.gradient(params["weight"] - self.centre)}

    def loss_and_gradient(self, params: Params, batch: Any) -> tuple[Array, Params]:
        """Return loss and gradient; over all examples they come from the quadratic."""
        if batch is not None:
            return super().loss_and_gradient(params, batch)
        gap = params["weight"] - self.centre
        return self._loss(self.quadratic, gap), {"weight": self.quadratic.gradient(gap)}

    def batch_loss(self, params: Params, batch: Any) -> Array:
        """Return the loss; over all examples it comes from the quadratic."""
        if batch is not None:
            return super().batch_loss(params, batch)
        return self._loss(self.quadratic, params["weight"] - self.centre)

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses and gradient norm on all training and test examples."""
        gap = params["weight"] - self.centre
        gradient = {"weight": self.quadratic.gradient(gap)}
        values = {"train_loss": self._loss(self.quadratic, gap), "grad_norm": self.norm(gradient)}
        if self.test_quadratic is not None:
            values["test_loss"] = self._loss(self.test_quadratic, gap)
        return Evaluation(values, gradient)

    def _loss(self, quadratic: QuadraticForm, gap: Array) -> Array:
        """Return the loss at centre + gap, of the layout's shape."""
        mean_slope = 0.5 * (quadratic.gradient(gap) + quadratic.slope)
        return self.sum_per_trial(gap * mean_slope) + quadratic.value


def _hessian(part: Batch, penalty: NDArray[np.float64]) -> NDArray[np.float64]:
    hessian: NDArray[np.float64] = total(part, lambda x, _: x.T @ x) / len(part["x"])
    return hessian + np.diag(penalty)


def _slope(
    part: Batch, penalty: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    pull: NDArray[np.float64] = total(part, lambda x, y: x.T @ (x @ centre - y))
    return pull / len(part["x"]) + penalty[:, None] * centre


def _centre(part: Batch, penalty: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimiser, (features, outputs), within the well determined directions.

    Normal equations lose digits; a second solve, for the remaining slope, restores them.
    """
    hessian = _hessian(part, penalty)
    centre = np.zeros((part["x"].shape[1], part["y"].shape[1]))
    for _ in range(2):
        slope = _slope(part, penalty, centre)
        centre = centre - np.linalg.lstsq(hessian, slope, rcond=DETERMINED)[0]
    return centre
