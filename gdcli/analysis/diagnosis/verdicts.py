"""Every verdict: its word, when it holds, what it says, and what to do about it.

A new verdict is one more entry of a list. The first state that holds is a trial's state; the
first quality that holds leads. A phrase is what a sentence about a trial says of it; advice is a
sentence of its own, or empty where the other verdict's says more.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from gdcli.analysis.diagnosis.case import EQUAL_STEPS, LINEAR, SHARE_ROUNDING, Case
from gdcli.fields import show

if TYPE_CHECKING:
    from collections.abc import Callable

SAME = 1e-9  # two learning rates this close, relatively, are the same
NEARLY_OVER = 0.05  # a multiplier this small, over the schedule's largest, has run out
EQUAL_STEPS_ADVICE = (
    "Its steps have a fixed size: use a smaller learning rate or a schedule that ends at 0."
)
UNHURRIED_ADVICE = (
    "Use a far larger learning rate: its loss has hardly moved, and its gradient has not shrunk."
)
UNDEFINED_ADVICE = (
    "Its loss had not risen: check whether the loss and its gradient are defined everywhere, unlike"
    " the logarithm of a negative number."
)
AT_START_ADVICE = (
    "No step was taken, so no learning rate helps: check the start, and the examples for values "
    "that are NaN, infinite or huge."
)
NEVER_MIND = 10  # times the fall: a swing so wide is not measured by it
AT_ONCE = 2  # steps: a rate that blows up by then is far too large
MANY = 1e3  # a condition number that is worth a word


class Verdict(NamedTuple):
    """One thing to say of a trial."""

    word: str
    holds: Callable[[Case], bool]
    phrase: Callable[[Case], str]
    advice: Callable[[Case], str]


def number(value: float | None) -> str:
    """Return a number for a sentence."""
    return "unknown" if value is None else f"{value:.4g}"


def percent(share: float) -> str:
    """Return a share in percent with two digits, never rounded to nothing."""
    if 0 < share < 1e-6:
        return "less than 0.0001%"
    return f"{float(f'{100 * share:.2g}'):g}%"


# States


def _blew_up(case: Case) -> bool:
    if case.observed.status == "diverged" or not isfinite(case.level):
        return True
    if case.observed.above_start_from is None:
        return False
    height = max(abs(case.start), case.start - (case.least or 0.0))
    return case.level - case.start > max(height, 1e-9 * abs(case.start))


def _blew_up_phrase(case: Case) -> str:
    seen = case.observed
    if seen.status != "diverged" and isfinite(case.level):
        since = f" from about step {number(seen.above_start_from)} on"
        what = f"blew up: its loss is above its start{since}, and ends at {number(case.level)}"
        return f"{what} (start {number(case.start)})" + _over_limit(case)
    cause = {
        "nan": "its loss or a weight became NaN",
        "overflow": "its loss or a weight overflowed",
        "growth": "its loss grew past the limit of --diverge-at",
    }.get(seen.diverged_by, "its loss left every bound")
    if _downwards(case):
        cause = "its loss fell below every bound"
    return f"blew up {_when(case)}: {cause}" + _over_limit(case)


def _when(case: Case) -> str:
    after, at = case.observed.diverged_after, case.observed.diverged_at
    if at is None:
        return "before its end"
    if after is None or at - after <= 1:
        return f"at step {at:.0f}"
    return f"between steps {after:.0f} and {at:.0f}"


def _over_limit(case: Case) -> str:
    ratio, known, rate = case.over_limit, case.known, number(case.descent.lr)
    if known.limit is not None and not known.limit_exact and case.descent.lr > known.limit:
        return f"; rates up to {number(known.limit)} are safe in theory, and {rate} is above"
    if ratio is None or ratio < 1 - SAME:
        return ""
    where = "above" if ratio > 1 + SAME else "at"
    limit = f"{known.limit_formula} = {number(known.limit)}"
    return f"; its learning rate {rate} is {where} the limit {limit}"


def _blew_up_advice(case: Case) -> str:
    known, rate = case.known, case.descent.lr
    if case.observed.diverged_at == 0:
        return AT_START_ADVICE
    if known.limit is not None and rate >= known.limit:
        return f"Use a learning rate below {number(known.limit)}."
    if known.scaled is False:
        return f"Standardise the features, or use a far smaller learning rate than {number(rate)}."
    if case.undefined:
        return UNDEFINED_ADVICE
    if case.observed.diverged_at is not None and case.observed.diverged_at <= AT_ONCE:
        return f"Use a far smaller learning rate than {number(rate)}."
    return f"Use a smaller learning rate, such as {number(rate / 10)}."


def _reached(case: Case) -> bool:
    return case.observed.stopped_by in ("tol", "target")


def _reached_phrase(case: Case) -> str:
    seen = case.observed
    goal = "--target-loss" if seen.stopped_by == "target" else "--tol"
    return f"reached {goal} after {_steps(case, seen.steps or 0.0)}"


def _steps(case: Case, steps: float) -> str:
    per_epoch = case.descent.steps_per_epoch
    unit = "epoch" if case.descent.stochastic or per_epoch > 1 else "step"
    count = steps / per_epoch if unit == "epoch" else steps
    return f"{count:.4g} {unit}{'' if count == 1 else 's'}"


def _bouncing(case: Case) -> bool:
    ratio = case.over_limit
    if ratio is not None and ratio > 1 + SAME:
        return True
    if case.descent.stochastic:
        return False
    if ratio is not None and ratio >= 1 - SAME and (case.slope or 0.0) > case.limits.steep:
        return True
    return case.enough and case.bounces


def _bouncing_phrase(case: Case) -> str:
    ratio, known = case.over_limit, case.known
    limit = f"the limit {known.limit_formula} = {number(known.limit)}"
    if ratio is not None and ratio > 1 + SAME:
        return f"diverges in the end: its learning rate is above {limit}"
    if ratio is not None and ratio >= 1 - SAME:
        return f"bounces to and fro for ever: its learning rate is at {limit}"
    if case.straight_back:
        return "bounces to and fro: each step goes straight back over a minimum"
    wide = max(case.observed.late_swing or 0.0, case.observed.largest_late_rise or 0.0)
    if wide <= NEVER_MIND * case.fall:
        share = percent(wide / case.fall)
        return f"bounces: its loss still swings by {number(wide)}, {share} of its fall"
    return f"bounces: its loss still swings by {number(wide)}"


def _bouncing_advice(case: Case) -> str:
    known, rate = case.known, case.descent.lr
    if case.over_limit is not None and known.limit is not None:
        return f"Use a learning rate below {number(known.limit)}."
    if case.descent.optimizer in EQUAL_STEPS:
        return EQUAL_STEPS_ADVICE
    if case.descent.beta and not case.straight_back:
        return f"Use a smaller beta than {number(case.descent.beta)}, or a smaller learning rate."
    return f"Use a smaller learning rate, such as {number(rate / 2)}, or a schedule."


def _too_few(case: Case) -> bool:
    return not case.enough


def _too_few_phrase(case: Case) -> str:
    points = case.observed.watched
    if points is None:
        return "cannot be told: its summary.csv, of an earlier version, has no facts"
    return f"has {points:.0f} point{'' if points == 1 else 's'}, too few to tell"


def _too_few_advice(case: Case) -> str:
    return "Run it again." if case.observed.watched is None else "Give it more epochs."


def _falls_on(case: Case) -> bool:
    return case.falls_on


def _falls_advice(case: Case) -> str:
    if case.overshoots:
        return "Give it more epochs, or try a smaller learning rate: its steps go too far."
    return "Give it more epochs, or try a larger learning rate."


def _flat_advice(case: Case) -> str:
    if case.descent.optimizer in EQUAL_STEPS and case.descent.steady:
        return EQUAL_STEPS_ADVICE
    if case.unhurried:
        return UNHURRIED_ADVICE
    if case.gap is not None and not case.at_least:
        least = number(case.known.minimum)
        return f"Lower losses are possible, down to {least}: try other learning rates."
    if case.known.convex:
        return "Try other learning rates: they tell whether a lower loss is there."
    if case.known.network:
        return "Try other learning rates and seeds: they tell whether a lower loss is there."
    return "Try other learning rates and starts: they tell whether a lower loss is there."


STATES = (
    Verdict("blew up", _blew_up, _blew_up_phrase, _blew_up_advice),
    Verdict("reached its goal", _reached, _reached_phrase, lambda _: ""),
    Verdict("bouncing", _bouncing, _bouncing_phrase, _bouncing_advice),
    Verdict(
        "too few points to tell",
        _too_few,
        _too_few_phrase,
        _too_few_advice,
    ),
    Verdict(
        "still falling",
        _falls_on,
        lambda _: "still falls",
        _falls_advice,
    ),
    Verdict(
        "flat",
        lambda _: True,
        lambda _: "is flat",
        _flat_advice,
    ),
)


# Qualities


def _downwards(case: Case) -> bool:
    """Whether a loss that left its bounds did so downwards."""
    seen = case.observed
    if seen.status != "diverged" or seen.diverged_by == "nan":
        return False
    last = seen.final_train_loss
    return last is not None and last < min(case.start, 0.0)


def _dead(case: Case) -> bool:
    if not case.known.network or case.ended_wild or case.at_least:
        return False
    vanished = case.slope is not None and case.slope <= case.limits.steep
    return vanished and (case.unmoved or case.at_chance)


def _dead_phrase(case: Case) -> str:
    share = case.observed.dead_units
    units = f"; {percent(share)} of its ReLU units are 0 for all examples" if share else ""
    if case.observed.largest_grad_norm == 0:
        return f"is dead: its gradient is 0 from the start on{units}"
    return f"is dead: its gradient vanished at a loss of {number(case.level)}{units}"


def _dead_advice(case: Case) -> str:
    if case.observed.largest_grad_norm == 0:
        return "No learning rate helps: try another seed, initialisation or activation."
    return "Use a smaller learning rate, another seed or another activation."


def _unmoved(case: Case) -> bool:
    """Whether a function started where its gradient is 0, at no known minimum."""
    return not case.known.network and case.observed.largest_grad_norm == 0 and not case.at_least


def _chance(case: Case) -> bool:
    return not case.ended_wild and case.at_chance


def _chance_phrase(case: Case) -> str:
    known = case.known
    base = known.baseline_loss
    lower = "hardly" if base is not None and case.level < base else "no"
    if not known.classifier:
        losses = f"loss {number(case.level)}, the mean's {number(base)}"
        return f"is {lower} better than predicting the mean: {losses}"
    reached, constant = case.beside_majority
    if constant is None or reached is None:
        return f"is {lower} better than guessing the shares of the classes"
    better = "no" if reached <= constant + SHARE_ROUNDING else "hardly"
    answer = "the most frequent class" if known.majority is None else show(known.majority)
    what = f"is {better} better than always answering {answer}"
    if case.recalls:
        return (
            f"{what}: balanced training accuracy {percent(reached)}, that has {percent(constant)}"
        )
    return f"{what}: training accuracy {percent(reached)}, that class's share {percent(constant)}"


def _chance_advice(case: Case) -> str:
    if not case.enough:
        return "Give it more epochs."
    if case.unhurried:
        return UNHURRIED_ADVICE
    if case.known.network:
        adam = "Adam, " if case.descent.optimizer in LINEAR else ""
        begin = "Give it more epochs, or try larger" if case.falls_on else "Try other"
        decay = "less weight decay, " if case.descent.weight_decay else ""
        return f"{begin} learning rates, {decay}{adam}fewer layers or another activation."
    if case.falls_on:
        return "Give it more epochs, or try larger learning rates."
    noisy = case.descent.stochastic
    return f"Try {'smaller learning rates or larger batches' if noisy else 'other learning rates'}."


def _curved_down(case: Case) -> bool:
    return not case.ended_wild and case.curved_down and not case.at_least


def _curved_down_phrase(case: Case) -> str:
    at = "a saddle"
    if case.observed.final_sharpness is not None and case.observed.final_sharpness <= 0:
        at = "a maximum"
    elif case.observed.final_sharpness is None:
        at = "a saddle or maximum"
    lowest = number(case.observed.lowest_curvature)
    return f"is at {at}: its gradient vanished, but the loss curves down there ({lowest})"


def _at_minimum(case: Case) -> bool:
    local = case.at_local and not _bouncing(case)
    return not case.ended_wild and (case.at_least or local)


def _at_minimum_phrase(case: Case) -> str:
    if case.gap is not None:
        least = case.known.minimum
        if not case.known.attained:
            here = number(case.level)
            return f"is done: its loss {here} goes to {number(least)}, which no weights reach"
        left = f" ({percent(case.left)} of its fall is left)" if case.left else ""
        return f"is at the minimum: loss {number(case.level)}, the least is {number(least)}{left}"
    if case.at_least:
        bound = number(case.known.bound)
        return f"is at the minimum: loss {number(case.level)}, and no loss is below {bound}"
    slope = f"{percent(case.slope)} of its largest" if case.slope else "0"
    return f"is at a minimum: its gradient is {slope}, and the loss was found to curve down nowhere"


def _at_floor(case: Case) -> bool:
    return case.at_floor and not (case.known.classifier and case.at_chance)


def _at_floor_phrase(case: Case) -> str:
    above = f"{number(case.excess)} above {_least_word(case)}"
    if case.known.floor is not None:
        return f"is at its noise floor: {above} on average; theory says {number(case.known.floor)}"
    return f"is at its noise floor, {above} on average"


def _least_word(case: Case) -> str:
    """Return what a loss is compared with: its least, or a bound that it may never come near."""
    return "the least loss" if case.gap is not None else f"{number(case.least)}"


def _all_right(case: Case) -> bool:
    right = case.observed.final_train_accuracy
    return right is not None and right >= 1 and not case.ended_wild


def _all_right_phrase(case: Case) -> str:
    if case.known.minimum is not None and not case.known.attained:
        return "answers all training examples right, so that its loss can fall for ever"
    return "answers all training examples right"


def _scheduled(case: Case) -> bool:
    """Whether its rate ended near 0; of a classifier at chance level something else is amiss."""
    amiss = case.known.classifier and case.at_chance
    return not case.ended_wild and case.descent.end_multiplier <= NEARLY_OVER and not amiss


def _scheduled_phrase(case: Case) -> str:
    share = case.descent.end_multiplier
    end = "about 0" if share < 1e-3 else f"{percent(share)} of its largest"
    if case.falls_on:
        return f"is slowed down by its schedule, whose learning rate ends at {end}"
    return f"is ended by its schedule: its learning rate ends at {end}, so the loss flattens"


def _decayed(case: Case) -> bool:
    held = case.descent.weight_decay > 0 and case.known.convex is True
    return held and case.left is not None and not case.falls_on and not case.ended_wild


def _ill_conditioned(case: Case) -> bool:
    condition = case.known.condition
    many = condition is not None and condition >= MANY
    return many and case.gap is not None and not case.at_least and not case.ended_wild


def _too_much_momentum(case: Case) -> bool:
    beta, best = case.descent.beta, case.known.best_beta
    return beta is not None and best is not None and beta > best and not case.ended_wild


def _clipped(case: Case) -> bool:
    clip, norm = case.descent.clip_norm, case.observed.final_grad_norm
    return clip is not None and norm is not None and norm > clip and not case.ended_wild


def _above_start(case: Case) -> bool:
    return not case.ended_wild and case.observed.above_start_from is not None and case.fall < 0


def _unreachable(case: Case) -> bool:
    target, least = case.descent.target_loss, case.known.minimum
    return target is not None and least is not None and target < least


def _overfits(case: Case) -> bool:
    return not case.ended_wild and case.overfits


def _overfits_phrase(case: Case) -> str:
    seen = case.observed
    when = _steps(case, seen.lowest_test_step or 0.0)
    lowest, late = number(seen.lowest_test_loss), number(seen.late_test_loss)
    return f"is past its best test loss: {lowest} after {when}, {late} on average near the end"


QUALITIES = (
    Verdict(
        "unbounded below",
        _downwards,
        lambda _: (
            "falls without end: the loss has no minimum, and the learning rate is not at fault"
        ),
        lambda _: "Look at the loss: it has no least value.",
    ),
    Verdict("dead", _dead, _dead_phrase, _dead_advice),
    Verdict(
        "at a saddle",
        _curved_down,
        _curved_down_phrase,
        lambda _: "Start somewhere else: give another start or another seed.",
    ),
    Verdict("at the minimum", _at_minimum, _at_minimum_phrase, lambda _: ""),
    Verdict(
        "never moved",
        _unmoved,
        lambda _: "never moves: its gradient is 0 at the start",
        lambda _: "Start somewhere else.",
    ),
    Verdict(
        "all examples right",
        _all_right,
        _all_right_phrase,
        lambda c: (
            "Its test loss is past its best: stop earlier."
            if c.overfits
            else "More epochs lower the loss, not the number of mistakes."
        ),
    ),
    Verdict(
        "ended by its schedule",
        _scheduled,
        _scheduled_phrase,
        lambda _: "Use a larger learning rate, or a longer run of the same schedule.",
    ),
    Verdict(
        "at its noise floor",
        _at_floor,
        _at_floor_phrase,
        lambda _: "Use a schedule, a smaller learning rate or larger batches, not more epochs.",
    ),
    Verdict(
        "ill-conditioned",
        _ill_conditioned,
        lambda c: (
            f"is {number(c.gap)} above the least loss: the condition number is "
            f"{number(c.known.condition)}"
        ),
        lambda c: (
            "Standardise the features: --scale standard."
            if c.known.scaled is False
            else "Use momentum or Adam."
            if c.descent.optimizer == "vanilla"
            else "Give it more epochs."
        ),
    ),
    Verdict("chance level", _chance, _chance_phrase, _chance_advice),
    Verdict(
        "held by weight decay",
        _decayed,
        lambda c: (
            f"is held {number(c.gap)} above the least loss by its weight decay of "
            f"{number(c.descent.weight_decay)}"
            f"{' and the noise of its batches' if c.descent.stochastic else ''}"
        ),
        lambda _: "Use less weight decay for a lower training loss.",
    ),
    Verdict(
        "too much momentum",
        _too_much_momentum,
        lambda c: (
            f"has more momentum than helps: beta {number(c.descent.beta)}, while "
            f"{number(c.known.best_beta)} is the fastest at this learning rate"
        ),
        lambda c: f"Use a beta of {number(c.known.best_beta)}.",
    ),
    Verdict(
        "clipped",
        _clipped,
        lambda c: (
            f"is slowed down by its clipped gradient: norm {number(c.observed.final_grad_norm)}"
            f", clipped to {number(c.descent.clip_norm)}"
        ),
        lambda _: "Use a larger --clip-norm or a larger learning rate.",
    ),
    Verdict(
        "above its start",
        _above_start,
        lambda c: f"ends above its start: {number(c.level)}, it started at {number(c.start)}",
        lambda c: (
            f"Use a learning rate below {number(c.known.limit)}."
            if c.over_limit is not None and c.over_limit > 1
            else "Use a smaller learning rate."
        ),
    ),
    Verdict(
        "past its best test loss",
        _overfits,
        _overfits_phrase,
        lambda _: "Stop earlier, use a smaller model or an L2 penalty.",
    ),
    Verdict(
        "target below the minimum",
        _unreachable,
        lambda c: (
            f"cannot reach its target {number(c.descent.target_loss)}: the least loss is "
            f"{number(c.known.minimum)}"
        ),
        lambda c: f"Give a --target-loss above {number(c.known.minimum)}.",
    ),
)


def suits(state: Verdict, quality: Verdict) -> bool:
    """Return whether a quality can be told of a trial in a state: few of one that blew up."""
    return state is not STATES[0] or quality is QUALITIES[0]
