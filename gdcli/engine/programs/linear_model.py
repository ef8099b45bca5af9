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
            return {"weight": self._gradient(batch, weight, self._predict(batch, weight))}
        parts = [
            self._gradient(self.train, group, self._predict(self.train, group))
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
            z = self._predict(self.train, group)
            gradients.append(self._gradient(self.train, group, z))
            row = self._measures("train", self.train, z, penalty)
            if self.test:
                z = self._predict(self.test, group)
                row |= self._measures("test", self.test, z, penalty)
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

    def _gradient(self, batch: Batch, weight: Array, z: Array) -> Array:
        """Return the gradient of the batch's mean loss, of the weight's shape."""
        x = batch["x"]
        slope = self.model.slope(z, batch["y"]) / x.shape[-2]
        gradient = x.mT @ slope.reshape(*z.shape[:-2], -1)
        if self.model.l2:
            gradient[..., :-1, :] += self.model.l2 * weight[..., :-1, :]
        return gradient

    def _measures(self, part: str, batch: Batch, z: Array, penalty: Array) -> dict[str, Array]:
        """Return the mean loss and scores, shape (tiles, width)."""
        count, y = z.shape[-3], batch["y"]
        scores = {f"{part}_{n}": s.sum(-2) / count for n, s in self.model.scores(z, y).items()}
        return {f"{part}_loss": self.model.cost(z, y).sum((-3, -2)) / count + penalty, **scores}


def _prepared(batch: Batch) -> Batch:
    """Return a batch with a last column of ones in x, and an axis of trials in y."""
    if not batch:
        return batch
    x = batch["x"]
    xp = namespace(x)
    return {"x": xp.concat([x, xp.ones_like(x[:, :1])], axis=1), "y": batch["y"][..., None]}
