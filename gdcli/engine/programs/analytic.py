"""Functions in closed form: points of shape (groups, tiles, dimension, width)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.arrays import namespace
from gdcli.engine.programs.program import Evaluation, Program, derivative_along
from gdcli.engine.theory.curvature import quadratic_curvature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gdcli.engine.device import Device
    from gdcli.engine.layout import TrialLayout
    from gdcli.engine.theory.curvature import Curvature
    from gdcli.problem import Analytic, Array, Batch, Data, Params


class AnalyticProgram(Program):
    """Value and gradient in closed form, for all trials at once.

    Where the problem has simpler axes and the optimizer treats all axes alike, points are rotated
    to these axes.
    """

    problem: Analytic
    description = "value and gradient in closed form"

    def __init__(
        self, problem: Analytic, data: Data, layout: TrialLayout, device: Device, *, rotate: bool
    ) -> None:
        """Rotate the data, if it is allowed and helps, and move them to the device."""
        self.rotation: Array = None
        if rotate and (found := problem.aligned(data)) is not None:
            self.rotation, data = found
        super().__init__(problem, data, layout, device)

    @property
    def everything(self) -> Batch:
        """All training examples as one batch."""
        return {**self.train, **self.constants}

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return {"point": (groups, tiles, dimension, width)}."""
        ahead = (start["point"] for start in starts)
        rotated = [point if self.rotation is None else self.rotation @ point for point in ahead]
        points = np.stack(rotated)[self.layout.seed].swapaxes(-2, -1)
        return {"point": self.device.array(np.ascontiguousarray(points))}

    def by_trial(self, params: Params) -> dict[str, NDArray[np.floating]]:
        """Return {"point": (trials, dimension)}, rotated back."""
        points = self.device.host(params["point"]).swapaxes(-2, -1)
        points = points.reshape(-1, points.shape[-1])[self.layout.place]
        return {"point": points if self.rotation is None else points @ self.rotation}

    def constant_curvature(self) -> Curvature | None:
        """Return the curvature of a quadratic."""
        return quadratic_curvature(self.problem, self.data)

    def broadcast(self, values: Array, param: Array) -> Array:
        """Return values with an axis for the dimension."""
        return values[:, :, None, :]

    def sum_per_trial(self, array: Array) -> Array:
        """Return the sum over the dimension."""
        return array.sum(-2)

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield batches of arrays (groups, 1, batch, dimension)."""
        places = self.device.array(indices)
        for place in places:
            parts = {name: array[place][:, None] for name, array in self.train.items()}
            yield {**parts, **self.constants}

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return {"point": gradient}."""
        batch = self.everything if batch is None else batch
        return {"point": self.problem.gradient(params["point"], batch)}

    def apart(self, params: Params) -> Params:
        """Return {"point": (places, dimension)}."""
        points = params["point"].swapaxes(-2, -1)
        return {"point": points.reshape(-1, points.shape[-1])}

    def together(self, apart: Params) -> Params:
        """Return {"point": (groups, tiles, dimension, width)}."""
        points = apart["point"].reshape(*self.layout.shape, -1).swapaxes(-2, -1)
        return {"point": namespace(points).asarray(points, copy=True)}

    def loss_and_gradient(self, params: Params, batch: Any) -> tuple[Array, Params]:
        """Return value and gradient."""
        return self.batch_loss(params, batch), self.gradient(params, batch)

    def batch_loss(self, params: Params, batch: Any) -> Array:
        """Return the value."""
        return self.problem.value(params["point"], self.everything if batch is None else batch)

    def hessian_product(self, params: Params, direction: Params) -> Params:
        """Return {"point": product}, by a difference of two gradients."""
        return self.batch_hessian_product(params, direction, None)

    def batch_hessian_product(self, params: Params, direction: Params, batch: Any) -> Params:
        """Return {"point": product}, by a difference of two gradients."""
        point, batch = params["point"], self.everything if batch is None else batch
        product = derivative_along(
            lambda x: self.problem.gradient(x, batch), point, direction["point"]
        )
        return {"point": product}

    def flatten(self, params: Params) -> Array:
        """Return the points, (groups, tiles, width, dimension)."""
        return params["point"].mT

    def unflatten(self, vectors: Array, params: Params) -> Params:
        """Return {"point": (groups, tiles, dimension, width)}."""
        return {"point": vectors.mT}

    def evaluate(self, params: Params) -> Evaluation:
        """Return the value, gradient norm and metrics on all examples, and the test value."""
        everything = self.everything
        gradient = self.gradient(params, None)
        values = {
            "train_loss": self.problem.value(params["point"], everything),
            "grad_norm": self.norm(gradient),
        }
        if self.test:
            values["test_loss"] = self.problem.value(
                params["point"], {**self.test, **self.constants}
            )
        return Evaluation({**values, **self.problem.metrics(params, everything)}, gradient)
