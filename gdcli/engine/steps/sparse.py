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
        held, seeds, bias = list(weight[:, 0]), range(len(weight)), weight[:, 0, -1:]
        shape, flat = (*weight.shape[:2], program.outputs, program.width), bias.shape
        z = np.empty_like(bias)
        for y, first, end in zip(program.single(places), firsts, ends, strict=True):
            columns = [x.columns[first[s] : end[s]] for s in seeds]
            values = [x.values[first[s] : end[s]] for s in seeds]
            gathered = [held[s].take(columns[s], axis=0) for s in seeds]
            for s in seeds:
                np.einsum("k,kc->c", values[s], gathered[s], out=z[s, 0])
            rates = self._rates(step, params)
            if l2:
                z *= factor
            z += bias
            move = slope(z.reshape(shape), y).reshape(flat) * rates
            bias -= move
            step += 1
            if l2:
                if self._decayed(weight, factor, step):
                    gathered = [held[s].take(columns[s], axis=0) for s in seeds]
                move /= factor
            for s in seeds:
                gathered[s] -= values[s][:, None] * move[s]
                held[s][columns[s]] = gathered[s]

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
            z = np.stack([b.rows.times(w) for b, w in zip(batch["x"], features, strict=True)])
            z = program.by_output((z * factor + bias)[:, None])
            moves = program.by_example(program.model.slope(z, batch["y"]), count)[:, 0]
            moves *= rates
            bias -= moves.sum(1, keepdims=True)
            step += 1
            if l2:
                self._decayed(weight, factor, step)
                moves /= factor
            for block, held, move in zip(batch["x"], features, moves, strict=True):
                for rows, sums in block.across.products(move):
                    held[block.features[rows]] -= sums

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


def _fold(
    weight: NDArray[np.floating], factor: NDArray[np.floating], which: NDArray[np.bool_]
) -> bool:
    """Move factors into the weights they stand for, in place; True."""
    for seed, _, column in zip(*np.nonzero(which), strict=True):
        weight[seed, 0, :-1, column] *= factor[seed, 0, column]
    factor[which] = 1
    return True
