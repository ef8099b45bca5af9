"""What a diagnosis starts from: what a trial did, how it descended, what its problem is known for.

Everywhere None means: not known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gdcli.measure import CAUSES, STRETCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS = tuple(f"level_{k}" for k in range(1, STRETCHES + 1))


@dataclass(frozen=True)
class Observed:
    """The facts of one trial, named as the columns of summary.csv."""

    status: str  # finished, diverged or failed
    stopped_by: str = ""  # "", tol or target
    steps: float | None = None
    watched: float | None = None
    initial_train_loss: float | None = None
    final_train_loss: float | None = None
    largest_grad_norm: float | None = None
    final_grad_norm: float | None = None
    lowest_train_loss: float | None = None
    highest_train_loss: float | None = None
    above_start_from: float | None = None
    largest_late_rise: float | None = None
    late_rises: float | None = None
    late_swing: float | None = None
    gradient_turn: float | None = None
    lowest_test_loss: float | None = None
    lowest_test_step: float | None = None
    late_test_loss: float | None = None
    lowest_curvature: float | None = None
    dead_units: float | None = None
    final_sharpness: float | None = None
    final_train_accuracy: float | None = None
    final_train_balanced_accuracy: float | None = None
    diverged_after: float | None = None
    diverged_at: float | None = None
    diverged_by: str = ""  # "", growth, overflow or nan
    levels: tuple[float | None, ...] = (None,) * STRETCHES

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Observed:
        """Return the facts of a row by column name; NaN means not known, but for the final loss."""
        kept = {
            name: value
            for name, value in zip(NAMES, map(row.get, NAMES), strict=True)
            if value is not None and (value == value or name == FINAL)  # noqa: PLR0124 -- NaN is not
        }
        if isinstance(code := kept.get("diverged_by", ""), (int, float)):
            kept["diverged_by"] = CAUSES[int(code)]
        levels = tuple(y if y == y else None for y in map(row.get, LEVELS))  # noqa: PLR0124
        return cls(levels=levels, **kept)


FINAL = "final_train_loss"
NAMES = tuple(f.name for f in fields(Observed) if f.name != "levels")


@dataclass(frozen=True)
class DescentSettings:
    """How a trial descended."""

    lr: float
    method: str = "gd"  # or sgd, minibatch
    optimizer: str = "vanilla"
    beta: float | None = None  # of momentum and nesterov
    schedule: str = "constant"
    end_multiplier: float = 1.0  # the schedule's at the last step, over its largest
    weight_decay: float = 0.0
    clip_norm: float | None = None
    steps_per_epoch: int = 1
    horizon: int | None = None  # steps of the budget
    tol: float | None = None
    target_loss: float | None = None
    budget: str = "epochs"  # or steps: what the user gave

    @property
    def stochastic(self) -> bool:
        """Whether a step sees only a part of the examples."""
        return self.method != "gd"

    @property
    def steady(self) -> bool:
        """Whether the learning rate stays the same."""
        return self.schedule == "constant"


@dataclass(frozen=True)
class Known:
    """What is known of the problem, and what theory knows of this descent on it."""

    minimum: float | None = None  # the least training loss, or its infimum
    attained: bool = True  # whether some point has it
    bound: float | None = None  # a loss that no point is below: 0 of a cross-entropy
    convex: bool | None = None
    network: bool = False
    classifier: bool = False
    baseline_loss: float | None = None  # of the best constant prediction, training part
    majority_train: float | None = None  # share of the most frequent class
    majority: str | None = None  # what that class is called
    majority_recall: float | None = None  # the balanced accuracy of always answering it
    limit: float | None = None  # learning rate above which this descent is not stable
    limit_exact: bool = False  # it diverges above it; else it may
    limit_formula: str = "2/L"
    rate: float | None = None  # factor by which a step shrinks the distance to the minimiser
    floor: float | None = None  # mean excess loss at which this descent settles
    condition: float | None = None  # largest curvature over the smallest above 0
    best_beta: float | None = None  # of this momentum, for this condition number
    scaled: bool | None = None  # whether features are standardised; None: there are none


@dataclass(frozen=True)
class Evidence:
    """All that a diagnosis is made of."""

    observed: Observed
    descent: DescentSettings
    known: Known = Known()
