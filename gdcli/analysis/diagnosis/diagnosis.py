"""What is said of a trial: its state, its qualities, the sentence, the advice, the forecast."""

from __future__ import annotations

from dataclasses import dataclass

from gdcli.analysis.diagnosis.case import Case
from gdcli.analysis.diagnosis.evidence import Evidence
from gdcli.analysis.diagnosis.forecast import Forecast, forecast, rounded
from gdcli.analysis.diagnosis.limits import Limits
from gdcli.analysis.diagnosis.verdicts import QUALITIES, STATES, number, percent, suits

DEFAULT = Limits()
ENOUGH = ("at the minimum",)  # what says so much that "is flat" adds nothing
ALONE = ("dead", "never moved", "chance level")  # beside which nothing else matters
SOONER = ("ill-conditioned", "too much momentum")  # whose advice shortens what is forecast
BESIDES = ("past its best test loss", "target below the minimum")  # told though others lead


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
    case = Case(evidence, limits)
    state = next(one for one in STATES if one.holds(case))
    holding = (one.word for one in QUALITIES if suits(state, one) and one.holds(case))
    return state.word, next(holding, None)


def diagnose(evidence: Evidence, limits: Limits = DEFAULT) -> Diagnosis:
    """Return what is said of a trial. It never raises."""
    case = Case(evidence, limits)
    if evidence.observed.status == "failed":
        return Diagnosis(None)
    state = next(one for one in STATES if one.holds(case))
    qualities = [one for one in QUALITIES if suits(state, one) and one.holds(case)]
    phrases = [state.phrase(case)]
    told = [one for one in qualities if one is qualities[0] or one.word in BESIDES]
    if qualities and qualities[0].word in ALONE:
        told = qualities[:1]
    phrases += [one.phrase(case) for one in told]
    if state.word == "flat" and qualities and qualities[0].word in ENOUGH:
        phrases.pop(0)
    coming = forecast(case)
    state_falls = state.word == "still falling"
    advising = [state] if state.word == "bouncing" else told or [state]
    advice = next((text for one in advising if (text := one.advice(case))), "")
    other_lr = _other_lr(advice) or _other_lr(state.advice(case) if state_falls else "")
    if coming is not None and state_falls:
        others = [one for one in told if one.word in SOONER]
        advice = " ".join([_sentence(case, coming), *(one.advice(case) for one in others)])
    return Diagnosis(
        state.word,
        tuple(one.word for one in qualities),
        "; it ".join(phrases),
        advice,
        coming,
        case.level,
        case.gap,
        case.left,
        case.slope,
        other_lr,
    )


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
    return f"About {count} more {unit} {goal}."
