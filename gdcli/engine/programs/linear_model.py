"""Linear models: weights of shape (seeds, tiles, features + 1, outputs, width).

The bias is the last row of the weights, its feature a column of ones. Trials of one seed see the
same batch, so one matrix product serves `width` of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gdcli.arrays import namespace
from gdcli.engine.program import Evaluation, Program
from gdcli.problem import Array, Batch, LinearModel, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray

CACHED = 2**18  # predictions held at a time when all examples are evaluated: they fit a cache


class LinearModelProgram(Program):
    """Predictions by matrix products; costs and slopes as the problem gives them."""

    @property
    def model(self) -> LinearModel:
        """The problem, as the family it belongs to."""
        return cast("LinearModel", self.problem)

    def start(self, starts: list[dict[str, NDArray[np.float64]]]) -> Params:
        """Return {"weight": (seeds, tiles, features + 1, outputs, width)}, the bias its last row."""
        self.train, self.test = _with_ones(self.train), _with_ones(self.test)
        weights = np.stack([np.vstack([start["weight"], start["bias"]]) for start in starts])
        seeds, tiles, width = self.lanes.shape
        shape = (seeds, tiles, *weights.shape[1:], width)
        stacked = np.broadcast_to(weights[:, None, :, :, None], shape)
        return {"weight": self.device.array(np.array(stacked))}

    def over(self, values: Array, param: Array) -> Array:
        """Return values with axes for features and outputs."""
        return values[:, :, None, None, :]

    def total(self, array: Array) -> Array:
        """Return the sum over features and outputs."""
        return array.sum((-3, -2))

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield batches: x (seeds, 1, batch, features + 1), y (seeds, 1, batch, outputs, 1)."""
        places = self.device.array(indices)
        xs = self.train["x"][places][:, :, None]
        ys = self.train["y"][places][:, :, None, ..., None]
        for x, y in zip(xs, ys, strict=True):
            yield {"x": x, "y": y}

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return {"weight": gradient} of the mean cost and the penalty."""
        if batch is None:
            return self.evaluate(params).gradient
        weight = params["weight"]
        slope = self.model.slope(_predict(batch["x"], weight), batch["y"])
        gradient = _project(batch["x"], slope)
        gradient /= batch["x"].shape[-2]
        return {"weight": self._penalised(gradient, weight)}

    def _penalised(self, gradient: Array, weight: Array) -> Array:
        """Add the penalty's gradient, in place; the bias is not penalised."""
        if self.model.l2:
            gradient[..., :-1, :, :] += self.model.l2 * weight[..., :-1, :, :]
        return gradient

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses, gradient norm and scores on all training and test examples.

        Works through the trials in groups whose predictions fit a cache.
        """
        weight = params["weight"]
        xp = namespace(weight)
        groups = xp.reshape(weight, (-1, *weight.shape[2:]))
        rows, gradients = [], []
        size = max(1, CACHED // (self.examples * weight.shape[-1] * weight.shape[-2]))
        for first in range(0, groups.shape[0], size):
            values, gradient = self._evaluate(groups[first : first + size])
            rows.append(values)
            gradients.append(gradient)
        values = {
            name: xp.reshape(xp.concat([row[name] for row in rows]), self.lanes.shape) for name in rows[0]
        }
        gradient = {"weight": xp.reshape(xp.concat(gradients), weight.shape)}
        return Evaluation(values | {"grad_norm": self.norm(gradient)}, gradient)

    def _evaluate(self, weight: Array) -> tuple[dict[str, Array], Array]:
        """Return values of shape (groups, width) and the gradient, of the weight's shape."""
        penalty = 0.5 * self.model.l2 * (weight[..., :-1, :, :] ** 2).sum((-3, -2))
        x, y = self.train["x"], self.train["y"][..., None]
        z = _predict(x, weight)
        gradient = _project(x, self.model.slope(z, y)) / self.examples
        values = {"train_loss": self._loss(z, y, penalty), "grad_norm": penalty}
        scores = {f"train_{name}": s for name, s in self._scores(z, y).items()}
        if self.test:
            z, y = _predict(self.test["x"], weight), self.test["y"][..., None]
            values["test_loss"] = self._loss(z, y, penalty)
            scores |= {f"test_{name}": s for name, s in self._scores(z, y).items()}
        return values | scores, self._penalised(gradient, weight)

    def _loss(self, z: Array, y: Array, penalty: Array) -> Array:
        return self.model.cost(z, y).sum((-3, -2)) / z.shape[-3] + penalty

    def _scores(self, z: Array, y: Array) -> dict[str, Array]:
        return {name: s.sum(-2) / s.shape[-2] for name, s in self.model.scores(z, y).items()}


def _with_ones(batch: Batch) -> Batch:
    """Return a batch with a last column of ones in x."""
    if not batch:
        return batch
    xp, x = namespace(batch["x"]), batch["x"]
    return {**batch, "x": xp.concat([x, xp.ones_like(x[:, :1])], axis=1)}


def _predict(x: Array, weight: Array) -> Array:
    """Return x W, shape (..., batch, outputs, width)."""
    xp = namespace(weight)
    *lanes, features, outputs, width = weight.shape
    flat = xp.matmul(x, xp.reshape(weight, (*lanes, features, outputs * width)))
    return xp.reshape(flat, (*flat.shape[:-1], outputs, width))


def _project(x: Array, slope: Array) -> Array:
    """Return x' slope, shape (..., features, outputs, width)."""
    xp = namespace(slope)
    *lanes, batch, outputs, width = slope.shape
    flat = xp.matmul(xp.matrix_transpose(x), xp.reshape(slope, (*lanes, batch, outputs * width)))
    return xp.reshape(flat, (*flat.shape[:-1], outputs, width))
