"""The result of a run in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from gdcli.analysis.results import TIED, Setting
from gdcli.report.labels import apart, short


def result_lines(settings: Sequence[Setting], labels: Sequence[str]) -> list[str]:
    """Return which setting has the lowest training loss, at which rate, and who ends as low."""
    ranked = sorted(zip(settings, labels, strict=True), key=lambda pair: pair[0].median)
    first, label = ranked[0]
    if first.best is None or not isfinite(first.median):
        return ["At every learning rate half of the seeds or more diverged or failed."]
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


def _rate(setting: Setting) -> str:
    """Return the best rate, told apart from the others of its row."""
    best = setting.best
    return apart(cell.lr for cell in setting.cells)[best.lr] if best else "none"


def _start(setting: Setting) -> float:
    """Return the lowest loss that a trial of a setting starts at."""
    starts = (trial.fact("initial_train_loss") for trial in setting.trials)
    return min((start for start in starts if start is not None), default=0.0)
