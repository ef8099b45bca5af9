"""When trials reach a target: times to a loss or a metric, and the share of problems solved.

In a performance profile (Dolan and More 2002) or data profile (More and Wild 2009) a solver is a
setting at its best learning rate, and an instance a problem with one seed. It is solved at the
first recorded point whose loss is within `tau` of the fall from the start to the lowest loss that
any trial has on that instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path

from gdcli.analysis.best import Candidate, Setting
from gdcli.analysis.quantiles import median
from gdcli.analysis.theory import RunConstants
from gdcli.numbers import settings_in_words
from gdcli.optimizer import OF_EVERY_RULE
from gdcli.runs.csv_read import Value
from gdcli.runs.trials import Curve, TrialResult, Trials, read_curves, seconds_of

SOLVER = ("method", "batch_size", "optimizer", "schedule", *OF_EVERY_RULE)


@dataclass(frozen=True)
class Target:
    """A value of a column of curves.csv."""

    column: str
    value: float
    own: bool = False  # the run's, at which the trials ended: its summary has the steps


@dataclass(frozen=True)
class TimeToTarget:
    """What a trial took to its target: inf where it was never there."""

    steps: float = inf
    epochs: float = inf
    examples: float = inf
    seconds: float | None = inf  # its share of its batch's; None: that is not known


@dataclass(frozen=True)
class Reached:
    """A setting at the learning rate at which it is at the target after the fewest examples."""

    setting: Setting
    candidate: Candidate | None  # None: at no rate most seeds are
    reached: int  # trials there
    cost: TimeToTarget  # medians over the seeds


def costs(folder: Path, run: Trials, target: Target) -> dict[str, TimeToTarget]:
    """Return what every trial with a curve took, by id: to the first recorded point at the target.

    A metric is at its target once it has come there from the side on which most trials start; a
    loss once it is as low. Raises UserError where the column is not there.
    """
    seconds = seconds_of(folder, run)
    curves = list(read_curves(folder, ("epoch", "examples", target.column)))
    if target.own:
        at = {t.id: t.fact("steps_to_target") for t in run.trials}
        places = [_place(points, at.get(points.trial)) for points in curves]
    else:
        rising = _rises(curves, target)
        places = [_first(points.values[target.column], target, rising=rising) for points in curves]
    pairs = zip(curves, places, strict=True)
    return {points.trial: _cost(points, place, seconds) for points, place in pairs}


def _place(points: Curve, step: float | None) -> int | None:
    """Return where a step was recorded: the engine compared losses in their own precision."""
    return None if step is None else points.steps.index(int(step))


def _rises(curves: Sequence[Curve], target: Target) -> bool:
    """Return whether most trials start below the target of a metric."""
    if target.column.endswith("loss"):
        return False
    starts = [points.values[target.column][0] for points in curves]
    known = [start for start in starts if not isnan(start)]
    return 2 * sum(start < target.value for start in known) > len(known)


def _first(values: Sequence[float], target: Target, *, rising: bool) -> int | None:
    sides = (v >= target.value if rising else v <= target.value for v in values)
    return next((place for place, there in enumerate(sides) if there), None)


def _cost(points: Curve, place: int | None, seconds: Mapping[str, float]) -> TimeToTarget:
    if place is None:
        return TimeToTarget()
    steps, whole = points.steps[place], seconds.get(points.trial)
    share = steps / points.steps[-1] if points.steps[-1] else 0.0
    return TimeToTarget(
        steps,
        points.values["epoch"][place],
        points.values["examples"][place],
        None if whole is None else whole * share,
    )


def times_to_target(
    settings: Sequence[Setting], taken: Mapping[str, TimeToTarget]
) -> Iterator[Reached]:
    """Yield every setting at the learning rate with the lowest median of examples."""
    for setting in settings:
        candidate = min(
            setting.candidates, key=lambda candidate: _median(candidate.ran, taken).examples
        )
        cost = _median(candidate.ran, taken)
        there = sum(taken.get(trial.id, TimeToTarget()).steps < inf for trial in candidate.ran)
        yield Reached(setting, candidate if cost.examples < inf else None, there, cost)


def _median(trials: Sequence[TrialResult], taken: Mapping[str, TimeToTarget]) -> TimeToTarget:
    held = [taken.get(trial.id, TimeToTarget()) for trial in trials]
    if not held:
        return TimeToTarget()
    seconds = [cost.seconds for cost in held if cost.seconds is not None]
    return TimeToTarget(
        median([cost.steps for cost in held]),
        median([cost.epochs for cost in held]),
        median([cost.examples for cost in held]),
        median(seconds) if len(seconds) == len(held) else None,
    )


Instance = tuple[str, Value]  # a problem's identity and a seed
Steps = Sequence[tuple[float, float]]  # where a share rises, and to what


@dataclass(frozen=True)
class ProfiledRun:
    """A run as profiles need it."""

    folder: Path
    run: Trials
    theory: RunConstants


@dataclass(frozen=True)
class Profile:
    """One solver over all instances."""

    solver: str
    epochs: Mapping[Instance, float]  # passes over the data to solve it: inf where it is not
    ratios: Mapping[Instance, float]  # over those of the solver that took the fewest

    @property
    def solved(self) -> float:
        """The share of the instances that it solves."""
        return self.within(inf)

    def within(self, ratio: float) -> float:
        """Return the share of instances solved in at most `ratio` times the fewest epochs."""
        return _share(self.ratios.values(), ratio)

    @property
    def performance(self) -> Steps:
        """The performance profile: the share solved over the ratio, from 1 on."""
        return _steps(self.ratios.values(), 1.0)

    @property
    def data(self) -> Steps:
        """The data profile: the share solved over the epochs, from 0 on."""
        return _steps(self.epochs.values(), 0.0)


def profiles(
    sources: Sequence[ProfiledRun], tau: float, target_loss: float | None = None
) -> list[Profile]:
    """Return the profile of every solver, in the order of the first trial of each.

    An instance that nobody improves on from the start says nothing, and is left out.
    `target_loss` takes the place of `tau`, for all instances. Of a solver's learning rates that
    with the lowest median of epochs counts, problem by problem.
    """
    targets = _targets(sources, tau, target_loss)
    taken: dict[str, dict[str, dict[float, dict[Instance, float]]]] = {}
    for source in sources:
        for solver, trial, instance, epochs in _solved(source, targets):
            rates = taken.setdefault(solver, {}).setdefault(instance[0], {})
            seeds = rates.setdefault(trial.lr, {})
            # The same trial may be in two runs.
            seeds[instance] = min(epochs, seeds.get(instance, inf))
    best = {solver: dict(_at_best(problems)) for solver, problems in taken.items()}
    fewest = {
        instance: min(held.get(instance, inf) for held in best.values()) for instance in targets
    }
    return [_profile(solver, held, fewest) for solver, held in best.items()]


def _targets(
    sources: Sequence[ProfiledRun], tau: float, target_loss: float | None
) -> dict[Instance, float]:
    """Return the loss at which each instance is solved."""
    ends: dict[Instance, tuple[float, float]] = {}
    for source in sources:
        for trial, instance in _instances(source):
            start = trial.fact("initial_train_loss")
            lowest = trial.fact("best_train_loss")
            if start is not None and lowest is not None and lowest < start < inf:
                held = ends.get(instance, (start, inf))
                ends[instance] = held[0], min(held[1], lowest)
    if target_loss is not None:
        return dict.fromkeys(ends, target_loss)
    return {key: low + tau * (start - low) for key, (start, low) in ends.items()}


def _instances(source: ProfiledRun) -> Iterator[tuple[TrialResult, Instance]]:
    for trial in source.run.trials:
        facts = source.theory.of(source.run.names, trial.setting)
        if facts is not None:
            yield trial, (facts.identity, trial.seed)


def _solved(
    source: ProfiledRun, targets: Mapping[Instance, float]
) -> Iterator[tuple[str, TrialResult, Instance, float]]:
    """Yield what every trial of an instance took: a failed one, inf."""
    epochs = {}
    known = {trial.id: targets[key] for trial, key in _instances(source) if key in targets}
    for points in read_curves(source.folder, ("epoch", "train_loss")):
        if points.trial in known:
            epochs[points.trial] = _epochs(points, known[points.trial])
    for trial, instance in _instances(source):
        if instance in targets:
            yield _solver(source, trial), trial, instance, epochs.get(trial.id, inf)


def _epochs(points: Curve, target: float) -> float:
    pairs = zip(points.values["epoch"], points.values["train_loss"], strict=True)
    return next((epoch for epoch, loss in pairs if loss <= target), inf)


def _solver(source: ProfiledRun, trial: TrialResult) -> str:
    """Return what a setting says but of the problem: "minibatch 32 momentum momentum.beta=0.5"."""
    given = dict(zip(source.run.names, trial.setting, strict=True))
    of_rules = {n: v for n, v in given.items() if n in SOLVER or "." in n}
    return settings_in_words(of_rules, schedule=given["schedule"] != "constant")


def _at_best(
    problems: Mapping[str, Mapping[float, Mapping[Instance, float]]],
) -> Iterator[tuple[Instance, float]]:
    """Yield the epochs of each instance at the problem's best learning rate."""
    for rates in problems.values():
        best = min(sorted(rates), key=lambda lr: median(list(rates[lr].values())))
        yield from rates[best].items()


def _profile(
    solver: str, held: Mapping[Instance, float], fewest: Mapping[Instance, float]
) -> Profile:
    """Return a solver's profile; an instance that it has no trial of is not solved."""
    epochs = {instance: held.get(instance, inf) for instance in fewest}
    ratios = {i: _ratio(taken, fewest[i]) for i, taken in epochs.items()}
    return Profile(solver, epochs, ratios)


def _ratio(taken: float, fewest: float) -> float:
    if taken == inf:
        return inf
    return taken / fewest if fewest else 1.0 if taken == 0 else inf


def _share(values: Iterable[float], limit: float) -> float:
    held = list(values)
    there = [value for value in held if value <= limit and value < inf]
    return len(there) / len(held) if held else 0.0


def _steps(values: Iterable[float], first: float) -> Steps:
    """Return where the share of the values rises, from `first` on."""
    held = sorted(values)
    places = sorted({first, *(value for value in held if first < value < inf)})
    return [(place, _share(held, place)) for place in places]
