"""The mountain: the loss over a plane of the parameters, and the ways of the trials across it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gdcli.datasets.room import human
from gdcli.engine.examples import examples_of
from gdcli.engine.initial import starting_point
from gdcli.engine.isolation import lacks_memory, message_of
from gdcli.engine.memory import allowance
from gdcli.engine.plan import plan_of
from gdcli.errors import GdcliError, RunError, UserError
from gdcli.grid import Trial
from gdcli.problem import Problem, Surface
from gdcli.studies.flat import Layout, layout_of
from gdcli.studies.plane import Plane, of_two_parameters, principal, random
from gdcli.studies.surface import losses_at
from gdcli.studies.training import Carried, MakeBar, Trained, device_of, none_trained, train

if TYPE_CHECKING:
    from gdcli.experiment import Experiment
    from gdcli.studies.options import Machine, View

MOST = 20_000_000  # numbers of the points that decide a plane
MARGIN = 0.2  # around what must be in the picture, of its size
NARROWEST = 0.25  # side of the picture, of the other
# Points along each side. A valley narrower than their distance looks like a chain of minima.
FINE, COARSE = 201, 51
CHEAP = 10_000  # parameters times examples up to which so many points take a second


@dataclass(frozen=True)
class Way:
    """One trial's recorded points."""

    trial: Trial
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    diverged: bool
    coordinates: NDArray[np.float64]  # (points, 2), projected where they are off the plane
    off_plane: NDArray[np.float64]  # (points,), distances from it


@dataclass(frozen=True)
class Landscape:
    """Losses over a plane, and the ways across it."""

    plane: Plane
    xs: NDArray[np.float64]
    ys: NDArray[np.float64]
    losses: NDArray[np.float64]  # (ys, xs); may be inf or nan
    ways: tuple[Way, ...]
    share: float  # of the variance of the ways' points that the plane holds
    failed: Mapping[Trial, str] = field(default_factory=dict)  # trials that raised, left out

    @property
    def ranked(self) -> tuple[Way, ...]:
        """The ways, those that end lowest first."""
        return tuple(sorted(self.ways, key=lambda way: np.inf if way.diverged else way.losses[-1]))

    @property
    def leaving(self) -> tuple[Way, ...]:
        """The ways that have a point outside."""
        ends = np.array([[axis[0], axis[-1]] for axis in (self.xs, self.ys)]).T
        return tuple(
            way
            for way in self.ways
            if not ((way.coordinates >= ends[0]) & (way.coordinates <= ends[1])).all()
        )


def landscape(experiment: Experiment, view: View, machine: Machine, make_bar: MakeBar) -> Landscape:
    """Train an experiment's trials and return their landscape.

    Trials that raise an exception are left out. Raises UserError for a grid of several problems,
    for one parameter, and where no trial comes to a lower loss that could give the plane a
    direction; RunError where every trial raises.
    """
    layout = _checked(experiment.grid.trials, machine)
    results = train(experiment.grid.trials, machine, make_bar, keep=True)
    trained = results.trained
    trials = [trial for trial in experiment.grid.trials if trial in trained]
    if not trials:
        raise none_trained(results.failed)
    low = [_low_points(trained[trial]) for trial in trials]
    best = _lowest([trained[trial] for trial in trials], low)
    plane = _plane(trials[0].problem, low, best, layout, view)
    carried = _carried_at_the_end(trained[trials[best]])
    if carried:
        words = f"{plane.words}, running statistics and other buffers as at the lowest trial's end"
        plane = replace(plane, words=words)
    fine = layout.size * examples_of(trials[0]).examples <= CHEAP
    view = replace(view, resolution=view.resolution or (FINE if fine else COARSE))
    xs, ys = _sides(trials[0], plane, low, view)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    device = device_of(trials[0], machine)
    points = plane.points(grid)
    parts = losses_at(points, layout, trials[0], device, carried, machine.memory)
    losses = _joined(parts, len(grid), make_bar).reshape(len(ys), len(xs))
    ways = tuple(_way(trial, trained[trial], plane) for trial in trials)
    share = plane.share(_thinned(low))
    return Landscape(plane, xs, ys, losses, ways, share, results.failed)


def _joined(
    parts: Iterator[NDArray[np.float64]], count: int, make_bar: MakeBar
) -> NDArray[np.float64]:
    """Return the losses of so many points in one, and tell how far they are."""
    bar, found = make_bar(), []
    bar.start(count)
    try:
        for part in parts:
            found.append(part)
            bar.advance("loss over the plane", len(part))
    except (GdcliError, MemoryError, OSError):
        raise
    except Exception as error:
        if lacks_memory(error):
            raise MemoryError(message_of(error)) from error
        what = f"the loss over the plane cannot be computed: {message_of(error)}"
        raise RunError(f"{what}; try an --x-range and a --y-range nearer to the trials") from error
    finally:
        bar.stop()
    return np.concatenate(found)


def _checked(trials: Sequence[Trial], machine: Machine) -> Layout:
    """Return the layout of the parameters, after all checks that need no training."""
    first = trials[0]
    if any(trial.problem != first.problem for trial in trials):
        what = "the grid varies the problem, and every problem is another landscape"
        raise UserError("--vary", what, "vary what does not change the loss")
    data = examples_of(first)
    layout = layout_of(starting_point(first.problem, data, first.seed))
    if layout.size < 2:
        what = "a landscape has two directions, and the problem one parameter"
        raise UserError("gdcli landscape", what, "give it more, as --dim 2 does")
    points = sum(plan_of(trial, data.examples).recorded for trial in trials)
    needed = 8 * layout.size * points
    allowed = allowance(machine.memory)
    if needed > allowed:
        what = f"{layout.size} parameters at {points} points need {human(needed)}"
        fix = f"record less often, or allow --memory {human(1.01 * needed)}"
        raise UserError("--record", f"{what}, more than {human(allowed)}", fix)
    return layout


def _low(trained: Trained) -> NDArray[np.bool_]:
    """Return which points have a finite loss that is not above the start's.

    The others are on their way out: they would decide the plane, and its size, for all.
    """
    losses = np.array(trained.losses)
    found: NDArray[np.bool_] = losses <= losses[0]
    return found


def _low_points(trained: Trained) -> NDArray[np.float64]:
    assert trained.params is not None  # noqa: S101 -- they were kept
    return np.asarray(trained.params[_low(trained)], np.float64)


def _lowest(trained: Sequence[Trained], low: Sequence[NDArray[np.float64]]) -> int:
    """Return which trial ends lowest; raises UserError where none has a low point."""
    if not any(map(len, low)):
        fix = "choose a start with a finite one"
        raise UserError("gdcli landscape", "no trial starts with a finite loss", fix)
    ends = [next((x for x in reversed(t.losses) if x <= t.losses[0]), np.inf) for t in trained]
    return int(np.argmin(ends))


def _carried_at_the_end(trained: Trained) -> Carried:
    """Return what the layers carried along at a trial's last low point.

    The loss depends on it besides the parameters: it is held still, as Li et al. 2018 do with the
    running statistics of batch normalization.
    """
    return trained.carried[int(np.flatnonzero(_low(trained))[-1])]


def _thinned(low: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the points of all trials, every few of them where they are many."""
    points = np.concatenate(low)
    most = max(100, min(1000, MOST // points.shape[1]))
    return points[:: -(-len(points) // most)]


def _plane(
    problem: Problem, low: Sequence[NDArray[np.float64]], lowest: int, layout: Layout, view: View
) -> Plane:
    """Return the plane: around the way that ends lowest, where there is a choice."""
    if layout.size == 2:
        return of_two_parameters(layout)
    best = low[lowest]
    if view.directions == "random":
        if not best[-1].any():
            what = "the end is 0, and a random direction is scaled to its length"
            raise UserError("--directions", what, "use pca")
        return random(best[-1], layout, problem)
    if (best[0] == best[-1]).all():
        what = "no trial came to a lower loss than it started with: there is no way to show"
        raise UserError("--lr", what, "give smaller learning rates, or more steps")
    return principal(best[0], best[-1], _thinned(low), problem)


def _sides(
    trial: Trial, plane: Plane, low: Sequence[NDArray[np.float64]], view: View
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coordinates along both sides: the ranges asked for, or around all low points."""
    inside = [plane.coordinates(points) for points in low]
    if isinstance(trial.problem, Surface) and trial.problem.minima:
        inside.append(np.array(trial.problem.minima))
    if view.directions == "random" and len(plane.origin) > 2:
        inside.append(np.array([[-1.0, -1.0], [1.0, 1.0]]))  # as far as the weights are long
    corners = _box(np.concatenate(inside))
    ranges = (view.x_range or corners[0], view.y_range or corners[1])
    points = view.resolution or COARSE
    first, second = (np.linspace(low, high, points) for low, high in ranges)
    return first, second


def _box(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the ends of both sides of a box with some margin around points."""
    lower, upper = points.min(0), points.max(0)
    sizes = upper - lower
    widest = sizes.max() or 1.0
    half = np.maximum(sizes * (0.5 + MARGIN), 0.5 * NARROWEST * widest)
    middle = 0.5 * (lower + upper)
    return list(zip((middle - half).tolist(), (middle + half).tolist(), strict=True))


def _way(trial: Trial, trained: Trained, plane: Plane) -> Way:
    params = trained.params
    assert params is not None  # noqa: S101 -- they were kept
    with np.errstate(all="ignore"):  # the last point of a trial that diverged need not be finite
        return Way(
            trial,
            trained.steps,
            trained.losses,
            trained.diverged,
            plane.coordinates(params),
            plane.distances(params),
        )
