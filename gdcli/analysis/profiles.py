"""Performance profiles (Dolan and More 2002) and data profiles (More and Wild 2009) of methods.

A solver is a setting at its best learning rate; an instance is a problem with one seed. It is
solved at the first recorded point whose loss is within `tau` of the fall from the start to the
lowest loss that any trial has on that instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from gdcli.analysis.facts import Theory
from gdcli.analysis.quantiles import median
from gdcli.analysis.recorded_points import Points, read_points
from gdcli.analysis.rows import Value
from gdcli.analysis.trials import Trial, Trials

Instance = tuple[str, Value]  # a problem's identity and a seed
Steps = Sequence[tuple[float, float]]  # where a share rises, and to what


@dataclass(frozen=True)
class Source:
    """A run as profiles need it."""

    folder: Path
    run: Trials
    theory: Theory


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
    sources: Sequence[Source], tau: float, target_loss: float | None = None
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
    sources: Sequence[Source], tau: float, target_loss: float | None
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


def _instances(source: Source) -> Iterator[tuple[Trial, Instance]]:
    for trial in source.run.trials:
        facts = source.theory.of(source.run.names, trial.setting)
        if facts is not None:
            yield trial, (facts.identity, trial.seed)


def _solved(
    source: Source, targets: Mapping[Instance, float]
) -> Iterator[tuple[str, Trial, Instance, float]]:
    """Yield what every trial of an instance took: a failed one, inf."""
    epochs = {}
    known = {trial.id: targets[key] for trial, key in _instances(source) if key in targets}
    for points in read_points(source.folder, ("epoch", "train_loss")):
        if points.trial in known:
            epochs[points.trial] = _epochs(points, known[points.trial])
    for trial, instance in _instances(source):
        if instance in targets:
            yield _solver(source, trial), trial, instance, epochs.get(trial.id, inf)


def _epochs(points: Points, target: float) -> float:
    pairs = zip(points.values["epoch"], points.values["train_loss"], strict=True)
    return next((epoch for epoch, loss in pairs if loss <= target), inf)


def _solver(source: Source, trial: Trial) -> str:
    """Return what a setting says but of the problem: "minibatch 32 momentum momentum.beta=0.5"."""
    given = dict(zip(source.run.names, trial.setting, strict=True))
    method, size = given.pop("method"), given.pop("batch_size")
    optimizer, schedule = given.pop("optimizer"), given.pop("schedule")
    words = [method, size if method == "minibatch" else None, optimizer]
    words.append(None if schedule == "constant" else schedule)
    of_rules = {n: v for n, v in given.items() if "." in n or n in ("weight_decay", "clip_norm")}
    words += [f"{name}={value}" for name, value in of_rules.items() if value is not None]
    return " ".join(str(word) for word in words if word is not None)


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
