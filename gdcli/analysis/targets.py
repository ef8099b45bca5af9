"""Time to target: when each trial first was at a loss or a metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path

from gdcli.analysis.quantiles import median
from gdcli.analysis.recorded_points import Points, read_points
from gdcli.analysis.results import Cell, Setting
from gdcli.analysis.timings import seconds_of
from gdcli.analysis.trials import Trial, Trials


@dataclass(frozen=True)
class Target:
    """A value of a column of curves.csv."""

    column: str
    value: float
    own: bool = False  # the run's, at which the trials ended: its summary has the steps


@dataclass(frozen=True)
class Cost:
    """What a trial took to its target: inf where it was never there."""

    steps: float = inf
    epochs: float = inf
    examples: float = inf
    seconds: float | None = inf  # its share of its batch's; None: that is not known


@dataclass(frozen=True)
class Reached:
    """A setting at the learning rate at which it is at the target after the fewest examples."""

    setting: Setting
    cell: Cell | None  # None: at no rate most seeds are
    reached: int  # trials there
    cost: Cost  # medians over the seeds


def costs(folder: Path, run: Trials, target: Target) -> dict[str, Cost]:
    """Return what every trial with a curve took, by id: to the first recorded point at the target.

    A metric is at its target once it has come there from the side on which most trials start; a
    loss once it is as low. Raises UserError where the column is not there.
    """
    seconds = seconds_of(folder, run)
    curves = list(read_points(folder, ("epoch", "examples", target.column)))
    if target.own:
        at = {t.id: t.fact("steps_to_target") for t in run.trials}
        places = [_place(points, at.get(points.trial)) for points in curves]
    else:
        rising = _rises(curves, target)
        places = [_first(points.values[target.column], target, rising=rising) for points in curves]
    pairs = zip(curves, places, strict=True)
    return {points.trial: _cost(points, place, seconds) for points, place in pairs}


def _place(points: Points, step: float | None) -> int | None:
    """Return where a step was recorded: the engine compared losses in their own precision."""
    return None if step is None else points.steps.index(int(step))


def _rises(curves: Sequence[Points], target: Target) -> bool:
    """Return whether most trials start below the target of a metric."""
    if target.column.endswith("loss"):
        return False
    starts = [points.values[target.column][0] for points in curves]
    known = [start for start in starts if not isnan(start)]
    return 2 * sum(start < target.value for start in known) > len(known)


def _first(values: Sequence[float], target: Target, *, rising: bool) -> int | None:
    sides = (v >= target.value if rising else v <= target.value for v in values)
    return next((place for place, there in enumerate(sides) if there), None)


def _cost(points: Points, place: int | None, seconds: Mapping[str, float]) -> Cost:
    if place is None:
        return Cost()
    steps, whole = points.steps[place], seconds.get(points.trial)
    share = steps / points.steps[-1] if points.steps[-1] else 0.0
    return Cost(
        steps,
        points.values["epoch"][place],
        points.values["examples"][place],
        None if whole is None else whole * share,
    )


def times_to_target(settings: Sequence[Setting], taken: Mapping[str, Cost]) -> Iterator[Reached]:
    """Yield every setting at the learning rate with the lowest median of examples."""
    for setting in settings:
        cell = min(setting.cells, key=lambda cell: _median(cell.ran, taken).examples)
        cost = _median(cell.ran, taken)
        there = sum(taken.get(trial.id, Cost()).steps < inf for trial in cell.ran)
        yield Reached(setting, cell if cost.examples < inf else None, there, cost)


def _median(trials: Sequence[Trial], taken: Mapping[str, Cost]) -> Cost:
    held = [taken.get(trial.id, Cost()) for trial in trials]
    if not held:
        return Cost()
    seconds = [cost.seconds for cost in held if cost.seconds is not None]
    return Cost(
        median([cost.steps for cost in held]),
        median([cost.epochs for cost in held]),
        median([cost.examples for cost in held]),
        median(seconds) if len(seconds) == len(held) else None,
    )
