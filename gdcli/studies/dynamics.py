"""What becomes of every training example while a batch of trials is trained.

Sums run along with the epochs: neither the memory nor the device ever holds examples times trials
times epochs. They stay on the device, in double precision, until the batch has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gdcli.arrays import namespace
from gdcli.problem import Array
from gdcli.studies.labels import Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.program import Program
    from gdcli.problem import Params

Sums: TypeAlias = dict[str, Array]
Measures: TypeAlias = "dict[str, NDArray[Any]]"  # by name, (trials, [classes,] examples)
NUMBERS = 12  # that are held for an example of a trial, besides one for each class


@dataclass
class Dynamics:
    """Told of the parameters after every epoch; `labels` is None where there are no classes."""

    labels: Labels | None
    el2n_epoch: int
    epochs: int = -1  # so far: the start comes first, and is no epoch
    chunks: list[Sums] = field(default_factory=list)
    targets: list[Array] = field(default_factory=list)  # (classes, examples), one-hot

    def add(self, program: Program, params: Params) -> None:
        """Take in what the trials make of every example now."""
        self.epochs += 1
        if not self.epochs:
            return
        for place, outcome in enumerate(program.outcomes(params)):
            if place == len(self.chunks):
                self.chunks.append({})
            sums = self.chunks[place]
            xp = namespace(outcome.loss)
            loss = xp.astype(outcome.loss, xp.float64)
            sums["final_loss"] = loss
            if outcome.probability is None or self.labels is None:
                self._spread(sums, "loss", loss)
                continue
            sums["loss"] = sums.get("loss", 0.0) + loss
            self._classified(sums, xp.astype(outcome.probability, xp.float64), place, program)

    def _spread(self, sums: Sums, name: str, value: Array) -> None:
        """Follow the mean, and the sum of squares about it, of a value (Welford 1962)."""
        gap = value - sums.get(name, 0.0)
        sums[name] = sums.get(name, 0.0) + gap / self.epochs
        sums["squares"] = sums.get("squares", 0.0) + gap * (value - sums[name])

    def _classified(self, sums: Sums, likely: Array, place: int, program: Program) -> None:
        assert self.labels is not None  # noqa: S101 -- of a classifier
        xp = namespace(likely)
        if place == len(self.targets):
            first = sum(target.shape[1] for target in self.targets)
            part = self.labels[first : first + likely.shape[2]]
            one_hot = program.device.array(np.eye(likely.shape[1])[part].T)
            self.targets.append(xp.astype(one_hot, xp.float64))
        target = self.targets[place]
        true = xp.sum(likely * target, axis=1)
        # Right: no other class is as likely. So says the accuracy of the curves, too.
        right = xp.sum(xp.astype(likely >= true[:, None], xp.int32), axis=1) == 1
        self._spread(sums, "confidence", true)
        sums["likely"] = sums.get("likely", 0.0) + likely
        self._learnt(sums, right)
        if self.epochs == self.el2n_epoch:
            sums["el2n"] = xp.sqrt(xp.sum((likely - target) ** 2, axis=1))

    def _learnt(self, sums: Sums, right: Array) -> None:
        """Count when an example is right, and when it ceases to be (Toneva et al. 2019)."""
        xp = namespace(right)
        if "right" not in sums:
            none = xp.zeros_like(right)
            sums |= {"right": none, "correctness": 0.0, "forgetting": 0.0, "first_learned": 0.0}
        now = xp.astype(right, xp.float64)
        sums["forgetting"] = sums["forgetting"] + xp.astype(sums["right"] & ~right, xp.float64)
        new = xp.astype((sums["correctness"] == 0.0) & right, xp.float64)
        sums["first_learned"] = sums["first_learned"] + new * self.epochs
        sums["correctness"] = sums["correctness"] + now
        sums["right"] = right

    def measures(self, program: Program) -> Measures:
        """Return means and counts by name, a row a trial.

        `first_learned` is 0 for never, `right` whether an example is so after the last epoch.
        """
        host, lanes = program.device.host, program.lanes
        joined = {
            name: np.concatenate([host(sums[name]) for sums in self.chunks], axis=-1)[lanes.place]
            for name in self.chunks[0]
        }
        squares = joined.pop("squares")
        spread = np.sqrt(squares / self.epochs)
        if "confidence" not in joined:
            return joined | {"loss_deviation": spread}
        for name in ("loss", "correctness", "likely"):
            joined[name] = joined[name] / self.epochs
        joined["right"] = joined["right"].astype(float)
        return joined | {"variability": spread}
