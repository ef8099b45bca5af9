"""The diagnosis of each trial of a run, and of each learning rate of a setting beside theory.

A trial's diagnosis is made of its facts in summary.csv and of what manifest.json knows of the
problem. Where theory knows a rate of convergence, a noise floor or the edge of stability (Cohen et
al., ICLR 2021), the curves are measured to stand beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import takewhile
from math import exp, isfinite, isnan, log
from statistics import linear_regression
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from gdcli.analysis.best import Candidate, Setting, settings_of
from gdcli.analysis.diagnosis.diagnosis import DEFAULT, Diagnosis, diagnose, words
from gdcli.analysis.diagnosis.evidence import DescentSettings, Evidence, Known, Observed
from gdcli.analysis.diagnosis.verdict import states
from gdcli.analysis.quantiles import last_quarter, median
from gdcli.analysis.theory import (
    Expectation,
    ProblemConstants,
    RunConstants,
    best_momentum,
    condition_number,
    expectation,
    has_too_much_momentum,
    limit_formula,
    optimizer_of,
    schedule_of,
)
from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.nesterov import Nesterov
from gdcli.runs.csv_read import Value
from gdcli.runs.manifest import read as read_manifest
from gdcli.runs.trials import Curve, TrialResult, read_curves, read_trials

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.analysis.diagnosis.verdict import Limits
    from gdcli.optimizer import Rule
    from gdcli.runs.trials import Trials

CHANGING = "of several settings"  # the schedule of a run that changes more than the learning rate
LOOKS = 64  # places of a schedule that its largest multiplier is looked for at


class Diagnoses:
    """What is said of each trial of a run; each is made when it is first asked for."""

    def __init__(self, run: Trials, theory: RunConstants | None, limits: Limits = DEFAULT) -> None:
        """Take a run's trials, what its manifest knows, if it has one, and the limits."""
        self.run, self.theory, self.limits = run, theory, limits
        self.figures: dict[str, CurveFigures] = {}  # of the curves that were read, by trial
        self._found: dict[str, Diagnosis] = {}
        self._words: dict[str, tuple[str | None, str | None]] = {}
        self._known = cache(self._known_of)
        self._descent = cache(self._descent_of)

    @cached_property
    def settings(self) -> Sequence[Setting]:
        """The settings of the trials, in their order."""
        return settings_of(self.run.trials)

    def of(self, trial: TrialResult) -> Diagnosis:
        """Return what is said of a trial."""
        if trial.id not in self._found:
            self._found[trial.id] = diagnose(self.evidence(trial), self.limits)
        return self._found[trial.id]

    def words(self, trial: TrialResult) -> tuple[str | None, str | None]:
        """Return a trial's state and the quality that leads: less than `of`, and sooner."""
        if trial.id not in self._words:
            self._words[trial.id] = words(self.evidence(trial), self.limits)
        return self._words[trial.id]

    def all(self) -> Iterator[tuple[TrialResult, Diagnosis]]:
        """Yield every trial and what is said of it, in the run's order."""
        for trial in self.run.trials:
            yield trial, self.of(trial)

    def evidence(self, trial: TrialResult) -> Evidence:
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

    def _descent_of(
        self, setting: tuple[Value, ...], lr: float, horizon: int | None
    ) -> DescentSettings:
        given, goals = self._given(setting), self.theory.goals if self.theory else None
        rule = optimizer_of(given)
        # The first of several rules has the weight decay and the clipping of the whole.
        first = {**given, "optimizer": str(given["optimizer"]).partition("+")[0]}
        whole = rule or optimizer_of(first)
        varied = [name for name in ("steps", "epochs") if given.get(name) is not None]
        return DescentSettings(
            lr,
            str(given["method"]),
            str(given["optimizer"]),
            rule.beta if isinstance(rule, Momentum | Nesterov) else None,
            CHANGING if goals and goals.schedule_for else str(given["schedule"]),
            _end_multiplier(given, horizon),
            whole.weight_decay if whole else 0.0,
            whole.clip_norm if whole else None,
            self._steps_per_epoch(setting),
            horizon,
            goals.tol if goals else None,
            goals.target_loss if goals else None,
            budget=varied[0] if varied else goals.budget if goals else "epochs",
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
        steady = self.theory is not None and not self.theory.goals.schedule_for
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
            best_beta=_best_beta(rule, lr, facts) if steady else None,
            scaled=None if facts.scale is None else facts.scale != "none",
        )


def _horizon(trial: TrialResult) -> int | None:
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


def _best_beta(rule: Rule | None, lr: float, facts: ProblemConstants) -> float | None:
    """Return the momentum that is fastest at this rate, where less than the setting's is."""
    curvature = facts.curvature
    if rule is None or curvature is None or not has_too_much_momentum(rule, lr, curvature):
        return None
    best = best_momentum(rule, lr, curvature)
    return best.beta if best else None


WORDS = (*states(), "failed")  # of two as frequent the first is named

Said: TypeAlias = tuple[str, str | None]  # a state and the quality that leads


@dataclass(frozen=True)
class CurveFigures:
    """What one trial's curve shows beside theory; None where there is nothing to compare."""

    rate: float | None = None
    level: float | None = None  # the mean of the last quarter's losses
    sharpness: float | None = None  # the mean of the last quarter's


@dataclass(frozen=True)
class RateDiagnosis:
    """One setting at one learning rate, and what is to be said of it."""

    setting: Setting
    candidate: Candidate
    given: Mapping[str, Value]  # the setting, by name
    facts: ProblemConstants | None
    expected: Expectation | None
    groups: list[tuple[Said, list[TrialResult]]]  # the trials that the same is said of: `_groups`
    diagnoses: Diagnoses
    rate: float | None = None  # measured: the median over seeds
    excess: float | None = None  # measured: the mean level over seeds less the minimum
    sharpness: float | None = None  # measured late: the median over the trials with the state

    @property
    def state(self) -> str:
        """The state of the largest group."""
        return self.groups[0][0][0]

    @property
    def lost(self) -> bool:
        """Whether most trials failed, or have no loss that is worth a comparison."""
        return self.state == "failed" or states()[self.state].lost

    @cached_property
    def states(self) -> Counter[str]:
        """The trials by state, those that failed among them."""
        found: Counter[str] = Counter()
        for (state, _), held in self.groups:
            found[state] += len(held)
        return found

    @cached_property
    def example(self) -> TrialResult:
        """The trial of the largest group with its median loss, or step at which it blew up."""
        own = sorted(self.of_the_state(), key=lambda t: (t.loss, t.fact("diverged_at") or 0.0))
        return own[(len(own) - 1) // 2]

    @property
    def typical(self) -> Diagnosis | None:
        """What is said of the example; None: it failed."""
        return None if self.example.status == "failed" else self.diagnoses.of(self.example)

    def fact(self, name: str) -> float | None:
        """Return a fact's median over the trials that have the state; None: none has it."""
        values = (trial.fact(name) for trial in self.of_the_state())
        known = [value for value in values if value is not None and not isnan(value)]
        return median(known) if known else None

    def of_the_state(self) -> list[TrialResult]:
        """Return the trials of the largest group."""
        return self.groups[0][1]


def rate_diagnoses(
    folder: Path, diagnoses: Diagnoses, candidates: Sequence[tuple[Setting, Candidate]]
) -> list[RateDiagnosis]:
    """Return the diagnoses of some candidates of a run, in their order.

    curves.csv is read only where theory has something to compare a curve with that was not read.
    """
    curves = CurveComparison(
        [rate_diagnosis(diagnoses, setting, candidate) for setting, candidate in candidates]
    )
    if curves.columns:
        few = 2 * len(curves.wanted) < len(diagnoses.run.trials)  # the others are passed over
        points = read_curves(folder, curves.columns, curves.wanted if few else None)
        for _ in curves.measuring(points):
            pass
    return curves.measured()


def rate_diagnosis(diagnoses: Diagnoses, setting: Setting, candidate: Candidate) -> RateDiagnosis:
    """Return the diagnosis of one candidate, without what its curves show."""
    names, theory = diagnoses.run.names, diagnoses.theory
    return RateDiagnosis(
        setting,
        candidate,
        dict(zip(names, setting.values, strict=True)),
        theory.of(names, setting.values) if theory else None,
        diagnoses.expected(setting.values, candidate.lr),
        _groups(diagnoses, candidate),
        diagnoses,
    )


def _groups(diagnoses: Diagnoses, candidate: Candidate) -> list[tuple[Said, list[TrialResult]]]:
    """Return the trials by what is said of them, the largest group first; of equals as in WORDS.

    Trials that failed have the state alone.
    """
    found: dict[Said, list[TrialResult]] = {}
    for trial in candidate.trials:
        state, quality = diagnoses.words(trial)
        found.setdefault((state or "failed", quality), []).append(trial)
    order = {group: (-len(held), WORDS.index(group[0])) for group, held in found.items()}
    return sorted(found.items(), key=lambda item: order[item[0]])


class CurveComparison:
    """Diagnoses whose curves are still to be compared with theory, by whoever reads curves.csv."""

    def __init__(self, told: Sequence[RateDiagnosis]) -> None:
        """Take the diagnoses, all of one run."""
        self._told = told
        self._measured = told[0].diagnoses.figures if told else {}
        compared = {
            trial.id: trial
            for diagnosis in told
            for trial in _compared(diagnosis)
            if trial.id not in self._measured
        }
        sharpness = any(map(_has_sharpness, compared.values()))
        self.wanted = compared.keys()  # the trials
        names = ("train_loss", "grad_norm", *(("sharpness",) if sharpness else ()))
        self.columns = names if compared else ()  # of curves.csv

    def measuring(self, curves: Iterable[Curve]) -> Iterator[Curve]:
        """Yield curves with the values of `columns`, measuring those that are wanted."""
        for points in curves:
            if points.trial in self.wanted and points.trial not in self._measured:
                self._measured[points.trial] = _measure(points)
            yield points

    def measured(self) -> list[RateDiagnosis]:
        """Return the diagnoses with what was measured."""
        return [_with_measured(diagnosis, self._measured) for diagnosis in self._told]


def _compared(diagnosis: RateDiagnosis) -> Iterator[TrialResult]:
    """Yield the trials of a candidate whose curve theory says something of."""
    expected = diagnosis.expected
    if expected and (expected.rate is not None or expected.floor is not None):
        yield from diagnosis.candidate.ran
    else:
        yield from (trial for trial in diagnosis.candidate.ran if _has_sharpness(trial))


def _has_sharpness(trial: TrialResult) -> bool:
    return trial.fact("final_sharpness") is not None


def _measure(points: Curve) -> CurveFigures:
    rate = measured_rate(points.steps, points.values["grad_norm"])
    losses, sharpness = points.values["train_loss"], points.values.get("sharpness", ())
    return CurveFigures(rate, _level(losses), _level(sharpness))


def _level(values: Sequence[float]) -> float | None:
    """Return the mean of the last quarter: what swings around a level is at it."""
    last = last_quarter(values) if len(values) > 1 else ()
    return sum(last) / len(last) if last else None


def _with_measured(diagnosis: RateDiagnosis, measured: Mapping[str, CurveFigures]) -> RateDiagnosis:
    """Return a diagnosis with the figures that stand beside those of theory."""
    late = [measured[t.id].sharpness for t in diagnosis.of_the_state() if t.id in measured]
    swings = [value for value in late if value is not None and isfinite(value)]
    diagnosis = replace(diagnosis, sharpness=median(swings) if swings else None)
    expected, facts = diagnosis.expected, diagnosis.facts
    found = [measured[trial.id] for trial in diagnosis.candidate.ran if trial.id in measured]
    if not found or expected is None or facts is None:
        return diagnosis
    rates = [one.rate for one in found if one.rate is not None]
    levels = [one.level for one in found if one.level is not None and isfinite(one.level)]
    rate = median(rates) if expected.rate is not None and rates else None
    excess = None
    if expected.floor and facts.minimum is not None and levels:
        excess = sum(levels) / len(levels) - facts.minimum
    return replace(diagnosis, rate=rate, excess=excess)


NEAR = 0.9, 1.25  # sharpness over that at the edge: it swings around 1, a little above


class EdgeOfStability(NamedTuple):
    """The sharpness of a setting at a learning rate, medians over its trials."""

    start: float
    end: float  # the mean of the last quarter of the recorded points
    edge: float  # up to which steps at this rate are stable, were the loss quadratic

    @property
    def place(self) -> Literal["below", "at", "above"]:
        """Where the end is."""
        least, most = NEAR
        share = self.end / self.edge
        return "below" if share < least else "at" if share <= most else "above"


def edge_of_stability(diagnosis: RateDiagnosis) -> EdgeOfStability | None:
    """Return where a setting is; None where its sharpness was not measured or has no edge.

    Of trials that diverged nothing is said: sharpness at one point does not prove why.
    """
    expected = diagnosis.expected
    if expected is None or not expected.edge or diagnosis.lost:
        return None
    start, end = diagnosis.fact("initial_sharpness"), diagnosis.sharpness
    return None if start is None or end is None else EdgeOfStability(start, end, expected.edge)


Point: TypeAlias = tuple[int, float]

ROUNDING = 1e-10  # of the gradient norm at the start: below it, rounding may be what is left
FEWEST = 4  # points that a rate is measured from
PASSES = 3  # the first peaks are above a slope that the swings still bend


def measured_rate(steps: Sequence[int], grad_norms: Sequence[float]) -> float | None:
    """Return the factor by which the gradient norm shrinks, or grows, in a step, in the long run.

    It is that of the line through the logarithms of the second half of the curve, in steps, before
    rounding; of a norm that swings, as momentum's does, of the line through its peaks, which do
    not. On a bowl the distance to the minimiser shrinks by it, too. None: there are too few
    points, as of a trial that is recorded ever more rarely.
    """
    known = _sound(list(zip(steps, grad_norms, strict=False)))
    ends = known[-1][0] + known[0][0] if known else 0
    half = [(step, log(norm)) for step, norm in known if 2 * step >= ends]
    if len(half) < FEWEST:
        return None
    slope = _slope(half)
    for _ in range(PASSES):
        peaks = list(_peaks(half, slope))
        if len(peaks) < FEWEST:
            break
        slope = _slope(peaks)
    return exp(slope)


def _sound(points: Sequence[Point]) -> list[Point]:
    """Return the norms that are finite and above 0, up to the last above rounding."""
    finite = list(takewhile(lambda point: isfinite(point[1]), points))
    # A norm that swings may dip below it on the way.
    while finite and not finite[-1][1] > ROUNDING * finite[0][1]:
        finite.pop()
    return [point for point in finite if point[1] > 0]


def _peaks(points: Sequence[Point], slope: float) -> Iterator[Point]:
    """Yield the points that rise above both neighbours, seen along the slope."""
    heights = [height - slope * step for step, height in points]
    for place in range(1, len(points) - 1):
        if heights[place - 1] < heights[place] >= heights[place + 1]:
            yield points[place]


def _slope(points: Iterable[Point]) -> float:
    """Return the slope of the line that is closest in least squares."""
    return linear_regression(*zip(*points, strict=True)).slope


def diagnoses_of(folder: Path, limits: Limits = DEFAULT) -> Diagnoses:
    """Return the diagnoses of a run's trials; raises UserError where a file is damaged."""
    there = (folder / "manifest.json").is_file()
    theory = RunConstants(read_manifest(folder)) if there else None
    return Diagnoses(read_trials(folder), theory, limits)
