"""Least squares on more examples than features: the loss is a bowl, known by its Hessian.

Around a centre c the loss is value + slope' (w - c) + (w - c)' A (w - c) / 2, A = X'X / n + l2: no
pass over the examples is needed once A is known. The centre matters. Around 0 the terms are large
and cancel; around the minimiser too where features nearly depend on each other, as it is far away
then. So the centre is the minimiser among what the data determine well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.datasets.out_of_core import parts, total
from gdcli.engine.program import Evaluation
from gdcli.engine.programs.linear_model import LinearModelProgram, with_ones
from gdcli.problem import Array, Batch, Data, LinearModel, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.lanes import Lanes


MOST_FEATURES = 256  # the Hessian is factored for every batch of trials
LARGEST = 1e100  # a feature or a target: no square of it may overflow
DETERMINED = 1e-6  # least curvature, over the largest, along which the centre is moved


@dataclass(frozen=True)
class Bowl:
    """A quadratic loss: value + slope' gap + gap' hessian gap / 2, gap = w - centre."""

    hessian: Array  # (features, features)
    slope: Array  # (features, outputs * width), or a number
    value: Array  # a number

    def gradient(self, gap: Array) -> Array:
        """Return the gradient at centre + gap, shape (..., features, outputs * width)."""
        return self.hessian @ gap + self.slope


class LeastSquaresProgram(LinearModelProgram):
    """The same losses and gradients as the plain program's, of all examples at once."""

    words = "least squares by its Hessian"

    @staticmethod
    def fits(problem: LinearModel, data: Data, device: Device) -> bool:
        """Return whether a float64 bowl of the data is worth its making."""
        x = data.train["x"]
        suits = problem.squared and device.dtype == "float64" and len(x) > x.shape[1] + 1
        if not suits or x.shape[1] > MOST_FEATURES:
            return False
        largest = (
            max(abs(x).max(initial=0.0), abs(y).max(initial=0.0)) for x, y in parts(data.train)
        )
        return bool(max(largest) < LARGEST)

    def __init__(self, problem: LinearModel, data: Data, lanes: Lanes, device: Device) -> None:
        """Find the centre and the bowls around it."""
        super().__init__(problem, data, lanes, device)
        penalty = np.full(self.train["x"].shape[1], problem.l2)
        penalty[-1] = 0.0
        train = with_ones(data.train)
        centre = _centre(train, penalty)
        self.centre = self.device.array(np.repeat(centre, self.width, axis=1))
        self.bowl = self._bowl(train, penalty, centre)
        self.test_bowl = None
        if self.test:
            self.test_bowl = self._bowl(with_ones(data.test), penalty, centre)

    def _bowl(self, part: Batch, penalty: NDArray[np.float64], centre: NDArray[np.float64]) -> Bowl:
        """Return a part's loss around the centre."""
        count = len(part["x"])
        squares = total(part, lambda x, y: ((x @ centre - y) ** 2).sum())
        slope = _slope(part, penalty, centre)
        value = 0.5 * squares / count + 0.5 * (penalty @ centre**2).sum()
        return Bowl(
            self.device.array(_hessian(part, penalty)),
            self.device.array(np.repeat(slope, self.width, axis=1)),
            self.device.array(value[None]),
        )

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return {"weight": gradient}; that of all examples comes from the bowl."""
        if batch is not None:
            return super().gradient(params, batch)
        return {"weight": self.bowl.gradient(params["weight"] - self.centre)}

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses and gradient norm on all training and test examples."""
        gap = params["weight"] - self.centre
        gradient = {"weight": self.bowl.gradient(gap)}
        values = {"train_loss": self._loss(self.bowl, gap), "grad_norm": self.norm(gradient)}
        if self.test_bowl is not None:
            values["test_loss"] = self._loss(self.test_bowl, gap)
        return Evaluation(values, gradient)

    def _loss(self, bowl: Bowl, gap: Array) -> Array:
        """Return the loss at centre + gap, of the lanes' shape."""
        mean_slope = 0.5 * (bowl.gradient(gap) + bowl.slope)
        return self.total(gap * mean_slope) + bowl.value


def _hessian(part: Batch, penalty: NDArray[np.float64]) -> NDArray[np.float64]:
    hessian: NDArray[np.float64] = total(part, lambda x, _: x.T @ x) / len(part["x"])
    return hessian + np.diag(penalty)


def _slope(
    part: Batch, penalty: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    pull: NDArray[np.float64] = total(part, lambda x, y: x.T @ (x @ centre - y))
    return pull / len(part["x"]) + penalty[:, None] * centre


def _centre(part: Batch, penalty: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimiser, (features, outputs), along the well determined directions.

    Normal equations lose digits; a second solve, for the slope that is left, brings them back.
    """
    hessian = _hessian(part, penalty)
    centre = np.zeros((part["x"].shape[1], part["y"].shape[1]))
    for _ in range(2):
        slope = _slope(part, penalty, centre)
        centre = centre - np.linalg.lstsq(hessian, slope, rcond=DETERMINED)[0]
    return centre
