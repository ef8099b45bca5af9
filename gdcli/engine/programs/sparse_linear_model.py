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
from gdcli.engine.update import Stepper, Stepwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gdcli.engine.recorder import TrainingState
    from gdcli.engine.sampling import Orders
    from gdcli.engine.update import StackedOptimizer
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

    def stepper(self, optimizer: StackedOptimizer, orders: Orders | None) -> Stepper[Any]:
        """Return the stepper that moves few weights, where a step is plain."""
        if orders is None or not optimizer.plain:
            return Stepwise(self, optimizer, orders)
        return SparseDescent(self, optimizer, orders)

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


CHECKED = 16  # steps, after which a factor is looked at
SMALL = 2.0**-32  # of a factor
FEW = 4  # columns that are faster multiplied one by one
QUICK = 0.5  # a step's factor below which it is looked at after every step


class SparseDescent(Stepper[SparseProgram]):
    """Plain stochastic descent: W = factor * V, of which a step changes few rows of V.

    A step multiplies all weights by 1 - lr l2, which the factor of each trial takes: V changes only
    where the examples have numbers (Bottou 2010, section 5.1). The factor moves into V at the end
    of an epoch, and before it becomes too small.
    """

    description = "only the weights moved that examples meet"
    given: Array = None  # the last rates that the optimizer gave
    rates: Array = None  # the same without the axis of tiles
    decay: Array = None  # what they make of a weight in a step
    quick: Array = None  # where that is little; None: nowhere

    def take_steps(self, state: TrainingState, last: int, gradient: Params | None) -> None:
        """Take each step on the gathered weights of its examples."""
        weight, step = state.params["weight"], state.step
        # Each block is of one epoch.
        epoch = self.orders.plan.steps_per_epoch if self.orders else 1
        factor = np.ones_like(weight[:, 0, :1])  # (seeds, 1, columns)
        for indices in self.blocks(step, last):
            if indices.shape[2] == 1:
                self._singles(weight, factor, step, indices[..., 0], state.params)
            else:
                self._batches(weight, factor, step, indices, state.params)
            step += len(indices)
            if step % epoch == 0 or step == last:
                _fold(weight, factor, factor != 1)

    def _singles(
        self,
        weight: NDArray[np.floating],
        factor: NDArray[np.floating],
        step: int,
        places: NDArray[np.int64],
        params: Params,
    ) -> None:
        """Take steps on single examples, (steps, seeds)."""
        program, l2 = self.program, self.program.model.l2
        x, slope = program.train["x"], program.model.slope
        firsts, ends = x.starts[places].tolist(), x.starts[places + 1].tolist()
        tables, bias = list(map(_Rows, weight[:, 0])), weight[:, 0, -1:]
        shape, flat = (*weight.shape[:2], program.outputs, program.width), bias.shape
        z = np.empty_like(bias)
        sums = z[:, 0]
        for y, first, end in zip(program.single(places), firsts, ends, strict=True):
            here = list(map(slice, first, end))
            for rows, part, found in zip(tables, here, sums, strict=True):
                np.einsum("k,kc->c", x.values[part], rows.gathered(x.columns[part]), out=found)
            rates = self._rates(step, params)
            if l2:
                z *= factor
            z += bias
            move = slope(z.reshape(shape), y).reshape(flat) * rates
            bias -= move
            step += 1
            if l2:
                if self._decayed(weight, factor, step):
                    for rows, part in zip(tables, here, strict=True):
                        rows.gathered(x.columns[part])
                move /= factor
            for rows, part, each in zip(tables, here, move, strict=True):
                rows.move(x.columns[part], x.values[part, None], each)

    def _batches(
        self,
        weight: NDArray[np.floating],
        factor: NDArray[np.floating],
        step: int,
        indices: NDArray[np.int64],
        params: Params,
    ) -> None:
        """Take steps on batches, (steps, seeds, batch)."""
        program, count, l2 = self.program, indices.shape[2], self.program.model.l2
        features, bias = weight[:, 0, :-1], weight[:, 0, -1:]
        for batch in program.batches(indices):
            rates = self._rates(step, params) / count
            z = np.stack([b.rows @ w for b, w in zip(batch["x"], features, strict=True)])
            z = program.by_output((z * factor + bias)[:, None])
            moves = program.by_example(program.model.slope(z, batch["y"]), count)[:, 0]
            moves *= rates
            bias -= moves.sum(1, keepdims=True)
            step += 1
            if l2:
                self._decayed(weight, factor, step)
                moves /= factor
            for block, held, move in zip(batch["x"], features, moves, strict=True):
                held[block.features] -= block.within.T @ move

    def _rates(self, step: int, params: Params) -> Array:
        """Return the rates of a step, (seeds, 1, columns), and know what they make of weights."""
        given = self.optimizer.rates(step, params)["weight"]
        if given is not self.given:
            self.given, self.rates = given, given[:, 0]
            self.decay = 1 - self.rates * self.program.model.l2
            quick = abs(self.decay) < QUICK
            self.quick = quick if quick.any() else None
        return self.rates

    def _decayed(
        self, weight: NDArray[np.floating], factor: NDArray[np.floating], step: int
    ) -> bool:
        """Let the factors take the penalty of a step; return whether some moved into the weights.

        When that happens to a trial depends on its own factor alone.
        """
        factor *= self.decay
        if step % CHECKED and self.quick is None:
            return False
        small = abs(factor) < SMALL
        if step % CHECKED:
            small &= self.quick
        return bool(small.any()) and _fold(weight, factor, small)


class _Rows:
    """The weights of a seed, of which some rows at a time are gathered, moved and put back.

    A row is one item to NumPy here: it copies items about twice as fast as rows of numbers.
    """

    def __init__(self, weight: NDArray[np.floating]) -> None:
        """Take the weights, (features + 1, columns), whose rows lie in memory one after another."""
        self.shape, self.dtype = (-1, weight.shape[1]), weight.dtype
        self.item = np.dtype((np.void, weight[0].nbytes))
        self.items = weight.view(self.item)[:, 0]
        self.held = weight[:0]

    def gathered(self, places: NDArray[np.intp]) -> NDArray[np.floating]:
        """Return copies of some rows, and keep them."""
        self.held = self.items.take(places).view(self.dtype).reshape(self.shape)
        return self.held

    def move(
        self, places: NDArray[np.intp], x: NDArray[np.floating], by: NDArray[np.floating]
    ) -> None:
        """Subtract x (rows, 1) times `by` (1, columns) from the rows kept, and put them back."""
        # A product of one term is exact, and faster than broadcasting.
        self.held -= np.dot(x, by)
        self.items.put(places, self.held.view(self.item)[:, 0])


def _fold(
    weight: NDArray[np.floating], factor: NDArray[np.floating], which: NDArray[np.bool_]
) -> bool:
    """Move factors into the weights they stand for, in place; True."""
    for seed in np.flatnonzero(which.any((1, 2))).tolist():
        columns = np.flatnonzero(which[seed, 0])
        if len(columns) < FEW:
            for column in columns.tolist():
                weight[seed, 0, :-1, column] *= factor[seed, 0, column]
        else:  # times 1 changes nothing
            weight[seed, 0, :-1] *= np.where(which[seed], factor[seed], 1)
    factor[which] = 1
    return True
