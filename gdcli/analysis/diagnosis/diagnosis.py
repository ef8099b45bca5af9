"""What is said of a trial: its state, its qualities, the sentence, the advice, the forecast.

A forecast says how many more steps a loss that falls needs to a goal: a range, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, inf, log, log10, sqrt
from typing import TYPE_CHECKING, NamedTuple

from gdcli.analysis.diagnosis.case import Case
from gdcli.analysis.diagnosis.verdict import (
    BOUNDED,
    EQUAL_STEPS,
    LINEAR,
    OWN_STEPS,
    Limits,
    TrialQuality,
    TrialState,
    Verdict,
    number,
    verdicts,
)
from gdcli.measure import STRETCHES
from gdcli.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gdcli.analysis.diagnosis.evidence import Evidence

STABLE = 1.5  # two estimates of the same pace may differ by this factor
WIDEST = 2.0  # a range whose ends differ by more is not a forecast
LARGEST = 700.0  # powers of e that a float holds
FEW_STEPS = 2
NARROWEST = 1.15  # a range is at least this factor wide on both sides
FARTHEST = 9.0  # budgets to come; a longer forecast is only "more than ten times"


class Forecast(NamedTuple):
    """A range of steps still to go, to a loss; `most` None: more than `least`."""

    least: float
    most: float | None
    goal: float
    target: bool  # the goal is --target-loss; else it is near the least loss


def forecast(case: Case) -> Forecast | None:
    """Return how many more steps the trial needs to its goal; None where nothing is known.

    The gap to the least loss is assumed to shrink by a constant factor in equal times: the factor
    of the last quarter of the budget, if that of the quarter before agrees within STABLE.
    """
    goal, horizon = _goal(case), case.descent.horizon
    if goal is None or not horizon or not _lawful(case, goal):
        return None
    found = _range(case, goal, horizon)
    if found is None:
        return None
    far, target = FARTHEST * horizon, case.descent.target_loss is not None
    if found[0] >= far:
        slows = case.known.convex and case.descent.optimizer in LINEAR  # it gets no faster
        return Forecast(far, None, goal, target) if slows else None
    return Forecast(*found, goal, target) if found[1] <= _reach(case) * horizon else None


def _reach(case: Case) -> float:
    """Return for how many more budgets the pace is trusted: most where theory knows the rate."""
    if case.known.rate is not None:
        return 2 * FARTHEST
    return 3.0 if case.known.convex else 1.0


def _lawful(case: Case, goal: float) -> bool:
    """Return whether the gap can be expected to shrink as before until it is at the goal."""
    descent = case.descent
    if not descent.steady or descent.weight_decay or descent.clip_norm is not None:
        return False
    if not case.falls_on or case.curved_down or len(case.levels) < STRETCHES:
        return False
    if case.wavers and not descent.stochastic:
        return False
    return not descent.stochastic or _above_floor(case, goal)


def _goal(case: Case) -> float | None:
    """Return the target loss; without one, the highest loss that counts as the least one."""
    least, target = case.known.minimum, case.descent.target_loss
    if least is None or not case.known.attained:
        return None
    if target is not None:
        return target if least < target < case.level else None
    if case.descent.tol is not None or case.at_least:
        return None
    return None if case.near_gap is None else least + case.near_gap


def _above_floor(case: Case, goal: float) -> bool:
    least, under = case.known.minimum, case.known.floor
    return under is not None and least is not None and goal - least > 2 * under


def _range(case: Case, goal: float, horizon: float) -> tuple[float, float] | None:
    """Return the least and the most steps to the goal, over several estimates of the pace."""
    least, now = case.known.minimum, case.gap
    if least is None or now is None:
        return None
    goal, gaps = goal - least, [level - least for level in case.levels]
    if min(gaps) <= 0 or now <= goal:
        return None
    if case.descent.optimizer in EQUAL_STEPS:
        return _evenly(gaps, goal, now, horizon)
    early, late = (log(gaps[a] / gaps[b]) / (horizon / 4) for a, b in ((7, 11), (11, 15)))
    # Theory's pace is the slowest of plain descent: the time lies between both, early on, too.
    bounded = case.known.rate is not None and case.descent.optimizer == "vanilla"
    stable = late > 0 and early > 0 and 1 / STABLE <= early / late <= STABLE
    if not stable and not (bounded and late > 0):
        return None
    folds = log(now / goal)
    need = [folds / late]
    if case.known.rate is not None and 0 < case.known.rate < 1:
        need.append(folds / min(late, -2 * log(case.known.rate)))  # in the long run
    else:
        need.append(folds * early / (late * late))  # it goes on to change as it did
        need += [_power(gaps, folds, horizon)] if late < early else []
    if case.descent.optimizer not in LINEAR:  # its steps may keep their size
        even = _evenly(gaps, goal, now, horizon)
        if even is None:
            return None
        need += even
    return (min(need), max(need)) if max(need) <= WIDEST * min(need) else None


def _evenly(
    gaps: list[float], goal: float, now: float, horizon: float
) -> tuple[float, float] | None:
    """Return the range for steps of a fixed size, where the root of the gap falls evenly."""
    early, late = ((sqrt(gaps[a]) - sqrt(gaps[b])) * 4 / horizon for a, b in ((7, 11), (11, 15)))
    if not (late > 0 and early > 0 and 1 / STABLE <= early / late <= STABLE):
        return None
    if sqrt(goal) < FEW_STEPS * late:  # less than a few steps from the minimum they hop around it
        return None
    # At the last pace, and at one that goes on to change as it did.
    need = sorted((sqrt(now) - sqrt(goal)) / pace for pace in (late, late * late / early))
    return (need[0], need[1]) if need[1] <= WIDEST * need[0] else None


def _power(gaps: list[float], folds: float, horizon: float) -> float:
    """Return the steps until the gap is e**folds smaller, if it is a power of the steps."""
    power = log(gaps[11] / gaps[15]) / log(15.5 / 11.5)
    return horizon * (exp(folds / power) - 1) if folds < LARGEST * power else inf


def rounded(low: float, high: float) -> tuple[float, float]:
    """Return a range with two digits for each end, widened where it is too narrow."""
    middle = sqrt(low * high)
    return _digits(min(low, middle / NARROWEST)), _digits(max(high, middle * NARROWEST))


def _digits(value: float) -> float:
    if value <= 0:
        return 0.0
    scale = 10.0 ** (floor(log10(value)) - 1)
    return round(value / scale) * scale if scale >= 1 else float(round(value)) or 1.0


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)  # runs have many trials
class Diagnosis:
    """The words for a trial, and the figures behind them; a failed trial has no words."""

    state: str | None
    qualities: tuple[str, ...] = ()  # the first leads
    phrase: str = ""  # what a sentence says of the trial: "is flat; it is at ..."
    advice: str = ""
    forecast: Forecast | None = None
    level: float | None = None  # loss at the end
    gap: float | None = None  # what it is above the least loss
    left: float | None = None  # the gap as a share of the fall so far
    slope: float | None = None  # gradient norm at the end over its largest
    other_lr: str = ""  # the learning rate to try: smaller or larger; "": either

    @property
    def quality(self) -> str | None:
        """The quality that leads; None: nothing is known."""
        return self.qualities[0] if self.qualities else None


def words(evidence: Evidence, limits: Limits = DEFAULT) -> tuple[str | None, str | None]:
    """Return the state of a trial and the quality that leads, as `diagnose` has them.

    It takes a third of the time, for those that count many trials.
    """
    if evidence.observed.status == "failed":
        return None, None
    state, qualities = _holding(Case(evidence, limits))
    return state.word, next((one.word for one in qualities), None)


def _holding(case: Case) -> tuple[TrialState, Iterator[TrialQuality]]:
    """Return the state of a trial, and the qualities that hold."""
    states, qualities = verdicts(case.limits)
    state = next(one for one in states if one.holds(case))
    return state, (one for one in qualities if (one.of_lost or not state.lost) and one.holds(case))


def diagnose(evidence: Evidence, limits: Limits = DEFAULT) -> Diagnosis:
    """Return what is said of a trial. It never raises."""
    case = Case(evidence, limits)
    if evidence.observed.status == "failed":
        return Diagnosis(None)
    state, holding = _holding(case)
    qualities = list(holding)
    told = _told(qualities)
    phrases = [one.phrase(case) for one in (state, *told)]
    if state.rests and qualities and qualities[0].says_it_rests:
        phrases.pop(0)
    coming = forecast(case)
    advising: Sequence[Verdict] = [state] if state.swings else told or [state]
    advice = next((text for one in advising if (text := one.advice(case))), "")
    other_lr = _other_lr(advice) or _other_lr(state.advice(case) if state.falls else "")
    base = case.descent.optimizer.partition("+")[0]
    if base in OWN_STEPS and not state.lost and "learning rate" in advice:
        other_lr = ""
        begin = "Use larger batches" if case.descent.stochastic else "Give it more epochs"
        advice = f"{begin}: its steps follow from its gradients, not from the learning rate."
    if base in BOUNDED and state.rests and "learning rate" in advice:
        shrink = f"its steps shrink as the loss nears {base}.lower-bound"
        advice = f"Give it the least possible loss: {shrink}. Or try other learning rates."
    if coming is not None and state.falls:
        others = [one for one in told if one.sooner]
        advice = " ".join([_sentence(case, coming), *(one.advice(case) for one in others)])
    return Diagnosis(
        state.word,
        tuple(one.word for one in qualities),
        "; it ".join(phrases),
        advice.replace("more epochs", f"more {case.descent.budget}"),
        coming,
        case.level,
        case.gap,
        case.left,
        case.slope,
        other_lr,
    )


def _told(qualities: Sequence[TrialQuality]) -> list[TrialQuality]:
    """Return the qualities that the sentence names: the one that leads, and some besides."""
    if qualities and qualities[0].alone:
        return [qualities[0]]
    return [one for one in qualities if one is qualities[0] or one.beside]


def _other_lr(advice: str) -> str:
    """Return which learning rate advice asks for: smaller, larger, or "" for either."""
    kinds = (kind for kind in ("smaller", "larger") if f"{kind} learning rate" in advice)
    return next(kinds, "")


def _sentence(case: Case, coming: Forecast) -> str:
    """Return a forecast as advice that names its goal."""
    if coming.target:
        goal = f"until the loss is at its target {number(coming.goal)}"
    else:
        share = percent((coming.goal - (case.known.minimum or 0.0)) / case.fall)
        goal = f"until the gap to the least loss is {share} of the fall so far"
    per_epoch = case.descent.steps_per_epoch
    unit = "epochs" if per_epoch > 1 or case.descent.stochastic else "steps"
    if coming.most is None:
        return f"It needs more than ten times as many {unit} {goal}."
    low, high = rounded(coming.least / per_epoch, coming.most / per_epoch)
    count = f"{low:.0f} to {high:.0f}" if low < high else f"{low:.0f}"
    return f"It needs about {count} more {unit} {goal}."
