"""The loss over a plane of the parameters, and the paths of the trials across it.

The loss at many points is computed at once: each point is a trial of one stacked program. Random
directions have filter norm: they are scaled like the weights that they move (Li et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gdcli.catalog.catalog import name_of
from gdcli.datasets.contents import human
from gdcli.engine.batch import TrialBatch
from gdcli.engine.device import device_for
from gdcli.engine.estimate import allowance, stacks_of
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import (
    batch_limit,
    family_of,
    needs_torch,
    precision,
    program_for,
    starting_point,
)
from gdcli.engine.plan import plan_of
from gdcli.engine.sampling import stream
from gdcli.errors import GdcliError, RunError, UserError
from gdcli.experiment.grid import Trial
from gdcli.problem import Problem, Surface
from gdcli.process import lacks_memory, message_of
from gdcli.studies.training import (
    Buffers,
    Layout,
    MakeBar,
    Trained,
    device_of,
    layout_of,
    none_trained,
    train,
)

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment
    from gdcli.studies.options import Compute, View

    Vector = NDArray[np.float64]


def losses_at(  # noqa: PLR0913, PLR0917 -- what is asked, and where it is computed
    points: NDArray[np.float64],
    layout: Layout,
    trial: Trial,
    device: str,
    buffers: Buffers | None = None,
    memory: str | None = None,
) -> Iterator[NDArray[np.float64]]:
    """Yield the losses of a trial's problem at points, (count, parameters), some at a time.

    `device` is a resolved name; no more are computed at a time than fit into `memory`. A network's
    layers carry along what is given, or else what they start with, at every point.
    """
    whole = replace(trial, method="gd", batch_size=None)
    # A seed is what may have a starting point of its own.
    most = tuple(replace(trial, seed=seed) for seed in range(min(batch_limit(whole), len(points))))
    stack = TrialBatch(0, "", most)
    stacks = stacks_of(stack, examples_of(trial), allowance(memory, device), device)
    size = len(stacks[0].trials)
    tile = [replace(whole, seed=seed) for seed in range(size)]
    place = device_for(device, precision(trial), networks=needs_torch(trial.problem))
    program = program_for(tile, examples_of(trial), place, width=1)
    if buffers:
        program.load_buffers(buffers)
    program.set_step(
        program.quantize_from_step
    )  # as it is trained in the end: a network may be rounded
    for first in range(0, len(points), size):
        part = points[first : first + size]
        starts = [layout.split(point) for point in part]
        starts += starts[:1] * (size - len(part))  # every stack has the same shapes
        with np.errstate(all="ignore"):  # a loss may overflow: then it is inf, or nan
            values = place.host(program.training_loss(program.start(starts)))
        yield program.layout.gather(values)[: len(part)].astype(np.float64)


def normalised(
    direction: NDArray[np.float64], point: NDArray[np.float64], layout: Layout, problem: Problem
) -> NDArray[np.float64]:
    """Return the direction with every filter scaled to the norm of the point's.

    A filter is what feeds one output: of a network's layer a row of the weights, or a channel's
    kernels; of a linear model a column. What is not a matrix, such as the biases of a layer, is one
    filter as a whole.
    """
    scaled = direction.copy()
    places = layout.split(point)
    for name, way in layout.split(scaled).items():
        for mine, other in zip(filters(way, problem), filters(places[name], problem), strict=True):
            mine[...] *= np.linalg.norm(other) / (np.linalg.norm(mine) or 1.0)
    return scaled


def filters(array: NDArray[np.float64], problem: Problem) -> list[NDArray[np.float64]]:
    """Return the filters of a parameter, as views."""
    return [array] if array.ndim < 2 else family_of(problem).filters(array)


STRAIGHT = 1e-9  # of the way from start to end: what is off it by less is rounding


@dataclass(frozen=True)
class Plane:
    """The points origin + x axes[0] + y axes[1]."""

    origin: Vector  # (parameters,)
    axes: Vector  # (2, parameters)
    names: tuple[str, str]  # of the coordinates
    words: str  # what the plane is

    def coordinates(self, points: NDArray[np.floating]) -> Vector:
        """Return where points, (count, parameters), lie or are projected to: (count, 2)."""
        gaps = points - self.origin
        return np.asarray(np.linalg.solve(self.axes @ self.axes.T, self.axes @ gaps.T).T, float)

    def points(self, coordinates: Vector) -> Vector:
        """Return the parameters, (count, parameters), at coordinates (count, 2)."""
        points: Vector = self.origin + coordinates @ self.axes
        return points

    def distances(self, points: NDArray[np.floating]) -> Vector:
        """Return how far points, (count, parameters), are from the plane."""
        gaps = points - self.points(self.coordinates(points))
        lengths: Vector = np.sqrt((gaps * gaps).sum(1))
        return lengths

    def share(self, points: NDArray[np.floating]) -> float:
        """Return the part of the points' variance that the plane holds, from 0 to 1."""
        centred = points - points.mean(0)
        projected = self.points(self.coordinates(points))
        total = float((centred**2).sum())
        held = float(((projected - projected.mean(0)) ** 2).sum())
        return min(held / total, 1.0) if total else 1.0


def of_two_parameters(layout: Layout) -> Plane:
    """Return the plane of a problem that has no more than two parameters: all there is."""
    first, second = layout.names()
    return Plane(np.zeros(2), np.eye(2), (first, second), f"all parameters, {first} and {second}")


def principal(start: Vector, end: Vector, points: Vector, problem: Problem) -> Plane:
    """Return the plane through start and end in the direction in which the points differ most.

    The second direction is the first principal component of the points without their share
    in the first one. Where nothing is left it is drawn at random.
    """
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length
    left = _without(points - end, along)
    across = _first_component(left)
    through = "the plane through the lowest trial's start and end"
    words = f"{through}, in the direction in which the trials differ most"
    if across is None or np.linalg.norm(left, axis=1).max() < STRAIGHT * length:
        drawn = stream(name_of(problem), "directions").standard_normal(end.size)
        across = _without(drawn[None], along)[0]
        words = f"{through}, in a random direction"
    across /= np.linalg.norm(across)
    # An eigenvector may point either way.
    across *= np.sign(across[abs(across).argmax()])
    names = "along, from the end", "across"
    return Plane(end, np.stack([along, across]), names, words)


def _without(gaps: Vector, along: Vector) -> Vector:
    return gaps - (gaps @ along)[:, None] * along


def _first_component(gaps: Vector) -> Vector | None:
    """Return the direction of largest variance, by way of the smaller matrix of products."""
    gaps = gaps - gaps.mean(0)
    if not gaps.any():
        return None
    if len(gaps) > gaps.shape[1]:
        largest: Vector = np.linalg.eigh(gaps.T @ gaps)[1][:, -1]
        return largest
    return np.asarray(gaps.T @ np.linalg.eigh(gaps @ gaps.T)[1][:, -1])


def random(end: Vector, layout: Layout, problem: Problem) -> Plane:
    """Return the plane through a point along two random directions of filter norm."""
    rng = stream(name_of(problem), "directions")
    axes = [normalised(rng.standard_normal(end.size), end, layout, problem) for _ in range(2)]
    names = "direction 1", "direction 2"
    words = "two random directions around the lowest end, as long as its filters (Li et al. 2018)"
    return Plane(end, np.stack(axes), names, words)


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


def landscape(experiment: Experiment, view: View, machine: Compute, make_bar: MakeBar) -> Landscape:
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
    buffers = _buffers_at_the_end(trained[trials[best]])
    if buffers:
        words = f"{plane.words}, running statistics and other buffers as at the lowest trial's end"
        plane = replace(plane, words=words)
    fine = layout.size * examples_of(trials[0]).examples <= CHEAP
    view = replace(view, resolution=view.resolution or (FINE if fine else COARSE))
    xs, ys = _sides(trials[0], plane, low, view)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    device = device_of(trials[0], machine)
    points = plane.points(grid)
    parts = losses_at(points, layout, trials[0], device, buffers, machine.memory)
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


def _checked(trials: Sequence[Trial], machine: Compute) -> Layout:
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


def _buffers_at_the_end(trained: Trained) -> Buffers:
    """Return the buffers of the layers at a trial's last low point.

    The loss depends on it besides the parameters: it is held still, as Li et al. 2018 do with the
    running statistics of batch normalization.
    """
    return trained.buffers[int(np.flatnonzero(_low(trained))[-1])]


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
