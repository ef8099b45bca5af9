"""Linear models on sparse examples: a row's few numbers times the weights that they meet.

Weights have the shape of other linear models', with all trials of a seed in one tile: (seeds, 1,
features + 1, outputs * width). SciPy's product adds each trial's numbers in the order of the
examples or features, so a trial has the same bits beside any other trials. The bias is added apart;
there is no column of ones. A pass over all examples computes 4096 of them at a time: the losses'
bits depend on that number, hence it is fixed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.datasets.out_of_core import add_to
from gdcli.datasets.sparse import SparseBlock
from gdcli.engine.programs.linear_model import LinearModelProgram, repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gdcli.problem import Array, Batch, Params

EXAMPLES = 4096  # of a pass, at a time
FEATURES = 2048  # whose weights are squared at a time


class SparseProgram(LinearModelProgram):
    """Predictions and gradients from the numbers that are not 0."""

    description = "sparse linear model"

    def _place_examples(self) -> None:
        """Cut both parts into blocks, and know which features occur in each."""
        self.pass_width = self.width
        x = self.train["x"]  # NumPy gathers by its own type of indices
        self.blocks = {
            name: [part["x"][i : i + EXAMPLES].block() for i in range(0, len(part["x"]), EXAMPLES)]
            for name, part in (("train", self.train), ("test", self.test))
            if part
        }
        self.train = {**self.train, "x": replace(x, columns=x.columns.astype(np.intp))}

    def single(self, places: NDArray[np.int64]) -> Array:
        """Return the targets of single examples, (steps, seeds, 1, outputs, width)."""
        # In full: NumPy is slow where it broadcasts a number.
        return self.train["y"][places][:, :, None, :, None].repeat(self.width, axis=-1)

    def batches(self, indices: NDArray[np.int64]) -> Iterator[Batch]:
        """Yield x, a block for each seed, and y (seeds, 1, outputs, batch * width)."""
        for places in indices:
            blocks = [self.train["x"][chosen].block() for chosen in places]
            yield {"x": blocks, "y": repeated(self.train["y"][places], self.width)[:, None]}

    def predictions(self, x: list[SparseBlock], weight: Array) -> Array:
        """Return those of each seed's batch, (seeds, 1, outputs, batch * width)."""
        each = [self.predict(block, w) for block, w in zip(x, weight, strict=True)]
        return np.stack(each)

    def pulled(self, x: list[SparseBlock], slope: Array) -> Array:
        """Return the gradient of the mean cost, given the slopes of each seed's predictions."""
        shape = (len(x), 1, self.train["x"].shape[1] + 1, self.outputs * self.width)
        gradient = np.zeros(shape, slope.dtype)
        for block, each, held in zip(x, slope, gradient, strict=True):
            slopes = self._slope(block, each, block.rows.shape[0])
            _spread(held[0], block, slopes[0])
        return gradient

    def _of_examples(
        self, function: Callable[[Array, Array], Array], params: Params, batch: Any
    ) -> Array:
        """Return a function of predictions and targets, (places, examples, outputs)."""
        return super()._of_examples(function, params, self._whole() if batch is None else batch)

    def mean_gradient(self, slopes: Array, batch: Any) -> Params:
        """Return {"weight": mean gradient} of costs with slopes that `example_slopes` returns."""
        return super().mean_gradient(slopes, self._whole() if batch is None else batch)

    def _whole(self) -> Batch:
        """Return all training examples as the batch of every seed."""
        seeds = self.layout.shape[0]
        y = np.repeat(self.train["y"][None], seeds, axis=0)
        return {"x": [self.train["x"].block()] * seeds, "y": repeated(y, self.width)[:, None]}

    def predict(self, x: Any, weight: Array) -> Array:
        """Return x W, (n, outputs, examples * width), of some examples and weights (n, ...)."""
        rows = x.rows if isinstance(x, SparseBlock) else x.csr()
        return self.by_output(np.stack([rows @ w[:-1] + w[-1] for w in weight]))

    def _slope(self, x: Any, slope: Array, count: int) -> Array:
        """Return the slopes of the examples' predictions, (n, examples, columns), for `_spread`."""
        return self.by_example(slope / count, x.rows.shape[0])

    def _sums(self, part: str, function: Callable[..., Batch], *weights: Array) -> list[Batch]:
        """Return a function's values, summed over a part, for each group of weights."""
        groups = list(zip(*map(self._groups, weights), strict=True))
        sums: list[Batch] = [{} for _ in groups]
        for x, y in self._parts(part):
            for group, held in zip(groups, sums, strict=True):
                found = function(*group, x, y)
                if (slopes := found.pop("gradient", None)) is not None:
                    if "gradient" not in held:
                        held["gradient"] = np.zeros_like(group[0])
                    _spread(held["gradient"][0], x, slopes[0])
                add_to(held, found)
        return sums

    def _parts(self, part: str) -> Iterator[tuple[Any, Array]]:
        """Yield all examples of a part: blocks, and y in the layout of the predictions."""
        y = getattr(self, part)["y"]
        for place, block in enumerate(self.blocks[part]):
            here = slice(place * EXAMPLES, (place + 1) * EXAMPLES)
            yield block, repeated(y[here], self.width)

    def _groups(self, weight: Array) -> Iterator[Array]:
        """Yield the weights of each seed, (1, features + 1, columns)."""
        yield from weight

    def _joined(self, sums: list[Batch], weight: Array) -> Params:
        """Return {"weight": gradient} from the seeds' sums, with that of the penalty."""
        gradients = [held["gradient"] for held in sums]
        gradient = gradients[0][None] if len(gradients) == 1 else np.stack(gradients)
        return {"weight": self._with_penalty(gradient, weight)}

    def _with_penalty(self, gradient: Array, weight: Array) -> Array:
        """Return the gradient with the penalty's, which is added in place."""
        if self.model.l2:
            for here in self._parts_of(weight):
                gradient[..., here, :] += self.model.l2 * weight[..., here, :]
        return gradient

    def penalty(self, weight: Array) -> Array:
        """Return the penalty of each trial, of the layout's shape."""
        found = np.zeros(self.layout.shape, weight.dtype)
        if self.model.l2:
            for here in self._parts_of(weight):
                found += self.sum_per_trial(weight[..., here, :] ** 2)
        return 0.5 * self.model.l2 * found

    def norm(self, params: Params) -> Array:
        """Return the Euclidean norm over all parameters, of the layout's shape."""
        held = params["weight"]
        found = self.sum_per_trial(held[..., -1:, :] ** 2)
        for here in self._parts_of(held):
            found = found + self.sum_per_trial(held[..., here, :] ** 2)
        return np.sqrt(found)

    @staticmethod
    def _parts_of(weight: Array) -> Iterator[slice]:
        """Yield all features, some at a time: copies of all weights would take much memory."""
        features = weight.shape[-2] - 1
        for first in range(0, features, FEATURES):
            yield slice(first, min(first + FEATURES, features))


def _spread(gradient: Array, block: SparseBlock, slopes: Array) -> None:
    """Add what slopes (examples, columns) make of the weights and the bias, in place."""
    gradient[block.features] += block.within.T @ slopes
    gradient[-1] += slopes.sum(0)
