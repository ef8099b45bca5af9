"""What came of a run, in sentences: which learning rate is the best of those that were tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from gdcli.report.labels import apart, short

if TYPE_CHECKING:
    from gdcli.analysis.results import Cell, Setting
    from gdcli.analysis.trials import Trials


def result_sentences(run: Trials, settings: Sequence[Setting], labels: Sequence[str]) -> list[str]:
    """Return one sentence a setting, which `labels` names, on its best learning rate."""
    rates = apart(trial.lr for trial in run.trials)
    return [
        f"{label}: {_result(setting, rates)}."
        for setting, label in zip(settings, labels, strict=True)
    ]


def _result(setting: Setting, rates: Mapping[float, str]) -> str:
    if setting.best is None:
        return _nothing(setting)
    cells, loss = setting.cells, short(setting.best.median)
    median, over = ("median ", _seeds(setting.best)) if len(setting.best.ran) > 1 else ("", "")
    if len(cells) == 1:
        only = f"learning rate {rates[setting.best.lr]}, the only one tried,"
        return f"{only} ends at a {median}training loss of {loss}{over}"
    # What prints alike is told as alike: the seeds seldom tell it apart, a reader cannot.
    alike = [cell for cell in cells if short(cell.median) == loss]
    best = _listed([rates[cell.lr] for cell in alike])
    verb = "is" if len(alike) == 1 else "are"
    figures = f"({median}final training loss {loss}{over})"
    told = f"{best} {verb} the best of the {len(cells)} learning rates tried {figures}"
    return "; ".join([told, *_beyond(cells, alike, rates)])


def _seeds(cell: Cell) -> str:
    lost = sum(not isfinite(trial.loss) for trial in cell.ran)
    return f" over {len(cell.ran)} seeds" + (f", {lost} of which diverged" if lost else "")


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _nothing(setting: Setting) -> str:
    """Return what became of a setting of which no learning rate has a median loss."""
    trials = list(setting.trials)
    ran = [trial for cell in setting.cells for trial in cell.ran]
    count = len(setting.cells)
    where = "" if count == 1 else f" at each of the {count} learning rates tried"
    if not ran:
        return "every trial failed"
    if len(ran) == len(trials) and not any(isfinite(trial.loss) for trial in ran):
        return f"every trial diverged{where}"
    return f"half of the seeds or more diverged or failed{where or ' at the learning rate tried'}"


def _beyond(cells: Sequence[Cell], alike: Sequence[Cell], rates: Mapping[float, str]) -> list[str]:
    """Return what is known of the learning rates on both sides of the best."""
    larger = [cell for cell in cells if cell.lr > alike[-1].lr]
    told = [] if cells[0].lr < alike[0].lr else ["no smaller rate was tried"]
    if not larger:
        return [*told, "no larger rate was tried"]
    near = larger[0]
    lost = sum(not isfinite(trial.loss) for trial in near.ran)
    if lost:
        return [*told, _diverged(f"the next larger rate, {rates[near.lr]},", lost, len(near.ran))]
    if not near.ran:
        return [*told, f"every trial of the next larger rate, {rates[near.lr]}, failed"]
    edge = next((cell for cell in larger if not isfinite(cell.median) and cell.ran), None)
    if edge:
        most = f"the smallest rate at which half of the seeds or more diverged is {rates[edge.lr]}"
        return [*told, most if len(edge.ran) > 1 else f"{rates[edge.lr]} diverged"]
    return told


def _diverged(rate: str, lost: int, count: int) -> str:
    return f"{rate} diverged" if lost == count else f"{rate} diverged for {lost} of {count} seeds"
