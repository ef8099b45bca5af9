"""What is kept of one trial: its recorded points, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.engine.recorder import CONVERGED, DIVERGED, RUNNING, Curves

if TYPE_CHECKING:
    from gdcli.engine.plan import Plan
    from gdcli.engine.reference.objective import Tensors
    from gdcli.experiment.grid import Training


class Curve:
    """One trial's points, until one of them ends it."""

    def __init__(self, training: Training) -> None:
        """Begin without a point, running."""
        self.training = training
        self.steps: list[int] = []
        self.seen: list[int] = []  # examples whose gradient was taken, each as often as it was
        self.columns: dict[str, list[float]] = {}
        self.ended = RUNNING

    def add(self, step: int, seen: int, measures: Tensors, params: Tensors) -> None:
        """Keep a point; it is the last one if the trial converges or diverges there."""
        self.steps.append(step)
        self.seen.append(seen)
        for name, value in measures.items():
            self.columns.setdefault(name, []).append(float(value))
        self.ended = self._ended(measures, params)

    def beyond(self, measures: Tensors, params: Tensors) -> bool:
        """Return whether a point is out of the bounds of a trial that goes on."""
        loss = measures["train_loss"]
        limit = self.training.diverge_at * max(1.0, abs(self.columns["train_loss"][0]))
        finite = all(array.isfinite().all() for array in (loss, *params.values()))
        return bool(not finite or abs(loss) > limit)

    def _ended(self, measures: Tensors, params: Tensors) -> int:
        """Return how the trial ends at its newest point, RUNNING if it goes on."""
        training, loss, norm = self.training, measures["train_loss"], measures["grad_norm"]
        if self.beyond(measures, params):
            return DIVERGED
        # Compared as tensors: a float32 loss of 0.1 is at most 0.1.
        flat = training.tol is not None and norm <= training.tol
        low = training.target_loss is not None and loss <= training.target_loss
        return CONVERGED if flat or low else RUNNING

    def curves(self, dtype: str, plan: Plan) -> Curves:
        """Return the curves of a batch of this trial alone."""
        planned = self.seen == list(map(plan.examples_at, self.steps))
        return Curves(
            steps=self.steps,
            values={name: np.array([c], dtype).T for name, c in self.columns.items()},
            length=np.array([len(self.steps)]),
            ended=np.array([self.ended]),
            seen=None if planned else self.seen,
        )
