"""The best learning rates in sentences: which ends lowest, what ends as low, where to look next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from gdcli.analysis.results import TIED, Cell, Setting
from gdcli.analysis.trials import Trial
from gdcli.analysis.why import Account
from gdcli.report.labels import apart, short

DONE = (  # other rates change little
    "at the minimum",
    "at a saddle",
    "never moved",
    "dead",
    "held by weight decay",
    "past its best test loss",
)
TOO_LARGE = ("blew up", "bouncing", "at its noise floor", "above its start")
SOONER = 1.5  # times, that are worth a word
NEAR = 0.9  # of the exact limit: a larger rate is hardly worth a try


def result_lines(
    settings: Sequence[Setting], labels: Sequence[str], *, part: bool = False
) -> list[str]:
    """Return which setting has the lowest training loss, at which rate, and who ends as low.

    `part`: they are some of the run's settings, and are named in any case.
    """
    ranked = sorted(zip(settings, labels, strict=True), key=lambda pair: pair[0].median)
    first, label = ranked[0]
    if first.best is None or not isfinite(first.median):
        return [_without_result([trial for one in settings for trial in one.trials])]
    if not any(trial.falls for setting in settings for trial in setting.trials):
        whose = f" of {label}{' and the like' * (len(ranked) > 1)}" if part else ""
        end = short(first.median)
        return [f"No learning rate tried lowers the loss{whose}: the best ends at {end}."]
    seeds = len(first.best.ran)
    over = f" (the median over {seeds} seeds)" if seeds > 1 else ""
    loss = f"{short(first.median)}{over}"
    if len(ranked) == 1:
        if len(first.cells) == 1:
            return [f"{label} at learning rate {_rate(first)} ends at training loss {loss}."]
        return [f"The best learning rate of {label} is {_rate(first)}: training loss {loss}."]
    near = first.median + TIED * max(0.0, _start(first) - first.median)
    tied = [f"{name} at {_rate(one)}" for one, name in ranked[1:] if one.median <= near]
    others = ""
    if tied:
        more = f" and {len(tied) - 3} more" if len(tied) > 3 else ""
        others = f"; as low within {TIED:.2%} of the fall: {', '.join(tied[:3])}{more}"
    return [f"{label} at learning rate {_rate(first)} has the lowest loss: {loss}{others}."]


def _without_result(trials: Sequence[Trial]) -> str:
    """Return what became of the trials of a run in which no learning rate has a median."""
    ends = {trial.status for trial in trials if trial.status != "finished"}
    what = " or ".join(sorted(ends or {"diverged", "failed"}))
    if any(trial.status == "finished" for trial in trials):
        return f"At every learning rate half of the seeds or more {what}."
    return f"The trial {what}." if len(trials) == 1 else f"Every trial {what}."


def _rate(setting: Setting) -> str:
    """Return the best rate, told apart from the others of its row."""
    best = setting.best
    return apart(cell.lr for cell in setting.cells)[best.lr] if best else "none"


def _start(setting: Setting) -> float:
    """Return the lowest loss that a trial of a setting starts at."""
    starts = (trial.fact("initial_train_loss") for trial in setting.trials)
    return min((start for start in starts if start is not None), default=0.0)


def named(account: Account, rates: Mapping[float, str]) -> str:
    """Return what a learning rate is called at the head of a sentence: "the best lr, 0.1,"."""
    setting, lr = account.setting, account.cell.lr
    alone = account.cell is setting.best and len(setting.cells) > 1 and len(setting.tied) == 1
    return f"the best lr, {rates[lr]}," if alone else f"lr {rates[lr]}"


def ties(account: Account, rates: Mapping[float, str]) -> str:
    """Return a sentence on the rates that end as low as the best one; "": there are none."""
    tied, best = account.setting.tied, account.setting.best
    if best is None or account.cell is not best or len(tied) < 2:
        return ""
    names = [rates[cell.lr] for cell in tied]
    both = "both" if len(tied) == 2 else "all"
    said = account.typical
    done = said is not None and said.quality == "at the minimum"
    least = "the" if said is not None and said.gap is not None else "a"  # it may be a local one
    where = f"end at {least} minimum" if done else f"end as low, within {TIED:.2%} of the fall"
    listed = f"lr {', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} {both} {where}{_sooner(best, tied, rates[best.lr])}."


def _sooner(best: Cell, tied: tuple[Cell, ...], name: str) -> str:
    slowest = max(cell.fallen for cell in tied)
    factor = slowest / best.fallen if isfinite(slowest) and best.fallen > 0 else 1.0
    return f"; {name} gets there {factor:.2g} times sooner" if factor > SOONER else ""


def beyond(account: Account, rates: Mapping[float, str]) -> str:
    """Return advice on where to look for a better rate than the best of a row, where it ends it."""
    cells, said, lr = account.setting.cells, account.typical, account.cell.lr
    if account.cell is not account.setting.best or len(cells) < 2 or said is None:
        return ""
    if said.state == "reached its goal" or (said.state == "flat" and said.quality in DONE):
        return ""
    if said.other_lr == "larger" and lr < cells[-1].lr:
        return _between(account, rates)
    if lr == cells[0].lr:
        return f"No lr below {rates[lr]} was tried: try smaller ones, too."
    exact = _exact_limit(account)
    far = exact is None or lr < NEAR * exact
    large = said.other_lr == "smaller" or {said.state, said.quality} & {*TOO_LARGE}
    if lr < cells[-1].lr or not far or large:
        return ""
    below = f", below the limit {short(exact)}" if exact is not None else ""
    return f"No lr above {rates[lr]} was tried: try larger ones{below}."


def _between(account: Account, rates: Mapping[float, str]) -> str:
    """Return advice for a rate that is too small, though the next one tried ends no lower."""
    tied, tried = account.setting.tied, [cell.lr for cell in account.setting.cells]
    lr = max(cell.lr for cell in (account.cell, *tied))
    if lr == tried[-1]:
        return f"No lr above {rates[lr]} was tried: try larger ones."
    above, exact = tried[tried.index(lr) + 1], _exact_limit(account)
    bounded = exact is not None and lr < exact < above
    end = f"the limit {short(exact)}" if bounded else rates[above]
    return f"No lr between {rates[lr]} and {end} was tried: try some there."


def _exact_limit(account: Account) -> float | None:
    limit = account.expected.limit if account.expected else None
    return limit.lr if limit and limit.exact else None
