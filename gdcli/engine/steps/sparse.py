"""Plain stochastic descent on sparse examples: a step moves the weights that its examples meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.programs.sparse_linear_model import SparseProgram
from gdcli.engine.steps.stepper import Stepper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.recorder import TrainingState
    from gdcli.problem import Array, Params

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
