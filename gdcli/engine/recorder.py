"""What a run keeps of its trials: the recorded points, and how each trial ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gdcli.arrays import namespace
from gdcli.problem import Array, Params

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.program import Evaluation, Program
    from gdcli.training import Training

FLUSH = 64  # recorded points that stay on a GPU before they leave it together
RUNNING, CONVERGED, DIVERGED = 0, 1, 2


@dataclass(frozen=True)
class Curves:
    """The recorded points of the trials of one batch."""

    steps: list[int]
    values: dict[str, Array]  # NumPy arrays by column, shape (points, trials)
    length: Array  # points that each trial has: its last one is where it ended
    ended: Array  # RUNNING (the budget was spent), CONVERGED or DIVERGED


class Recorder:
    """Collects evaluations and decides, at each, which trials end there.

    A trial diverges when its loss or a parameter is not finite, or when its loss exceeds
    `diverge_at` times max(1, |loss at the start|). It converges when its gradient norm is at
    most `tol`, or its loss at most `target_loss`.
    """

    def __init__(self, program: Program, training: Training) -> None:
        """Begin with every trial running."""
        self.program, self.training = program, training
        self.steps: list[int] = []
        self.pending: list[Array] = []
        self.blocks: list[NDArray[np.floating]] = []
        self.names: list[str] = []
        filled = program.device.array(program.lanes.filled())
        self.ended = namespace(filled).where(filled, RUNNING, CONVERGED)
        self.length = self.ended * 0
        self.limit: Array = None
        self.over = False

    def record(self, step: int, evaluation: Evaluation, params: Params) -> Array:
        """Keep a point; return which lanes have ended, of the lanes' shape."""
        loss, norm = evaluation.values["train_loss"], evaluation.values["grad_norm"]
        xp = namespace(loss)
        if self.limit is None:
            self.names = list(evaluation.values)
            self.limit = self.training.diverge_at * xp.where(abs(loss) > 1, abs(loss), 1.0)
        self.steps.append(step)
        self.length = self.length + (self.ended == RUNNING)
        self._end(DIVERGED, ~((abs(loss) <= self.limit) & self.program.finite(params)))
        if self.training.tol is not None:
            self._end(CONVERGED, norm <= self.training.tol)
        if self.training.target_loss is not None:
            self._end(CONVERGED, loss <= self.training.target_loss)
        self.pending.append(xp.stack(list(evaluation.values.values())))
        if self.program.device.eager or len(self.pending) == FLUSH:
            self._flush()
        return self.ended != RUNNING

    def _end(self, reason: int, stops: Array) -> None:
        """End those of the running trials that stop."""
        stops = (self.ended == RUNNING) & stops
        self.ended = namespace(stops).where(stops, reason, self.ended)

    def _flush(self) -> None:
        """Bring the pending points to the host, and see whether any trial still runs."""
        if self.pending:
            self.blocks.append(self.program.device.host(namespace(self.ended).stack(self.pending)))
            self.pending = []
            self.over = bool((self.ended != RUNNING).all())

    def curves(self) -> Curves:
        """Return what was recorded."""
        self._flush()
        lanes, host = self.program.lanes, self.program.device.host
        values = lanes.gather(np.concatenate(self.blocks))
        return Curves(
            steps=self.steps,
            values={name: values[:, i] for i, name in enumerate(self.names)},
            length=lanes.gather(host(self.length)),
            ended=lanes.gather(host(self.ended)),
        )
