"""Linear models: weights of shape (seeds, tiles, features + 1, outputs * width).

The bias is the last row of the weights, its feature a column of ones. Trials of one seed see the
same batch, so one matrix product serves `width` of them; the last axis is outputs by width.
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
        """Return {"weight": (seeds, tiles, features + 1, outputs * width)}."""
        self.train, self.test = _prepared(self.train), _prepared(self.test)
        weights = np.stack([np.vstack([start["weight"], start["bias"]]) for start in starts])
        _, tiles, self.width = self.lanes.shape
        self.outputs = weights.shape[2]
        stacked = np.repeat(np.repeat(weights[:, None], tiles, 1), self.width, 3)
        return {"weight": self.device.array(stacked)}

    def over(self, values: Array, param: Array) -> Array:
        """Return values with an axis for the features, repeated for each output."""
        return namespace(values).tile(values, (1, 1, self.outputs))[:, :, None, :]

    def total(self, array: Array) -> Array:
        """Return the sum over features and outputs."""
        return array.reshape(*array.shape[:-1], self.outputs, self.width).sum((-3, -2))

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield batches: x (seeds, 1, batch, features + 1), y (seeds, 1, batch, outputs, 1)."""
        places = self.device.array(indices)
        xs = self.train["x"][places][:, :, None]
        ys = self.train["y"][places][:, :, None]
        for x, y in zip(xs, ys, strict=True):
            yield {"x": x, "y": y}

    def gradient(self, params: Params, batch: Any) -> Params:
        """Return {"weight": gradient} of the mean cost and the penalty."""
        weight = params["weight"]
        if batch is not None:
            return {"weight": self._gradient(batch, weight, self._slope(batch, weight))}
        parts = [
            self._gradient(self.train, group, self._slope(self.train, group))
            for group in self._groups(weight)
        ]
        return {"weight": namespace(weight).concat(parts).reshape(weight.shape)}

    def evaluate(self, params: Params) -> Evaluation:
        """Return losses, gradient norm and scores on all training and test examples."""
        weight = params["weight"]
        xp = namespace(weight)
        rows, gradients = [], []
        for group in self._groups(weight):
            penalty = 0.5 * self.model.l2 * self.total(group[..., :-1, :] ** 2)
            row, slope = self._measures("train", self.train, group, penalty)
            gradients.append(self._gradient(self.train, group, slope))
            if self.test:
                row |= self._measures("test", self.test, group, penalty)[0]
            rows.append(row)
        shape = self.lanes.shape
        values = {name: xp.concat([row[name] for row in rows]).reshape(shape) for name in rows[0]}
        gradient = {"weight": xp.concat(gradients).reshape(weight.shape)}
        return Evaluation(values | {"grad_norm": self.norm(gradient)}, gradient)

    def _groups(self, weight: Array) -> Iterator[Array]:
        """Yield the weights in groups of tiles whose predictions fit a cache."""
        tiles = weight.reshape(-1, *weight.shape[2:])
        size = max(1, CACHED // (self.examples * weight.shape[-1]))
        yield from (tiles[first : first + size] for first in range(0, len(tiles), size))

    def _predict(self, batch: Batch, weight: Array) -> Array:
        """Return x W, shape (..., batch, outputs, width)."""
        z = batch["x"] @ weight
        return z.reshape(*z.shape[:-1], self.outputs, self.width)

    def _slope(self, batch: Batch, weight: Array) -> Array:
        return self.model.slope(self._predict(batch, weight), batch["y"])

    def _gradient(self, batch: Batch, weight: Array, slope: Array) -> Array:
        """Return the gradient of the batch's mean loss, of the weight's shape."""
        x = batch["x"]
        gradient = x.mT @ (slope / x.shape[-2]).reshape(*slope.shape[:-2], -1)
        if self.model.l2:
            gradient[..., :-1, :] += self.model.l2 * weight[..., :-1, :]
        return gradient

    def _measures(
        self, part: str, batch: Batch, weight: Array, penalty: Array
    ) -> tuple[dict[str, Array], Array]:
        """Return the mean loss and scores, shape (tiles, width), and the slopes."""
        cost, slope, scores = self.model.assess(self._predict(batch, weight), batch["y"])
        count = slope.shape[-3]
        values = {f"{part}_{name}": score.sum(-2) / count for name, score in scores.items()}
        return {f"{part}_loss": cost.sum((-3, -2)) / count + penalty, **values}, slope


def _prepared(batch: Batch) -> Batch:
    """Return a batch with a last column of ones in x, and an axis of trials in y."""
    if not batch:
        return batch
    x = batch["x"]
    xp = namespace(x)
    return {"x": xp.concat([x, xp.ones_like(x[:, :1])], axis=1), "y": batch["y"][..., None]}
