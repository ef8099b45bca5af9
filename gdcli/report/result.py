"""The result of a run in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from gdcli.analysis.diagnosis.diagnosis import Diagnosis
from gdcli.analysis.results import TIED, Cell, Setting
from gdcli.analysis.theory import Limit
from gdcli.report.labels import apart, short

SETTLED = ("at the minimum", "at a saddle", "never moved", "dead")  # other rates change little
SLOW = (None, "chance level", "ended by its schedule")  # what a larger rate may mend
NEAR_LIMIT = 0.9  # of the exact limit: a larger rate is hardly worth a try


def result_lines(settings: Sequence[Setting], labels: Sequence[str]) -> list[str]:
    """Return which setting has the lowest training loss, at which rate, and who ends as low."""
    ranked = sorted(zip(settings, labels, strict=True), key=lambda pair: pair[0].median)
    first, label = ranked[0]
    if first.best is None or not isfinite(first.median):
        return ["At every learning rate half of the seeds or more diverged or failed."]
    if first.median > _start(first):
        return [f"No learning rate tried lowers the loss: the best ends at {short(first.median)}."]
    seeds = len(first.best.ran)
    over = f", the median over {seeds} seeds" if seeds > 1 else ""
    lowest = f"training loss {short(first.median)}{over}"
    if len(ranked) == 1:
        return [f"The best learning rate of {label} is {_rate(first)}: {lowest}."]
    near = first.median + TIED * max(0.0, _start(first) - first.median)
    tied = [f"{name} at {_rate(one)}" for one, name in ranked[1:] if one.median <= near]
    others = ""
    if tied:
        more = f" and {len(tied) - 3} more" if len(tied) > 3 else ""
        others = f"; as low within {TIED:.2%} of the fall: {', '.join(tied[:3])}{more}"
    return [f"The lowest {lowest}, is that of {label} at learning rate {_rate(first)}{others}."]


def row_sentence(setting: Setting, said: Diagnosis, limit: Limit | None) -> str:
    """Return which rates of a row end as low, and whether to look beyond its end.

    `said` is of the best rate's typical trial; `limit` is the exact limit of theory, if there is
    one. "" where there is nothing to add to what is said of the best rate.
    """
    rates, best = [cell.lr for cell in setting.cells], setting.best
    if best is None or len(rates) < 2:
        return ""
    label = apart(rates)
    sentences = []
    if len(setting.tied) > 1:
        sentences.append(_tie(setting, best, label, said))
    elif said.state == "still falling":
        sentences.append(f"It is the best of the {len(rates)} rates tried.")
    if said.quality in SETTLED and said.state != "still falling":
        return " ".join(sentences)
    if best.lr == rates[0]:
        sentences.append("It is the smallest rate tried: try smaller ones.")
    wanting = said.state == "still falling" or (said.state == "flat" and said.quality in SLOW)
    room = limit is None or best.lr < NEAR_LIMIT * limit.lr
    if best.lr == rates[-1] and wanting and room:
        below = f", below the limit {short(limit.lr)}" if limit else ""
        sentences.append(f"It is the largest rate tried: try larger ones{below}.")
    return " ".join(sentences)


def _tie(setting: Setting, best: Cell, label: Mapping[float, str], said: Diagnosis) -> str:
    """Return that several rates end as low, and how much sooner the best is there."""
    names = [label[cell.lr] for cell in setting.tied]
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    how = "both" if len(names) == 2 else "all"
    where = "end at the minimum" if said.quality == "at the minimum" else "end as low"
    slowest = max(cell.fallen for cell in setting.tied)
    factor = slowest / best.fallen if isfinite(slowest) and best.fallen > 0 else 1.0
    soon = f"; {label[best.lr]} gets there {factor:.2g} times sooner" if factor > 1.5 else ""
    return f"{listed} {how} {where}{soon}."


def _rate(setting: Setting) -> str:
    """Return the best rate, told apart from the others of its row."""
    best = setting.best
    return apart(cell.lr for cell in setting.cells)[best.lr] if best else "none"


def _start(setting: Setting) -> float:
    """Return the lowest loss that a trial of a setting starts at."""
    starts = (trial.fact("initial_train_loss") for trial in setting.trials)
    return min((start for start in starts if start is not None), default=0.0)
