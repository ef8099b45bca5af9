"""Which learning rate is best for each setting, over the seeds.

Besides: the best of each method and optimizer in several runs, and what rounding to a few bits
costs a network.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite
from typing import TYPE_CHECKING

from gdcli.analysis.quantiles import Spread, median, spread
from gdcli.measure import SETTINGS
from gdcli.optimizer import OF_EVERY_RULE
from gdcli.runs.csv_read import Value
from gdcli.runs.trials import TrialResult, Trials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gdcli.analysis.theory import RunConstants
    from gdcli.problem import Quantized

TIED = 1e-4  # of the fall from the start: two losses this close are the same


@dataclass(frozen=True)
class Candidate:
    """One setting at one learning rate: its trials, one for each seed."""

    lr: float
    trials: tuple[TrialResult, ...]

    @cached_property
    def ran(self) -> tuple[TrialResult, ...]:
        """The trials with a result: all but the failed ones."""
        return tuple(trial for trial in self.trials if trial.status != "failed")

    @cached_property
    def loss(self) -> Spread | None:
        """The final training losses over the seeds, a diverged trial's being inf.

        None where every trial failed.
        """
        return spread([trial.loss for trial in self.ran]) if self.ran else None

    @cached_property
    def median(self) -> float:
        """The median final training loss over the seeds: inf where there is none."""
        return self.loss.median if self.loss else inf

    @cached_property
    def fallen(self) -> float:
        """The median step at which nearly all of the fall was done; inf where it is not known."""
        steps = [trial.fact("fallen_step") for trial in self.ran]
        return median([inf if step is None else step for step in steps]) if steps else inf

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return sum(trial.status == "diverged" for trial in self.trials)

    def test_loss(self) -> float | None:
        """Return the median final test loss, as the training loss's; None: there is no test set."""
        if all(trial.final["test_loss"] is None for trial in self.ran):
            return None
        return median([trial.final_or_inf("test_loss") for trial in self.ran])

    def metric(self, name: str) -> float | None:
        """Return a metric's median over the trials that finished with one; None: none did."""
        values = [trial.final[name] for trial in self.ran if trial.status == "finished"]
        finite = [value for value in values if value is not None and isfinite(value)]
        return median(finite) if finite else None


@dataclass(frozen=True)
class Setting:
    """All that is fixed but the learning rate and the seed: one row of the tables."""

    values: tuple[Value, ...]
    candidates: tuple[Candidate, ...]  # by learning rate, the smallest first

    @cached_property
    def tied(self) -> tuple[Candidate, ...]:
        """The learning rates that end as low as the lowest: `tied`."""
        return tied(self.candidates)

    @cached_property
    def best(self) -> Candidate | None:
        """The best learning rate: `best`."""
        return best(self.candidates)

    @property
    def median(self) -> float:
        """The median final training loss at the best learning rate: inf where there is none."""
        return self.best.median if self.best else inf

    @property
    def trials(self) -> Iterable[TrialResult]:
        """The trials at every learning rate."""
        return (trial for candidate in self.candidates for trial in candidate.trials)


def tied(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates that end as low as the lowest: within TIED of the fall above it.

    The loss is the median final training loss over the seeds, and the fall is counted from the
    start. The result is empty where at every rate half of the seeds diverged or all failed.
    """
    lowest = min((candidate.median for candidate in candidates), default=inf)
    if not isfinite(lowest):
        return ()
    highest = lowest + _margin(candidates, lowest)
    return tuple(candidate for candidate in candidates if candidate.median <= highest)


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the candidate that gets there soonest, of those that end as low as the lowest.

    Equally soon: the one with the lower loss; equally low: the first. None: there is none.
    """
    return min(
        tied(candidates), key=lambda candidate: (candidate.fallen, candidate.median), default=None
    )


def _margin(candidates: Sequence[Candidate], loss: float) -> float:
    """Return the difference in loss that counts as none: TIED of the fall from the start."""
    starts = [
        trial.fact("initial_train_loss") for candidate in candidates for trial in candidate.trials
    ]
    known = [start for start in starts if start is not None and isfinite(start)]
    return TIED * max(0.0, median(known) - loss) if known else 0.0


def settings_of(trials: Sequence[TrialResult]) -> tuple[Setting, ...]:
    """Group trials by setting, in the order of the first of each, and by learning rate."""
    groups: dict[tuple[Value, ...], dict[float, list[TrialResult]]] = {}
    for trial in trials:
        groups.setdefault(trial.setting, {}).setdefault(trial.lr, []).append(trial)
    return tuple(
        Setting(values, tuple(Candidate(lr, tuple(group)) for lr, group in sorted(rates.items())))
        for values, rates in groups.items()
    )


KIND = ("method", "batch_size", "optimizer", "problem")


@dataclass(frozen=True)
class Best:
    """What one run has of a method and an optimizer: its best setting, and how all trials went."""

    run: str
    kind: tuple[Value, ...]  # method, batch size (of minibatch alone), optimizer, and what was
    # varied of the problem: losses of different problems have no lowest
    setting: Setting  # the one with the lowest median final training loss
    settings: str  # what else it says: the schedule, what was varied of the optimizer
    tried: int  # learning rates of all its settings, of which that is the best
    trials: int  # of all settings
    diverged: int
    failed: int


def best_of_each(runs: Mapping[str, Trials]) -> list[Best]:
    """Return the best setting of every kind in every run, kind by kind, the runs in order."""
    found = [best for name, run in runs.items() for best in _best(name, run)]
    kinds = dict.fromkeys(best.kind for best in found)
    return [best for kind in kinds for best in found if best.kind == kind]


def _best(name: str, run: Trials) -> Iterator[Best]:
    groups: dict[tuple[Value, ...], list[Setting]] = {}
    for setting in settings_of(run.trials):
        groups.setdefault(_kind(run.names, setting), []).append(setting)
    for kind, settings in groups.items():
        best = min(settings, key=lambda setting: setting.median)
        given = zip(run.names, best.values, strict=True)
        others = {n: v for n, v in given if n not in KIND and not _is_of_the_problem(n)}
        ends = Counter(trial.status for setting in settings for trial in setting.trials)
        counts = (ends.total(), ends["diverged"], ends["failed"])
        tried = sum(len(setting.candidates) for setting in settings)
        yield Best(name, kind, best, _said(others), tried, *counts)


def _kind(names: Sequence[str], setting: Setting) -> tuple[Value, ...]:
    given = dict(zip(names, setting.values, strict=True))
    size = given["batch_size"] if given["method"] == "minibatch" else None
    return given["method"], size, given["optimizer"], problem_of(names, setting) or None


def problem_of(names: Sequence[str], setting: Setting) -> str:
    """Return what a setting says of the problem: "condition=10", "" where nothing of it varies."""
    given = zip(names, setting.values, strict=True)
    return _said({name: value for name, value in given if _is_of_the_problem(name)})


def _is_of_the_problem(name: str) -> bool:
    """Return whether a setting is an option of the problem that was varied."""
    own = {column.name for column in SETTINGS}
    return name not in (*own, *OF_EVERY_RULE) and "." not in name


def _said(values: Mapping[str, Value]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None)


OPTIONS = ("quantize", "weight_bits", "activation_bits", "float_epochs")


def quantization_rows(
    run: Trials, settings: Sequence[Setting], theory: RunConstants
) -> list[Mapping[str, Value]]:
    """Return one row a setting: what the network scores in floats, rounded, and its bytes.

    A score is the median accuracy, or loss, over the seeds at the best learning rate, on the test
    examples if there are any. A network that is rounded while it trains has no score in floats:
    that of the same setting without rounding stands there. The drop is positive where rounding
    makes the score worse.
    """
    held = [(setting, theory.of(run.names, setting.values)) for setting in settings]
    rounded = [(setting, facts.quantized) for setting, facts in held if facts and facts.quantized]
    score = _score(run)
    floats = {
        _rest(run, setting): value
        for setting, found in reversed(rounded)
        if found.how != "qat" and (value := _measured(setting, score)) is not None
    }
    return [_row(run, setting, found, score, floats) for setting, found in rounded]


def _score(run: Trials) -> str:
    """Return the measure that networks are judged by: "test_accuracy", or what there is of it."""
    names = ("test_accuracy", "train_accuracy")
    tests = any(trial.final["test_loss"] is not None for trial in run.trials)
    known = (name for name in names if name in run.metrics and (tests or name[:4] != "test"))
    return next(known, "test_loss" if tests else "train_loss")


def _rest(run: Trials, setting: Setting) -> tuple[Value, ...]:
    """Return the values of a setting that have nothing to do with rounding."""
    pairs = zip(run.names, setting.values, strict=True)
    return tuple(value for name, value in pairs if name not in OPTIONS)


def _measured(setting: Setting, name: str) -> float | None:
    if setting.best is None:
        return None
    if name == "test_loss":
        return setting.best.test_loss()
    return setting.median if name == "train_loss" else setting.best.metric(name)


def _row(
    run: Trials,
    setting: Setting,
    found: Quantized,
    score: str,
    floats: Mapping[tuple[Value, ...], float],
) -> Mapping[str, Value]:
    part, _, measure = score.partition("_")
    value = None
    if found.how != "none" and f"{part}_quantized_{measure}" in run.metrics:
        value = setting.best.metric(f"{part}_quantized_{measure}") if setting.best else None
    whole = floats.get(_rest(run, setting))
    worse = 1 if measure == "loss" else -1
    drop = None
    if value is not None and whole is not None:
        drop = worse * (value - whole) + 0.0  # 0 instead of -0
    names = zip(run.names, setting.values, strict=True)
    return {
        **{name: value for name, value in names if name not in OPTIONS[:3]},
        "quantize": found.how,
        "weight_bits": found.weight_bits,
        "activation_bits": found.activation_bits,
        "lr": setting.best.lr if setting.best else None,
        f"float_{score}": whole,
        f"quantized_{score}": value,
        "drop": drop,
        "float_bytes": found.float_bytes,
        "bytes": found.bytes,
    }
