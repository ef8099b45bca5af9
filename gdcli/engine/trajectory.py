"""What a trial's loss does at steps that do not depend on what is recorded: facts for a diagnosis.

Two runs of one trajectory that are recorded differently have the same facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdcli.engine.watched import FACTS, STRETCHES, Watched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]


FALLEN = 0.999  # of the fall to the lowest loss: then the rest is details


class Trajectory(NamedTuple):
    """What was watched of the trials of a batch; arrays have an axis of trials, last."""

    watched: Watched
    horizon: int  # steps of the budget
    steps: NDArray[np.int64]  # (points,)
    values: dict[str, Floats]  # train_loss, grad_norm, test_loss: (points, trials)
    last: NDArray[np.int64]  # each trial's last step: what is watched later means nothing
    crossed: NDArray[np.int64]  # first step at which the loss was out of bounds, -1: never
    within: NDArray[np.int64]  # last step before it at which the loss is known to be in bounds
    cause: NDArray[np.int64]  # of the crossing, a place in CAUSES
    turn: Floats  # cosine of the angle between the last two full gradients, nan: not known
    curvature: Floats  # smallest eigenvalue of the Hessian at the end, nan: not asked for
    dead: Floats  # share of ReLU units that are 0 for all training examples, nan: not asked for


def facts(trajectory: Trajectory) -> dict[str, Floats]:
    """Return the FACTS of all trials by name, float64 arrays of shape (trials,); nan: not known.

    watched               points up to the trial's end, or before its crossing, the start among them
    lowest_, highest_     extremes over them, and the first step that has each
    fallen_step           first step at which FALLEN of the fall to the lowest loss was done
    above_start_from      first step of the last stretch in which the loss stays above the start
    largest_late_rise     largest rise from a low to a later high in the second half of the budget
    late_rises            how many of the last single steps raised the loss, full batches only
    late_swing            range of the loss over these steps
    gradient_turn         cosine between the last two full gradients: -1 is straight back
    late_test_loss        mean over the last stretch
    level_1 ... level_16  mean training loss of equal parts of the budget
    diverged_after, _at   the loss left its bounds after the former step, at the latter at most
    diverged_by           a place in CAUSES
    """
    steps, horizon = trajectory.steps, trajectory.horizon
    lost = trajectory.crossed >= 0
    # What follows a crossing depends on when it was noticed, and so on what is recorded.
    end = np.where(lost, trajectory.crossed - 1, trajectory.last)
    there = steps[:, None] <= end
    values = {n: np.where(there, v, np.nan) for n, v in trajectory.values.items()}
    losses, norms = values["train_loss"].astype(np.float64), values["grad_norm"]
    spent = end == horizon  # else the trial ended before its budget did
    wanted = set(trajectory.watched.regular)
    # np.isin imports numpy.ma, which takes longer than all the rest.
    regular = np.array([step in wanted for step in steps.tolist()])
    late = regular & (2 * steps >= horizon)
    levels = _levels(steps[regular], losses[regular], horizon)
    found = {
        "watched": there.sum(0),
        "initial_grad_norm": norms[0],
        "largest_grad_norm": np.fmax.reduce(np.where(np.isfinite(norms), norms, np.nan)),
        **_lowest("train", steps, losses),
        **_highest(steps, losses),
        "fallen_step": _fallen(steps, losses),
        "above_start_from": _above(steps, losses, there),
        "largest_late_rise": np.where(spent, _largest_rise(losses[late]), np.nan),
        **_singles(trajectory, losses, spent),
        **{f"level_{k}": level for k, level in enumerate(levels, start=1)},
        "gradient_turn": np.where(spent, trajectory.turn, np.nan),
        "lowest_curvature": np.where(spent, trajectory.curvature, np.nan),
        "dead_units": np.where(spent, trajectory.dead, np.nan),
        "diverged_after": np.where(lost, trajectory.within, np.nan),
        "diverged_at": np.where(lost, trajectory.crossed, np.nan),
        "diverged_by": trajectory.cause,
    }
    if "test_loss" in values:
        tests = values["test_loss"].astype(np.float64)
        found |= _lowest("test", steps, tests)
        found["late_test_loss"] = _levels(steps[regular], tests[regular], horizon)[-1]
    unknown = np.full(len(trajectory.last), np.nan)
    return {name: np.asarray(found.get(name, unknown), np.float64) for name in FACTS}


def _lowest(part: str, steps: NDArray[np.int64], losses: Floats) -> dict[str, Floats]:
    """Return the lowest loss and the first step that has it; a NaN is none."""
    places = np.where(np.isnan(losses), np.inf, losses).argmin(0)
    lowest = losses[places, np.arange(losses.shape[1])]
    where = np.where(np.isnan(lowest), np.nan, steps[places])
    return {f"lowest_{part}_loss": lowest, f"lowest_{part}_step": where}


def _highest(steps: NDArray[np.int64], losses: Floats) -> dict[str, Floats]:
    found = _lowest("train", steps, -losses)
    return {
        "highest_train_loss": -found["lowest_train_loss"],
        "highest_train_step": found["lowest_train_step"],
    }


def _fallen(steps: NDArray[np.int64], losses: Floats) -> Floats:
    """Return the first step at which FALLEN of the fall was done; nan: there was no fall."""
    lowest = np.fmin.reduce(losses)
    fallen = losses <= losses[0] - FALLEN * (losses[0] - lowest)
    return np.where(lowest < losses[0], steps[fallen.argmax(0)], np.nan)


def _above(steps: NDArray[np.int64], losses: Floats, there: NDArray[np.bool_]) -> Floats:
    """Return the first step of the last stretch above the start; nan: it ends at or below."""
    count = there.sum(0)
    below = there & (losses <= losses[0])  # a NaN is not below
    after = np.where(below.any(0), len(steps) - below[::-1].argmax(0), 0)
    return np.where(after < count, steps[np.minimum(after, len(steps) - 1)], np.nan)


def _largest_rise(losses: Floats) -> Floats:
    """Return the largest rise from a low to a later high."""
    rises: Floats = (losses - np.minimum.accumulate(losses)).max(0, initial=0.0)
    return rises


def _singles(trajectory: Trajectory, losses: Floats, spent: NDArray[np.bool_]) -> dict[str, Floats]:
    """Return what the last single steps do to the loss, where they were watched."""
    if not trajectory.watched.singles:
        return {}
    single = losses[trajectory.steps >= trajectory.watched.singles[0]]
    if not len(single):  # every trial ended before
        return {}
    return {
        "late_rises": np.where(spent, (np.diff(single, axis=0) > 0).sum(0), np.nan),
        "late_swing": np.where(spent, single.max(0) - single.min(0), np.nan),
    }


def _levels(steps: NDArray[np.int64], losses: Floats, horizon: int) -> list[Floats]:
    """Return the mean loss of each stretch of the budget, nan where it has no point.

    Stretch k has the steps after (k - 1) / STRETCHES of the budget up to k / STRETCHES: the start
    is in none.
    """
    stretch = -(-steps * STRETCHES // horizon)
    empty = np.full(losses.shape[1], np.nan)
    parts = (losses[stretch == k] for k in range(1, STRETCHES + 1))
    return [part.mean(0) if len(part) else empty for part in parts]
