"""Watches the trials of a batch at fixed steps: the facts that a diagnosis starts from.

The steps do not depend on what is recorded, so runs of one trajectory that are recorded differently
have the same facts. The watcher finds the step at which a loss leaves its bounds, and what the last
point is like where the gradient has vanished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gdcli.arrays import namespace
from gdcli.engine.recorder import copied
from gdcli.errors import RunError
from gdcli.measure import CAUSES, MEASURED, STRETCHES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.engine.plan import Watched
    from gdcli.engine.programs.program import Evaluation, Program
    from gdcli.problem import Array, Params

    Floats = NDArray[np.floating]

PRODUCTS = 64  # with the Hessian, at most
FALLEN = 0.999  # of the fall to the lowest loss


class Trajectory(NamedTuple):
    """The watched steps of the trials of a batch; arrays have an axis of trials, last."""

    watched: Watched
    horizon: int  # steps of the budget
    steps: NDArray[np.int64]  # (points,)
    values: dict[str, Floats]  # train_loss, grad_norm, test_loss: (points, trials)
    last: NDArray[np.int64]  # each trial's last step: later values mean nothing
    crossed: NDArray[np.int64]  # first step at which the loss was out of bounds, -1: never
    within: NDArray[np.int64]  # last step before it at which the loss is known to be in bounds
    cause: NDArray[np.int64]  # of the crossing, a place in CAUSES
    turn: Floats  # cosine of the angle between the last two full gradients, nan: not known
    curvature: Floats  # smallest eigenvalue of the Hessian at the end, nan: not asked for
    dead: Floats  # share of ReLU units that are 0 for all training examples, nan: not asked for


def facts(trajectory: Trajectory) -> dict[str, Floats]:
    """Return the facts of all trials by name, float64 arrays of shape (trials,); nan: not known.

    runs/table.py says what each holds; diverged_by is a place in CAUSES. Without test examples,
    those of the test loss are not there.
    """
    steps, horizon = trajectory.steps, trajectory.horizon
    lost = trajectory.crossed >= 0
    # What follows a crossing depends on when it was noticed, and so on the recorded steps.
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
        **_end(trajectory, spent, lost),
    }
    if "test_loss" in values:
        tests = values["test_loss"].astype(np.float64)
        found |= _lowest("test", steps, tests)
        found["late_test_loss"] = _levels(steps[regular], tests[regular], horizon)[-1]
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


def _end(
    trajectory: Trajectory, spent: NDArray[np.bool_], lost: NDArray[np.bool_]
) -> dict[str, Floats]:
    """Return what the last points are like, and where losses left their bounds."""
    return {
        "gradient_turn": np.where(spent, trajectory.turn, np.nan),
        "lowest_curvature": np.where(spent, trajectory.curvature, np.nan),
        "dead_units": np.where(spent, trajectory.dead, np.nan),
        "diverged_after": np.where(lost, trajectory.within, np.nan),
        "diverged_at": np.where(lost, trajectory.crossed, np.nan),
        "diverged_by": trajectory.cause,
    }


def _lowest(part: str, steps: NDArray[np.int64], losses: Floats) -> dict[str, Floats]:
    """Return the lowest loss and the first step that has it; NaN does not count."""
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
    """Return the first step at which FALLEN of the fall was done; nan: the loss did not fall."""
    lowest = np.fmin.reduce(losses)
    fallen = losses <= losses[0] - FALLEN * (losses[0] - lowest)
    return np.where(lowest < losses[0], steps[fallen.argmax(0)], np.nan)


def _above(steps: NDArray[np.int64], losses: Floats, there: NDArray[np.bool_]) -> Floats:
    """Return the first step of the last stretch above the start; nan: it ends at or below it."""
    count = there.sum(0)
    below = there & (losses <= losses[0])  # a NaN is not below
    after = np.where(below.any(0), len(steps) - below[::-1].argmax(0), 0)
    return np.where(after < count, steps[np.minimum(after, len(steps) - 1)], np.nan)


def _largest_rise(losses: Floats) -> Floats:
    """Return the largest rise from a low to a later high."""
    rises: Floats = (losses - np.minimum.accumulate(losses)).max(0, initial=0.0)
    return rises


def _singles(trajectory: Trajectory, losses: Floats, spent: NDArray[np.bool_]) -> dict[str, Floats]:
    """Return what the last single steps do to the loss, where they are watched."""
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
    belongs to none.
    """
    stretch = -(-steps * STRETCHES // horizon)
    empty = np.full(losses.shape[1], np.nan)
    parts = (losses[stretch == k] for k in range(1, STRETCHES + 1))
    return [part.mean(0) if len(part) else empty for part in parts]


GROWTH, OVERFLOW, NAN = (CAUSES.index(cause) for cause in ("growth", "overflow", "nan"))


class Watcher:
    """Collects the evaluations at the watched steps; arrays have the layout's shape."""

    def __init__(self, program: Program, watched: Watched, horizon: int) -> None:
        """Begin before the start, with every loss in bounds."""
        self.program, self.watched, self.horizon = program, watched, horizon
        self.wanted = frozenset(watched.steps)
        self.steps: list[int] = []
        self.points: list[Array] = []  # measures of a step, stacked: they stay on the device
        self.names: list[str] = []
        never = program.device.array(np.full(program.layout.shape, -1))
        self.crossed, self.within, self.cause = never, never, never + 1
        self.gradient: Params = {}  # one step before the end, of full-batch descent
        self.turn = program.device.array(np.full(program.layout.shape, np.nan))

    @property
    def last(self) -> int:
        """The last watched step so far, 0 before the first."""
        return self.steps[-1] if self.steps else 0

    def add(self, step: int, evaluation: Evaluation) -> None:
        """Keep an evaluation if its step is watched."""
        if step not in self.wanted:
            return
        values = evaluation.values
        self.names = [name for name in MEASURED if name in values]
        self.steps.append(step)
        self.points.append(namespace(self.turn).stack([values[name] for name in self.names]))
        if self.watched.singles:
            if step == self.horizon and self.gradient:
                self.turn = self._cosine(self.gradient, evaluation.gradient)
            before_last = step == self.horizon - 1
            self.gradient = copied(evaluation.gradient) if before_last else {}

    def _cosine(self, before: Params, after: Params) -> Array:
        """Return the cosine of the angle between two gradients, nan where one of them is 0."""
        # Divided by their lengths first: the square of a small gradient is 0.
        first, second = (self._unit(gradient) for gradient in (before, after))
        return sum(self.program.sum_per_trial(first[name] * second[name]) for name in first)

    def _unit(self, gradient: Params) -> Params:
        norm = self.program.norm(gradient)
        return {
            name: array / self.program.broadcast(norm, array) for name, array in gradient.items()
        }

    def beyond(self, loss: Array, limit: Array, params: Params) -> Array:
        """Return which trials are out of bounds: not finite, or with a loss above the limit."""
        xp = namespace(loss)
        return ~((abs(loss) <= limit) & xp.isfinite(loss) & self.program.finite(params))

    def cross(self, trials: Array, after: int, step: int, loss: Array, limit: Array) -> None:
        """Note the step at which trials were first found out of bounds."""
        xp = namespace(loss)
        trials = trials & (self.crossed < 0)
        grown = xp.isfinite(loss) & (abs(loss) > limit)  # else a parameter is not finite
        cause = xp.where(xp.isnan(loss), NAN, xp.where(grown, GROWTH, OVERFLOW))
        self.crossed = xp.where(trials, step, self.crossed)
        self.within = xp.where(trials, after, self.within)
        self.cause = xp.where(trials, cause, self.cause)

    def packed(self) -> dict[str, NDArray[Any]]:
        """Return what was watched as named arrays, for a checkpoint."""
        host = self.program.device.host
        held = {"crossed": self.crossed, "within": self.within, "cause": self.cause}
        return {
            "watched steps": np.array(self.steps, np.int64),
            "watched names": np.array(self.names),
            "watched points": np.stack([host(point) for point in self.points]),
            **{f"watched {name}": host(array) for name, array in held.items()},
            **{f"watched gradient {n}": host(array) for n, array in self.gradient.items()},
        }

    def unpack(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Restore what was packed."""
        array, prefix = self.program.device.array, "watched gradient "
        self.steps = arrays["watched steps"].tolist()
        self.names = arrays["watched names"].tolist()
        self.points = list(map(array, arrays["watched points"]))
        self.crossed, self.within, self.cause = (
            array(arrays[f"watched {name}"]) for name in ("crossed", "within", "cause")
        )
        own = (name for name in arrays if name.startswith(prefix))
        self.gradient = {name.removeprefix(prefix): array(arrays[name]) for name in own}

    def trajectory(self, last: NDArray[np.int64], curvature: Array, dead: Array) -> Trajectory:
        """Return what was watched of the trials; `last` has their last steps."""
        layout, host = self.program.layout, self.program.device.host
        points = layout.gather(np.stack([host(point) for point in self.points]))
        held = (self.crossed, self.within, self.cause, self.turn, curvature, dead)
        return Trajectory(
            self.watched,
            self.horizon,
            np.array(self.steps, np.int64),
            {name: points[:, i] for i, name in enumerate(self.names)},
            last,
            *(layout.gather(host(array)) for array in held),
        )


VANISHED = 1e-3  # of the largest gradient norm: a trial hardly moves
MOST_NUMBERS = 2**25  # numbers that the search for eigenvalues may hold
UNLEARNED = 0.9  # of the loss at the start: above it, a network may have learned nothing


class Ending:
    """The last points of the trials of a batch; arrays have the layout's shape."""

    def __init__(self, program: Program, params: Params, watcher: Watcher, spent: Array) -> None:
        """Take the trials that spent their whole budget; the last point of others is not kept."""
        self.program, self.params = program, params
        self.spent = program.device.host(spent)
        losses, norms = (
            np.stack([program.device.host(point[place]) for point in watcher.points])
            for place in (0, 1)  # the first of its MEASURES
        )
        self.still = norms[-1] <= VANISHED * np.fmax.reduce(norms)
        self.learned = losses[-1] < UNLEARNED * losses[0]

    def curvature(self) -> Array:
        """Return the smallest eigenvalue of the Hessian, nan where it is not computed.

        It is computed where the gradient has vanished and the loss is not known to be convex.
        Lanczos's value is at least the smallest eigenvalue, so a negative value proves a direction
        of descent.
        """
        program, wanted = self.program, self.spent & self.still
        unknown = program.device.array(np.full(wanted.shape, np.nan))
        size = sum(
            array.size if isinstance(array, np.ndarray) else array.numel()
            for array in self.params.values()
        )
        if not wanted.any() or program.convex or PRODUCTS * size > MOST_NUMBERS:
            return unknown
        if program.constant_hessian:
            return unknown
        try:
            found = program.hessian_eigenvalues(self.params, PRODUCTS)
            return found.smallest(self.params, program.device.array(wanted))
        except (RunError, NotImplementedError):  # the loss has no second derivative
            return unknown

    def dead_units(self) -> Array:
        """Return the share of ReLU units that are 0 for all training examples.

        It is computed where a network's gradient has vanished or its loss is about that of the
        start; nan elsewhere, and without ReLU units.
        """
        program, wanted = self.program, self.spent & (self.still | ~self.learned)
        unknown = program.device.array(np.full(wanted.shape, np.nan))
        found = program.dead_units(self.params) if wanted.any() else None
        if found is None:
            return unknown
        return namespace(found).where(program.device.array(wanted), found, unknown)
