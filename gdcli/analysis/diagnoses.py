"""The diagnosis of every trial of a run, from its summary and what its manifest knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from gdcli.analysis.diagnosis.diagnosis import DEFAULT, Diagnosis, diagnose, words
from gdcli.analysis.diagnosis.evidence import Descent, Evidence, Known, Observed
from gdcli.analysis.expectation import Expectation, expectation, optimizer_of, schedule_of
from gdcli.analysis.theory import (
    best_momentum,
    condition_number,
    has_too_much_momentum,
    limit_formula,
)
from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.nesterov import Nesterov

if TYPE_CHECKING:
    from gdcli.analysis.diagnosis.limits import Limits
    from gdcli.analysis.facts import Facts, Theory
    from gdcli.analysis.rows import Value
    from gdcli.analysis.trials import Trial, Trials
    from gdcli.optimizer import Optimizer

LOOKS = 64  # places of a schedule that its largest multiplier is looked for at


class Diagnoses:
    """What is said of each trial of a run; each is made when it is first asked for."""

    def __init__(self, run: Trials, theory: Theory | None, limits: Limits = DEFAULT) -> None:
        """Take a run's trials, what its manifest knows, if it has one, and the limits."""
        self.run, self.theory, self.limits = run, theory, limits
        self._found: dict[str, Diagnosis] = {}
        self._words: dict[str, tuple[str | None, str | None]] = {}
        self._known = cache(self._known_of)
        self._descent = cache(self._descent_of)

    def of(self, trial: Trial) -> Diagnosis:
        """Return what is said of a trial."""
        if trial.id not in self._found:
            self._found[trial.id] = diagnose(self.evidence(trial), self.limits)
        return self._found[trial.id]

    def words(self, trial: Trial) -> tuple[str | None, str | None]:
        """Return a trial's state and the quality that leads: less than `of`, and sooner."""
        if trial.id not in self._words:
            self._words[trial.id] = words(self.evidence(trial), self.limits)
        return self._words[trial.id]

    def all(self) -> Iterator[tuple[Trial, Diagnosis]]:
        """Yield every trial and what is said of it, in the run's order."""
        for trial in self.run.trials:
            yield trial, self.of(trial)

    def evidence(self, trial: Trial) -> Evidence:
        """Return what a diagnosis of a trial starts from."""
        observed = Observed.of(trial.facts)
        descent = self._descent(trial.setting, trial.lr, _horizon(trial))
        return Evidence(observed, descent, self._known(trial.setting, trial.lr))

    def expected(self, setting: tuple[Value, ...], lr: float) -> Expectation | None:
        """Return what theory expects of a setting at a learning rate."""
        if self.theory is None:
            return None
        given, facts = self._given(setting), self.theory.of(self.run.names, setting)
        return expectation(given, lr, facts, self.theory.goals)

    def _given(self, setting: tuple[Value, ...]) -> Mapping[str, Value]:
        return dict(zip(self.run.names, setting, strict=True))

    def _descent_of(self, setting: tuple[Value, ...], lr: float, horizon: int | None) -> Descent:
        given, goals = self._given(setting), self.theory.goals if self.theory else None
        rule = optimizer_of(given)
        return Descent(
            lr,
            str(given["method"]),
            str(given["optimizer"]),
            rule.beta if isinstance(rule, Momentum | Nesterov) else None,
            str(given["schedule"]),
            _end_multiplier(given, horizon),
            rule.weight_decay if rule else 0.0,
            rule.clip_norm if rule else None,
            self._steps_per_epoch(setting),
            horizon,
            goals.tol if goals else None,
            goals.target_loss if goals else None,
        )

    def _steps_per_epoch(self, setting: tuple[Value, ...]) -> int:
        size = self._given(setting)["batch_size"]
        facts = self.theory.of(self.run.names, setting) if self.theory else None
        if self.theory is None or facts is None or not isinstance(size, int) or size < 1:
            return 1
        whole, rest = divmod(facts.examples, size)
        return max(1, whole + (rest > 0 and self.theory.goals.remainder == "keep"))

    def _known_of(self, setting: tuple[Value, ...], lr: float) -> Known:
        facts = self.theory.of(self.run.names, setting) if self.theory else None
        if facts is None:
            return Known()
        expected, curvature, base = self.expected(setting, lr), facts.curvature, facts.baseline
        limit = expected.limit if expected else None
        rule = expected.optimizer if expected else None
        least = facts.minimum if facts.minimum is not None else facts.infimum
        return Known(
            minimum=least,
            attained=facts.minimum is not None,
            bound=facts.bound,
            convex=facts.convex,
            network=facts.network,
            classifier=bool(base and base.majority is not None),
            baseline_loss=base.train_loss if base else None,
            majority_train=base.train_share if base else None,
            majority=base.name if base else None,
            majority_recall=base.train_recall if base else None,
            limit=limit.lr if limit else None,
            limit_exact=limit.exact if limit else False,
            limit_formula=limit_formula(rule) if rule else "2/L",
            rate=expected.rate if expected else None,
            floor=expected.floor.excess if expected and expected.floor else None,
            condition=condition_number(curvature) if curvature else None,
            best_beta=_best_beta(rule, lr, facts),
            scaled=None if facts.scale is None else facts.scale != "none",
        )


def _horizon(trial: Trial) -> int | None:
    """Return the steps of the budget; None of a trial that did not spend it."""
    steps = trial.fact("steps")
    spent = trial.status == "finished" and not trial.facts.get("stopped_by")
    return int(steps) if spent and steps else None


def _end_multiplier(given: Mapping[str, Value], horizon: int | None) -> float:
    """Return a schedule's last multiplier over its largest; 1 where it is not known."""
    schedule = schedule_of(given)
    if schedule is None or not horizon:
        return 1.0
    places = {horizon - 1, *(horizon * k // LOOKS for k in range(LOOKS))}
    largest = max(schedule.multiplier(step, horizon) for step in places)
    return schedule.multiplier(horizon - 1, horizon) / largest if largest > 0 else 1.0


def _best_beta(rule: Optimizer | None, lr: float, facts: Facts) -> float | None:
    """Return the momentum that is fastest at this rate, where less than the setting's is."""
    curvature = facts.curvature
    if rule is None or curvature is None or not has_too_much_momentum(rule, lr, curvature):
        return None
    best = best_momentum(rule, lr, curvature)
    return best.beta if best else None
